import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine, usage } from '../../src/command/options.ts'

const syntax: CommandLineSyntax = {
  program: 'tssh',
  synopsis:
    '[-46GNnqTtVv] [-c cipher_spec] [-E log_file] [-e escape_char] [-F configfile] [-i identity_file] [-l login_name]\n' +
    '            [-m mac_spec] [-o option] [-p port] destination [command [argument ...]]',
  description: 'Logs in to a remote machine, or runs a command there, over SSH.',
  usageStatus: 255,
  flagsMayFollow: 'first-operand',
  flags: [
    { name: '4', description: 'use IPv4 addresses only' },
    { name: '6', description: 'use IPv6 addresses only' },
    { name: 'c', argument: 'cipher_spec', description: 'ciphers, best first' },
    { name: 'E', argument: 'log_file', description: 'append log lines to this file instead of stderr' },
    { name: 'e', argument: 'escape_char', description: 'escape character of interactive sessions (~, ^x or none)' },
    { name: 'F', argument: 'configfile', description: 'read this file instead of the usual ones (none for no file)' },
    { name: 'G', description: 'print the configuration for the destination and exit' },
    { name: 'i', argument: 'identity_file', description: 'private key to try; may be given more than once' },
    { name: 'l', argument: 'login_name', description: 'user to log in as' },
    { name: 'm', argument: 'mac_spec', description: 'message authentication codes, best first' },
    { name: 'N', description: 'run no remote command' },
    { name: 'n', description: 'read nothing: stdin is /dev/null' },
    { name: 'o', argument: 'option', description: 'an option as a line of ssh_config(5)' },
    { name: 'p', argument: 'port', description: 'port to connect to' },
    { name: 'q', description: 'quiet: no warnings' },
    { name: 's', description: 'the command names a subsystem' },
    { name: 'T', description: 'ask for no terminal' },
    { name: 't', description: 'ask for a terminal; twice: even when stdin is none' },
    { name: 'V', description: 'print the version and exit' },
    { name: 'v', description: 'log what happens; up to three times' },
  ],
}

export type TerminalRequest = 'auto' | 'never' | 'when-local' | 'always'

/** A command line of tssh, understood. */
export interface Invocation {
  readonly destination: string
  /** The words after the destination, as typed. */
  readonly command: readonly string[]
  /** What the flags say, as lines of ssh_config(5) that go before every file. */
  readonly options: readonly string[]
  readonly configFile: string | undefined
  readonly logFile: string | undefined
  readonly verbosity: number
  readonly mode: 'run' | 'print-config' | 'print-version'
}

/** Flags that are nothing but a keyword of ssh_config(5). */
const keywords: Readonly<Record<string, (value: string) => string>> = {
  '4': () => 'AddressFamily inet',
  '6': () => 'AddressFamily inet6',
  c: value => `Ciphers ${value}`,
  e: value => `EscapeChar ${value}`,
  i: value => `IdentityFile "${value}"`,
  l: value => `User ${value}`,
  m: value => `MACs ${value}`,
  N: () => 'SessionType none',
  n: () => 'StdinNull yes',
  o: value => value,
  p: value => `Port ${value}`,
  q: () => 'LogLevel QUIET',
  s: () => 'SessionType subsystem',
  T: () => 'RequestTTY no',
}

/** @throws CommandError (255) with the usage */
export function parseInvocation(args: readonly string[]): Invocation {
  const { flags, operands } = parseCommandLine(syntax, args)
  const last = (name: string) => flags.findLast(flag => flag.name === name)?.value
  const count = (name: string) => flags.filter(flag => flag.name === name).length
  const options = flags.flatMap(({ name, value }) => keywords[name]?.(checked(name, value)) ?? [])
  if (count('t') > 0) options.push(`RequestTTY ${count('t') > 1 ? 'force' : 'yes'}`)
  const mode = count('V') ? 'print-version' : count('G') ? 'print-config' : 'run'
  const [destination, ...command] = operands
  if (destination === undefined && mode !== 'print-version') throw new CommandError(usage(syntax), 255)
  return {
    destination: destination ?? '',
    command,
    options,
    configFile: last('F'),
    logFile: last('E'),
    verbosity: count('v'),
    mode,
  }
}

function checked(flag: string, value: string): string {
  if (flag === 'p' && !(/^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= 65535)) {
    throw new CommandError(`Bad port '${value}'`, 255)
  }
  return value
}
