import { Command, CommanderError, Option } from 'commander'
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
}

/**
 * Reads a command line with getopt's habits: clusters (`-vvtp22`), `--`, flags before operands.
 * @throws CommandError with OpenSSH's words and the usage for an unknown flag or a missing argument; and one with status
 * 0 after `--help` printed the help.
 */
export function parseCommandLine(syntax: CommandLineSyntax, args: readonly string[]): CommandLine {
  const flags: GivenFlag[] = []
  let operands = parseUpToOperand(syntax, args, flags)
  if (syntax.flagsMayFollow && operands.length > 1) {
    const [first, ...rest] = operands
    operands = [first!, ...parseUpToOperand(syntax, rest, flags)]
  }
  return { flags, operands }
}

function parseUpToOperand(syntax: CommandLineSyntax, args: readonly string[], flags: GivenFlag[]): string[] {
  const command = buildCommand(syntax)
  for (const { name, argument } of syntax.flags) {
    command.on(`option:${name}`, (value: string | null) => flags.push({ name, value: argument ? (value ?? '') : '' }))
  }
  try {
    command.parse([...args], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) throw new CommandError('', 0)
    throw new CommandError(`${usageProblem(syntax, error)}\n${usage(syntax)}`, syntax.usageStatus)
  }
  return command.args
}

function buildCommand(syntax: CommandLineSyntax): Command {
  const command = new Command(syntax.program)
    .description(syntax.description)
    .usage(syntax.synopsis)
    .helpOption('--help', 'show this help')
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .passThroughOptions()
    .allowExcessArguments()
  for (const { name, argument, description } of syntax.flags) {
    const dashed = name.length === 1 ? `-${name}` : `--${name}`
    command.addOption(new Option(argument ? `${dashed} <${argument}>` : dashed, description))
  }
  return command
}

/** `usage: tssh …`, as getopt commands print it. */
export const usage = (syntax: CommandLineSyntax): string => `usage: ${syntax.program} ${syntax.synopsis}`

function usageProblem(syntax: CommandLineSyntax, error: CommanderError): string {
  const flag = /'-{1,2}([^' ]+)/.exec(error.message)?.[1] ?? ''
  switch (error.code) {
    case 'commander.unknownOption':
      return `${syntax.program}: unknown option -- ${flag.slice(0, flag.length > 1 && error.message.includes("'--") ? undefined : 1)}`
    case 'commander.optionMissingArgument':
      return `${syntax.program}: option requires an argument -- ${flag}`
    default:
      return `${syntax.program}: ${error.message.replace(/^error: /, '')}`
  }
}
