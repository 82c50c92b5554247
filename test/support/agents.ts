import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runProgram } from './listening.ts'

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))

/** A program as a word list: ours run by this Node, or one of the system's. */
export const ours = (name: string): readonly [string, ...string[]] => [process.execPath, bin(name)]

/** An agent in the background, with a home folder of its own. */
export interface StartedAgent {
  readonly home: string
  readonly socket: string
  readonly pid: number
  /** What clients of it need. */
  readonly env: { readonly HOME: string; readonly SSH_AUTH_SOCK: string; readonly SSH_AGENT_PID: string }
  readonly output: string
  stop(): void
}

export async function startAgentProgram(
  [program, ...first]: readonly [string, ...string[]],
  args: readonly string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<StartedAgent> {
  const home = mkdtempSync(join(tmpdir(), 'tssh-agent-'))
  mkdirSync(join(home, '.ssh'), { mode: 0o700 })
  // What the agent would keep at its end would be written while the folder is removed.
  const environment = { HOME: home, NODE_DISABLE_COMPILE_CACHE: '1', ...env }
  const ran = await runProgram(program, [...first, '-s', ...args], { env: environment })
  const output = ran.stdout.toString()
  const socket = /SSH_AUTH_SOCK=(.*?); export/.exec(output)?.[1] ?? ''
  const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(output)?.[1])
  if (ran.status !== 0 || !socket || !pid) throw new Error(`agent does not start: ${output}${ran.stderr}`)
  return {
    home,
    socket,
    pid,
    env: { HOME: home, SSH_AUTH_SOCK: socket, SSH_AGENT_PID: String(pid) },
    output,
    stop() {
      try {
        process.kill(pid, 'SIGTERM')
      } catch {
        // A test ended it.
      }
      rmSync(home, { recursive: true, force: true, maxRetries: 20 })
    },
  }
}

/** Makes a key with ssh-keygen. */
export function makeKey(file: string, type: string, ...more: string[]): string {
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-C', `${type} key`, '-f', file, ...more])
  return file
}
