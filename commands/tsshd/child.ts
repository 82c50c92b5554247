import { accessSync, constants, statSync } from 'node:fs'
import { startPiped } from '../../src/net/piped-program.ts'

/** What a session's program is started with. */
export interface ProgramStart {
  /** The user's shell: it runs the program, or is it. */
  readonly shell: string
  /** A command line for the shell; undefined for a login shell. */
  readonly command: string | undefined
  /** Where it starts; `/` when that cannot be entered. */
  readonly directory: string
  /** A program with two arguments that runs first, without input. */
  readonly prologue?: readonly [string, string, string] | undefined
  readonly environment: Readonly<Record<string, string>>
}

/** How a program ended: by itself, or by a signal. */
export type ProgramEnd = { readonly status: number } | { readonly signal: string; readonly coreDumped: boolean }

/**
 * Where a program's output goes, in memory that is used again afterwards. `output` and `errorOutput` return false to be
 * paused until `resume` is called.
 */
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
  /** Nobody reads the output any more: a program that writes is told so by the system. */
  endOutput(): void
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

/** A script whose arguments are a prologue's three words and then a program's. */
export const afterPrologue = '"$0" "$1" "$2" </dev/null; shift 2; exec "$@"'

/** The words that run the program: the shell with its command, or as a login shell. */
export const programOf = ({ shell, command }: ProgramStart): string[] =>
  command === undefined ? [shell, '-l'] : [shell, '-c', command]

/** A home that is missing or closed to us must not keep anybody out. */
export function enterable(directory: string): string {
  try {
    accessSync(directory, constants.X_OK)
    return statSync(directory).isDirectory() ? directory : '/'
  } catch {
    return '/'
  }
}

/** Starts a program on pipes. */
export function startOnPipes(start: ProgramStart, sink: ProgramOutput): Program {
  const direct = {
    file: start.shell,
    args: start.command === undefined ? [] : ['-c', start.command],
    argv0: start.command === undefined ? loginName(start.shell) : start.shell,
  }
  const { file, args, argv0 } = start.prologue
    ? { file: '/bin/sh', args: ['-c', afterPrologue, ...start.prologue, ...programOf(start)], argv0: 'sh' }
    : direct
  const options = {
    cwd: enterable(start.directory),
    env: start.environment,
    argv0,
    // A group of its own, so that a hang-up reaches its children too.
    detached: true,
  }
  const program = startPiped(
    [file, args, options],
    data => sink.output(data),
    data => sink.errorOutput(data),
  )
  const { child, stdin, stdout, stderr } = program
  // A program that does not read its input is no error of the session.
  stdin.on('error', () => {})
  child.on('error', error => {
    sink.errorOutput(Buffer.from(`${start.shell}: ${error.message}\n`))
    sink.ended({ status: 127 })
  })
  let end: ProgramEnd = { status: 255 }
  // Its end, and that of both outputs: what it left in the background may still write.
  let awaited = 3
  const oneEnded = (): void => {
    awaited--
    if (awaited === 0) sink.ended(end)
  }
  child.on('exit', (status, signal) => {
    end = signal ? { signal: signal.replace(/^SIG/, ''), coreDumped: false } : { status: status ?? 255 }
    stdin.destroy()
    oneEnded()
  })
  for (const stream of [stdout, stderr]) stream.on('error', () => {}).on('close', oneEnded)
  return {
    input: (data, taken) => program.input(data, taken),
    endInput() {
      stdin.end()
    },
    endOutput() {
      stdout.destroy()
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
