import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine, usage } from '../../src/command/options.ts'
import { parseConnectionSpec, type ServerConnection } from '../../src/openssh/match-server.ts'

const syntax: CommandLineSyntax = {
  program: 'tsshd',
  synopsis:
    '[-46DdeGiqTtV] [-C connection_spec] [-c host_certificate_file] [-E log_file] [-f config_file] ' +
    '[-g login_grace_time] [-h host_key_file] [-o option] [-p port] [-Q query] [-u len] ' +
    '[--password-file file] [--password-entry user]\n' +
    '       tsshd [-t] --lint [--json] -f config_file',
  description:
    'Serves SSH logins: of every user when root gives it a configuration, of the user who starts it otherwise.',
  usageStatus: 1,
  flags: [
    { name: '4', description: 'listen on IPv4 addresses only' },
    { name: '6', description: 'listen on IPv6 addresses only' },
    { name: 'b', argument: 'bits', description: 'does nothing: of version 1 of the protocol' },
    { name: 'C', argument: 'connection_spec', description: 'with -T or -G, print what holds for this connection' },
    { name: 'c', argument: 'host_certificate_file', description: 'host certificate; may be given more than once' },
    { name: 'D', description: 'stay in the foreground' },
    { name: 'd', description: 'log what happens, serve one connection, then exit; up to three times' },
    { name: 'E', argument: 'log_file', description: 'append log lines to this file' },
    { name: 'e', description: "write log lines to stderr instead of the system's log" },
    {
      name: 'f',
      argument: 'config_file',
      description: 'configuration file; without it the server is for the user who starts it, on the loopback address',
    },
    { name: 'G', description: 'read the configuration, print it and exit' },
    { name: 'g', argument: 'login_grace_time', description: 'seconds until a login must be done; 0 for ever' },
    { name: 'h', argument: 'host_key_file', description: 'host key; may be given more than once' },
    { name: 'i', description: 'serve one connection on stdin and stdout' },
    { name: 'k', argument: 'seconds', description: 'does nothing: of version 1 of the protocol' },
    { name: 'o', argument: 'option', description: 'an option as a line of sshd_config(5)' },
    { name: 'p', argument: 'port', description: 'port to listen on; may be given more than once' },
    { name: 'q', description: 'log nothing' },
    { name: 'r', description: 'does nothing: kept for old command lines' },
    { name: 'T', description: 'test the configuration and the host keys, print the former and exit' },
    { name: 't', description: 'test the configuration and the host keys, and exit' },
    {
      name: 'u',
      argument: 'len',
      description: 'only 0 is known: no host names in records of logins, which are not kept',
    },
    {
      name: 'Q',
      argument: 'query',
      description: 'print the algorithms of one kind (-Q help lists the kinds) and exit',
    },
    { name: 'V', description: 'print the version and exit' },
    { name: 'lint', description: 'look for mistakes in the configuration file; then exit, or test it with -t' },
    { name: 'json', description: 'with --lint: print JSON' },
    { name: 'password-file', argument: 'file', description: 'passwords for a server that root did not start' },
    { name: 'password-entry', argument: 'user', description: 'ask for a password, print its line for such a file' },
  ],
}

export interface Invocation {
  readonly mode:
    | 'serve'
    | 'inetd'
    | 'test'
    | 'print-config'
    | 'test-and-print'
    | 'print-version'
    | 'password-entry'
    | 'query'
    | 'lint'
  /** Whether the configuration file is looked over before anything else. */
  readonly lint: boolean
  readonly json: boolean
  /** What -Q asks for. */
  readonly query: string | undefined
  readonly configFile: string | undefined
  readonly logFile: string | undefined
  readonly toStderr: boolean
  /** Lines of configuration, those of other flags included. */
  readonly options: readonly string[]
  readonly ports: readonly number[]
  /** How often -d was given; from 1 on, one connection is served. */
  readonly debug: number
  readonly quiet: boolean
  readonly foreground: boolean
  /** Of -C, several of them joined. */
  readonly connection: ServerConnection | undefined
  readonly passwordFile: string | undefined
  /** For whom a line of the password file is made. */
  readonly entryFor: string | undefined
}

/** @throws CommandError (1) with the usage */
export function parseInvocation(args: readonly string[]): Invocation {
  const { flags, operands } = parseCommandLine(syntax, args)
  if (operands.length > 0) throw new CommandError(`Extra argument ${operands[0]}.\n${usage(syntax)}`, 1)
  const all = (name: string) => flags.filter(flag => flag.name === name).map(({ value }) => value)
  const given = (name: string) => all(name).length > 0
  const mode = modeOf(given)
  const connection = all('C').length > 0 ? connectionOf(all('C').join(',')) : undefined
  if (connection && mode !== 'print-config' && mode !== 'test-and-print')
    throw new CommandError('Config test connection parameter (-C) provided without test mode (-T)', 255)
  const length = all('u').at(-1)
  if (length !== undefined && length !== '0')
    throw new CommandError('tsshd: -u: no records of logins are kept; only -u0 is known', 1)
  if (given('lint') && mode !== 'lint' && mode !== 'test')
    throw new CommandError('tsshd: --lint goes alone or with -t', 1)
  if (given('lint') && all('f').length === 0)
    throw new CommandError('tsshd: --lint: no configuration file; name one with -f', 1)
  return {
    mode,
    lint: given('lint'),
    json: given('json'),
    configFile: all('f').at(-1),
    logFile: all('E').at(-1),
    toStderr: given('e'),
    // What stands first wins, and what has a flag of its own wins over -o.
    options: [
      ...all('4').map(() => 'AddressFamily inet'),
      ...all('6').map(() => 'AddressFamily inet6'),
      ...all('g').map(graceOf),
      ...all('h').map(file => `HostKey ${quoted(file)}`),
      ...all('c').map(file => `HostCertificate ${quoted(file)}`),
      ...all('o'),
    ],
    ports: all('p').map(portOf),
    debug: all('d').length,
    quiet: given('q'),
    foreground: given('D') || given('d'),
    connection,
    passwordFile: all('password-file').at(-1),
    entryFor: all('password-entry').at(-1),
    query: all('Q')[0],
  }
}

function modeOf(given: (name: string) => boolean): Invocation['mode'] {
  if (given('V')) return 'print-version'
  if (given('Q')) return 'query'
  if (given('password-entry')) return 'password-entry'
  if (given('G')) return 'print-config'
  if (given('T')) return 'test-and-print'
  if (given('t')) return 'test'
  if (given('lint')) return 'lint'
  return given('i') ? 'inetd' : 'serve'
}

const quoted = (file: string): string => (/[\s"\\]/.test(file) ? `"${file.replace(/["\\]/g, '\\$&')}"` : file)

function graceOf(text: string): string {
  if (!/^(\d+[smhdwSMHDW]?)+$/.test(text)) throw new CommandError('Invalid login grace time.', 1)
  return `LoginGraceTime ${text}`
}

function connectionOf(spec: string): ServerConnection {
  const connection = parseConnectionSpec(spec)
  if ('invalid' in connection) throw new CommandError(`Invalid test mode specification ${connection.invalid}`, 1)
  return connection
}

function portOf(text: string): number {
  const port = /^\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(port >= 0 && port <= 65535)) throw new CommandError('Bad port number.', 1)
  return port
}
