import { write } from 'node:fs'
import { constants } from 'node:os'
import { type Pty, spawn } from 'node-pty'
import { sttyWords } from '../../src/terminal/modes.ts'
import { type Program, type ProgramOutput, type ProgramStart, signalGroup } from './child.ts'

/** The terminal that a client asked for (RFC 4254 §6.2). */
export interface TerminalRequest {
  readonly term: string
  readonly columns: number
  readonly rows: number
  readonly modes: ReadonlyMap<number, number>
}

/** How long to wait before a terminal whose input queue is full is tried again, in milliseconds. */
const inputRetryDelay = 10

/** Sizes that the kernel takes; a client's zero means "unknown". */
const dimension = (value: number, fallback: number): number => (value >= 1 && value <= 0xffff ? value : fallback)

/**
 * Starts a program on a new pseudo-terminal. A small shell script sets the modes before the program runs, since only a
 * process on the terminal can do so, and names the terminal in SSH_TTY.
 */
export function startOnTerminal(start: ProgramStart, terminal: TerminalRequest, sink: ProgramOutput): Program {
  const words = sttyWords(terminal.modes)
  const setModes = words.length > 0 ? `stty ${words.join(' ')} 2>/dev/null;` : ''
  const program = start.command === undefined ? [start.shell, '-l'] : [start.shell, '-c', start.command]
  const pty = spawn('/bin/sh', ['-c', `SSH_TTY=$(tty); export SSH_TTY; ${setModes} exec "$0" "$@"`, ...program], {
    name: terminal.term || 'dumb',
    cols: dimension(terminal.columns, 80),
    rows: dimension(terminal.rows, 24),
    cwd: start.directory,
    env: { ...start.environment },
    encoding: null,
  })
  pty.onData(data => {
    if (!sink.output(data)) pty.pause()
  })
  let open = true
  pty.onExit(({ exitCode, signal }) => {
    open = false
    sink.ended(signal ? { signal: signalName(signal), coreDumped: false } : { status: exitCode })
  })
  return {
    input(data, taken) {
      writeAll(pty, data, () => open, taken)
    },
    // A terminal has no end of input; the program sees what the user types.
    endInput() {},
    resume() {
      if (open) pty.resume()
    },
    signal(name) {
      if (open) signalGroup(pty.pid, name)
    },
    resize(columns, rows) {
      if (open) pty.resize(dimension(columns, 80), dimension(rows, 24))
    },
    hangUp() {
      if (open) signalGroup(pty.pid, 'HUP')
    },
  }
}

/** Writes to the terminal itself, because the package's own write does not tell when the bytes were taken. */
function writeAll(pty: Pty, data: Buffer, isOpen: () => boolean, taken: () => void): void {
  if (!isOpen()) {
    taken()
    return
  }
  write(pty.fd, data, (error, written) => {
    const rest = error ? data : data.subarray(written)
    if (rest.length === 0 || (error && error.code !== 'EAGAIN')) taken()
    else setTimeout(writeAll, error ? inputRetryDelay : 0, pty, rest, isOpen, taken)
  })
}

const signalName = (number: number): string =>
  Object.entries(constants.signals)
    .find(([, value]) => value === number)?.[0]
    .replace(/^SIG/, '') ?? 'TERM'
