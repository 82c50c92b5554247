import { constants } from 'node:os'
import { sttyWords } from '../../src/terminal/modes.ts'
import { PseudoTerminal } from '../../src/terminal/pseudo-terminal.ts'
import {
  afterPrologue,
  enterable,
  type Program,
  type ProgramOutput,
  type ProgramStart,
  programOf,
  signalGroup,
} from './child.ts'

/** The terminal that a client asked for (RFC 4254 §6.2). */
export interface TerminalRequest {
  readonly term: string
  readonly columns: number
  readonly rows: number
  readonly modes: ReadonlyMap<number, number>
}

/** Sizes that the kernel takes; a client's zero means "unknown". */
const dimension = (value: number, fallback: number): number => (value >= 1 && value <= 0xffff ? value : fallback)

/**
 * Starts a program on a new pseudo-terminal. A small shell script sets the modes before the program runs, since only a
 * process on the terminal can do so, and names the terminal in SSH_TTY.
 */
export function startOnTerminal(start: ProgramStart, terminal: TerminalRequest, sink: ProgramOutput): Program {
  const modes = sttyWords(terminal.modes)
  const setModes = modes.length > 0 ? `stty ${modes.join(' ')} 2>/dev/null;` : ''
  const { prologue } = start
  const run = prologue ? afterPrologue : 'exec "$0" "$@"'
  const words = [...(prologue ?? []), ...programOf(start)]
  const program = new PseudoTerminal(
    ['/bin/sh', '-c', `SSH_TTY=$(tty); export SSH_TTY; ${setModes} ${run}`, ...words],
    {
      directory: enterable(start.directory),
      environment: { ...start.environment, TERM: terminal.term || 'dumb' },
      columns: dimension(terminal.columns, 80),
      rows: dimension(terminal.rows, 24),
    },
    {
      output: data => sink.output(data),
      ended: (status, signal) => sink.ended(signal ? { signal: signalName(signal), coreDumped: false } : { status }),
    },
  )
  return {
    input: (data, taken) => program.write(data, taken),
    // A terminal has no end of input; the program sees what the user types.
    endInput() {},
    resume: () => program.resume(),
    signal(name) {
      if (!program.ended) signalGroup(program.pid, name)
    },
    resize: (columns, rows) => program.resize(dimension(columns, 80), dimension(rows, 24)),
    // A terminal has no reader that could go away alone.
    endOutput() {},
    hangUp() {
      if (!program.ended) signalGroup(program.pid, 'HUP')
      program.close()
    },
  }
}

const signalName = (number: number): string =>
  Object.entries(constants.signals)
    .find(([, value]) => value === number)?.[0]
    .replace(/^SIG/, '') ?? 'TERM'
