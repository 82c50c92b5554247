import { spawn } from 'node:child_process'

/** What a session's program is started with. */
export interface ProgramStart {
  /** The user's shell: it runs the program, or is it. */
  readonly shell: string
  /** A command line for the shell; undefined for a login shell. */
  readonly command: string | undefined
  readonly directory: string
  readonly environment: Readonly<Record<string, string>>
}

/** How a program ended: by itself, or by a signal. */
export type ProgramEnd = { readonly status: number } | { readonly signal: string; readonly coreDumped: boolean }

/** Where a program's output goes. `output` and `errorOutput` return false to be paused until `resume` is called. */
export interface ProgramOutput {
  output(data: Buffer): boolean
  errorOutput(data: Buffer): boolean
  /** All output was delivered, and this is how the program ended. */
  ended(end: ProgramEnd): void
}

/** A running program, on pipes or on a terminal. */
export interface Program {
  /** Passes input on; `taken` is called once the program's side has it. */
  input(data: Buffer, taken: () => void): void
  endInput(): void
  /** Output may flow again. */
  resume(): void
  /** A signal by its name without SIG, to the program and its children. */
  signal(name: string): void
  resize(columns: number, rows: number): void
  /** The client is gone. */
  hangUp(): void
}

/** Signals that a client may send (RFC 4254 §6.9), as OpenSSH's sshd takes them. */
const deliverable: ReadonlySet<string> = new Set([
  'ABRT',
  'ALRM',
  'FPE',
  'HUP',
  'ILL',
  'INT',
  'KILL',
  'PIPE',
  'QUIT',
  'SEGV',
  'TERM',
  'USR1',
  'USR2',
])

/** Sends a signal to a process group; one that ended meanwhile is no error. */
export function signalGroup(pid: number, name: string): void {
  if (!deliverable.has(name)) return
  try {
    process.kill(-pid, `SIG${name}`)
  } catch {
    // It ended before the signal came.
  }
}

/** The last part of a path, with the dash before it that makes a shell a login shell. */
export const loginName = (shell: string): string => `-${shell.slice(shell.lastIndexOf('/') + 1)}`

/** Starts a program on pipes. */
export function startOnPipes(start: ProgramStart, sink: ProgramOutput): Program {
  const child = spawn(start.shell, start.command === undefined ? [] : ['-c', start.command], {
    cwd: start.directory,
    env: start.environment,
    argv0: start.command === undefined ? loginName(start.shell) : start.shell,
    // A group of its own, so that a hang-up reaches its children too.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const { stdin, stdout, stderr } = child
  stdout.on('data', (data: Buffer) => {
    if (!sink.output(data)) stdout.pause()
  })
  stderr.on('data', (data: Buffer) => {
    if (!sink.errorOutput(data)) stderr.pause()
  })
  // A program that does not read its input is no error of the session.
  stdin.on('error', () => {})
  child.on('error', error => {
    sink.errorOutput(Buffer.from(`${start.shell}: ${error.message}\n`))
    sink.ended({ status: 127 })
  })
  child.on('close', (status, signal) => {
    if (child.pid === undefined) return
    sink.ended(signal ? { signal: signal.replace(/^SIG/, ''), coreDumped: false } : { status: status ?? 255 })
  })
  return {
    input(data, taken) {
      stdin.write(data, () => taken())
    },
    endInput() {
      stdin.end()
    },
    resume() {
      stdout.resume()
      stderr.resume()
    },
    signal(name) {
      if (child.pid !== undefined) signalGroup(child.pid, name)
    },
    resize() {},
    hangUp() {
      stdin.destroy()
      if (child.pid !== undefined && child.exitCode === null) signalGroup(child.pid, 'HUP')
      stdout.destroy()
      stderr.destroy()
    },
  }
}
