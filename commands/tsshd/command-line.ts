import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine, usage } from '../../src/command/options.ts'

const syntax: CommandLineSyntax = {
  program: 'tsshd',
  synopsis: '[-DdeitqTV] [-E log_file] [-f config_file] [-h host_key_file] [-o option] [-p port]',
  description: 'Serves SSH logins for the user who starts it.',
  usageStatus: 1,
  flags: [
    { name: 'D', description: 'stay in the foreground (it always does)' },
    { name: 'd', description: 'log what happens, serve one connection, then exit; up to three times' },
    { name: 'E', argument: 'log_file', description: 'append log lines to this file' },
    { name: 'e', description: 'write log lines to stderr (the default)' },
    {
      name: 'f',
      argument: 'config_file',
      description: 'configuration file; without it there is none unless root starts it',
    },
    { name: 'h', argument: 'host_key_file', description: 'host key; may be given more than once' },
    { name: 'i', description: 'serve one connection on stdin and stdout' },
    { name: 'o', argument: 'option', description: 'an option as a line of sshd_config(5)' },
    { name: 'p', argument: 'port', description: 'port to listen on; may be given more than once' },
    { name: 'q', description: 'log nothing' },
    { name: 'T', description: 'test the configuration, print it and exit' },
    { name: 't', description: 'test the configuration and the host keys, and exit' },
    { name: 'V', description: 'print the version and exit' },
  ],
}

export interface Invocation {
  readonly mode: 'serve' | 'inetd' | 'test' | 'print-config' | 'print-version'
  readonly configFile: string | undefined
  readonly logFile: string | undefined
  readonly hostKeyFiles: readonly string[]
  readonly options: readonly string[]
  readonly ports: readonly number[]
  /** How often -d was given; from 1 on, one connection is served. */
  readonly debug: number
  readonly quiet: boolean
}

/** @throws CommandError (1) with the usage */
export function parseInvocation(args: readonly string[]): Invocation {
  const { flags, operands } = parseCommandLine(syntax, args)
  if (operands.length > 0) throw new CommandError(`Extra argument ${operands[0]}.\n${usage(syntax)}`, 1)
  const all = (name: string) => flags.filter(flag => flag.name === name).map(({ value }) => value)
  const given = (name: string) => all(name).length > 0
  return {
    mode: given('V')
      ? 'print-version'
      : given('T')
        ? 'print-config'
        : given('t')
          ? 'test'
          : given('i')
            ? 'inetd'
            : 'serve',
    configFile: all('f').at(-1),
    logFile: all('E').at(-1),
    hostKeyFiles: all('h'),
    options: all('o'),
    ports: all('p').map(portOf),
    debug: all('d').length,
    quiet: given('q'),
  }
}

function portOf(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(port >= 0 && port <= 65535)) throw new CommandError('Bad port number.', 1)
  return port
}
