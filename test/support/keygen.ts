import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** ssh-keygen and tssh-keygen side by side. */

export const oursPath = fileURLToPath(new URL('../../bin/tssh-keygen.js', import.meta.url))

export type Which = 'real' | 'ours'

const commandOf = (which: Which): readonly string[] =>
  which === 'real' ? ['ssh-keygen'] : [process.execPath, oursPath]

export interface KeygenResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface KeygenOptions {
  readonly cwd: string
  /** What stands on stdin. There is no terminal. */
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
}

/** Runs one of them, in a session without a terminal, agent or display. */
export function keygen(which: Which, args: readonly string[], options: KeygenOptions): Promise<KeygenResult> {
  const [program, ...first] = commandOf(which)
  const { SSH_AUTH_SOCK: _socket, DISPLAY: _display, SSH_ASKPASS: _askpass, ...env } = process.env
  return new Promise(resolve => {
    const child = execFile(
      'setsid',
      ['-w', program!, ...first, ...args],
      { cwd: options.cwd, env: { ...env, ...options.env }, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        const status = error ? (typeof error.code === 'number' ? error.code : -1) : 0
        resolve({ status, stdout, stderr: stderr.replaceAll('\r', '') })
      },
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input ?? '')
  })
}

/** The same, and it must succeed: its stdout. */
export async function keygenOutput(which: Which, args: readonly string[], options: KeygenOptions): Promise<string> {
  const { status, stdout, stderr } = await keygen(which, args, options)
  if (status !== 0) throw new Error(`${which} ${args.join(' ')}: exit status ${status}: ${stderr}`)
  return stdout
}

/** A file as far as both can agree on it: that it changed, and its mode. */
export type Changes = Readonly<Record<string, string>>

/** Runs one of them in a copy of a folder, and says what it changed there. */
export async function keygenInCopy(
  which: Which,
  args: readonly string[],
  folder: string,
  input: string,
): Promise<KeygenResult & { readonly changes: Changes }> {
  const copy = mkdtempSync(join(tmpdir(), 'tssh-keygen-copy-'))
  try {
    cpSync(folder, copy, { recursive: true })
    const result = await keygen(which, args, { cwd: copy, input })
    return { ...result, changes: changesBetween(folder, copy) }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function changesBetween(before: string, after: string): Changes {
  const names = new Set([...readdirSync(before), ...readdirSync(after)])
  const changes: Record<string, string> = {}
  for (const name of [...names].sort()) {
    const [old, now] = [before, after].map(folder => statSync(join(folder, name), { throwIfNoEntry: false }))
    const same = old && now && readFileSync(join(before, name)).equals(readFileSync(join(after, name)))
    if (!same) changes[name] = now ? (now.mode & 0o777).toString(8) : 'removed'
  }
  return changes
}
