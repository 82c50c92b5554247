import { spawn } from 'node:child_process'

export interface CapturedOutput {
  /** Undefined when a signal ended it. */
  readonly status: number | undefined
  readonly output: Buffer
}

/**
 * The command line of a program on which an interrupt from the terminal has no effect: where Ctrl-C gives up a transfer, it
 * must not end what carries the session. (Programs on Node undo it.)
 */
export const uninterruptible = (program: string, args: readonly string[]): [string, string[]] => [
  '/bin/sh',
  ['-c', 'trap "" INT; exec "$@"', 'sh', program, ...args],
]

/**
 * Runs a program, without a shell, and keeps what it prints, at most `limit` bytes; what it says on stderr is the
 * user's. @throws Error when it cannot be started, or prints more
 */
export function captureOutput(argv: readonly string[], limit: number): Promise<CapturedOutput> {
  const [program = '', ...args] = argv
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const chunks: Buffer[] = []
    let length = 0
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length
      if (length <= limit) chunks.push(chunk)
      else child.kill('SIGKILL')
    })
    child.on('error', reject)
    child.on('close', status => {
      if (length > limit) reject(new Error(`${program} printed more than ${limit} bytes`))
      else resolve({ status: status ?? undefined, output: Buffer.concat(chunks) })
    })
  })
}
