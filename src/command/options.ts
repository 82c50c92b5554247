import { createRequire } from 'node:module'
import { CommandError } from './errors.ts'

/** One flag of a command: a letter as getopt knows it, or a word for what OpenSSH does not have (`--json`). */
export interface Flag {
  /** `p` for `-p`, `json` for `--json`. */
  readonly name: string
  /** What the argument is called in the help; a flag without it takes none. */
  readonly argument?: string
  readonly description: string
}

export interface CommandLineSyntax {
  readonly program: string
  /** Shown in the help after the program's name. */
  readonly synopsis: string
  readonly description: string
  readonly flags: readonly Flag[]
  /** Exit status of a wrong command line: 255 for tssh, 1 for the others. */
  readonly usageStatus: number
  /**
   * `anywhere`: flags after the first operand are flags too, up to the second one (tssh host -p 22 command).
   * `before`: the first operand ends the flags, as getopt does.
   */
  readonly flagsMayFollow?: 'first-operand'
}

/** A flag as it was given. */
export interface GivenFlag {
  readonly name: string
  /** The argument, '' for a flag without one. */
  readonly value: string
}

export interface CommandLine {
  /** In the order of the command line: where the first or the last one wins is for the command to say. */
  readonly flags: readonly GivenFlag[]
  readonly operands: readonly string[]
  /** How many of the flags stand before the first operand. */
  readonly flagsBefore: number
}

/**
 * Reads a command line with getopt's habits: clusters (`-vvtp22`), `--`, flags before operands.
 * @throws CommandError with OpenSSH's words and the usage for an unknown flag or a missing argument; and one with status
 * 0 after `--help` printed the help.
 */
export function parseCommandLine(syntax: CommandLineSyntax, args: readonly string[]): CommandLine {
  const flags: GivenFlag[] = []
  let operands = parseUpToOperand(syntax, args, flags)
  const flagsBefore = flags.length
  if (syntax.flagsMayFollow && operands.length > 1) {
    const [first, ...rest] = operands
    operands = [first!, ...parseUpToOperand(syntax, rest, flags)]
  }
  return { flags, operands, flagsBefore }
}

function parseUpToOperand(syntax: CommandLineSyntax, args: readonly string[], given: GivenFlag[]): string[] {
  const rest = [...args]
  for (;;) {
    const word = rest[0]
    if (word === undefined || word === '-' || !word.startsWith('-')) return rest
    rest.shift()
    if (word === '--') return rest
    if (word.startsWith('--')) given.push(takeWord(syntax, word.slice(2), rest))
    else takeCluster(syntax, word.slice(1), rest, given)
  }
}

/** `--name`, `--name value` or `--name=value`. */
function takeWord(syntax: CommandLineSyntax, word: string, rest: string[]): GivenFlag {
  const [, name = '', attached] = /^([^=]*)(?:=(.*))?$/s.exec(word) ?? []
  if (name === 'help') return showHelp(syntax)
  const flag = syntax.flags.find(candidate => candidate.name.length > 1 && candidate.name === name)
  if (!flag || (attached !== undefined && !flag.argument)) return refuse(syntax, `unknown option -- ${name}`)
  const value = flag.argument ? (attached ?? rest.shift()) : ''
  return { name, value: value ?? refuse(syntax, `option requires an argument -- ${name}`) }
}

/** Letters after one dash; the first that takes an argument takes what is left of the word, or the next one. */
function takeCluster(syntax: CommandLineSyntax, letters: string, rest: string[], given: GivenFlag[]): void {
  for (let at = 0; at < letters.length; at++) {
    const name = letters[at]!
    const flag = syntax.flags.find(candidate => candidate.name === name)
    if (!flag) refuse(syntax, `unknown option -- ${name}`)
    else if (!flag.argument) given.push({ name, value: '' })
    else {
      const value = letters.slice(at + 1) || rest.shift()
      given.push({ name, value: value ?? refuse(syntax, `option requires an argument -- ${name}`) })
      return
    }
  }
}

function refuse(syntax: CommandLineSyntax, problem: string): never {
  throw new CommandError(`${syntax.program}: ${problem}\n${usage(syntax)}`, syntax.usageStatus)
}

/** Commander lays the help out. It is not loaded otherwise: that would take longer than all else a short command does. */
function showHelp(syntax: CommandLineSyntax): never {
  const { Command, Option } = createRequire(import.meta.url)('commander') as typeof import('commander')
  const command = new Command(syntax.program)
    .description(syntax.description)
    .usage(syntax.synopsis)
    .helpOption('--help', 'show this help')
  for (const { name, argument, description } of syntax.flags) {
    const dashed = name.length === 1 ? `-${name}` : `--${name}`
    command.addOption(new Option(argument ? `${dashed} <${argument}>` : dashed, description))
  }
  process.stdout.write(command.helpInformation())
  throw new CommandError('', 0)
}

/** `usage: tssh …`, as getopt commands print it. */
export const usage = (syntax: CommandLineSyntax): string => `usage: ${syntax.program} ${syntax.synopsis}`
