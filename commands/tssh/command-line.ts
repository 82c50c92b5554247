import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, type GivenFlag, parseCommandLine, usage } from '../../src/command/options.ts'
import { parseForward, parseJumpHost, parseJumpHosts } from '../../src/openssh/forwarding.ts'

const syntax: CommandLineSyntax = {
  program: 'tssh',
  synopsis:
    '[-46AaCfGgKkMNnqsTtVvXxYyZ] [-B bind_interface] [-b bind_address] [-c cipher_spec] [-D [bind_address:]port]\n' +
    '            [-E log_file] [-e escape_char] [-F configfile] [-I pkcs11] [-i identity_file] [-J destination]\n' +
    '            [-L address] [-l login_name] [-m mac_spec] [-O ctl_cmd] [-o option] [-P tag] [-p port]\n' +
    '            [-R address] [-S ctl_path] [-W host:port] [-w local_tun[:remote_tun]]\n' +
    '            destination [command [argument ...]]\n' +
    '       tssh -Q query\n' +
    '       tssh -G [--explain] [--json] destination\n' +
    '       tssh --lint [--json] [file]',
  description: 'Logs in to a remote machine, or runs a command there, over SSH.',
  usageStatus: 255,
  flagsMayFollow: 'first-operand',
  flags: [
    { name: '1', description: 'refused: version 1 of the protocol is gone' },
    { name: '2', description: 'does nothing: there is only version 2 of the protocol' },
    { name: '4', description: 'use IPv4 addresses only' },
    { name: '6', description: 'use IPv6 addresses only' },
    { name: 'A', description: 'forward the agent' },
    { name: 'a', description: 'do not forward the agent' },
    { name: 'B', argument: 'bind_interface', description: 'connect from the address of this interface' },
    { name: 'b', argument: 'bind_address', description: 'connect from this address' },
    { name: 'C', description: 'compress all data' },
    { name: 'c', argument: 'cipher_spec', description: 'ciphers, best first' },
    { name: 'D', argument: 'address', description: 'be a SOCKS proxy at [bind_address:]port' },
    { name: 'E', argument: 'log_file', description: 'append log lines to this file instead of stderr' },
    { name: 'e', argument: 'escape_char', description: 'escape character of interactive sessions (~, ^x or none)' },
    { name: 'F', argument: 'configfile', description: 'read this file instead of the usual ones (none for no file)' },
    { name: 'f', description: 'go to the background once logged in' },
    { name: 'G', description: 'print the configuration for the destination and exit' },
    { name: 'g', description: 'let other hosts use forwarded ports' },
    { name: 'I', argument: 'pkcs11', description: 'library of a PKCS#11 token' },
    { name: 'i', argument: 'identity_file', description: 'private key to try; may be given more than once' },
    { name: 'J', argument: 'destination', description: 'go through this host, or these, separated by commas' },
    { name: 'K', description: 'log in by GSSAPI and delegate the credentials' },
    { name: 'k', description: 'do not delegate GSSAPI credentials' },
    { name: 'L', argument: 'address', description: 'forward a local port or socket' },
    { name: 'l', argument: 'login_name', description: 'user to log in as' },
    { name: 'M', description: 'share this connection (ControlMaster)' },
    { name: 'm', argument: 'mac_spec', description: 'message authentication codes, best first' },
    { name: 'N', description: 'run no remote command' },
    { name: 'n', description: 'read nothing: stdin is /dev/null' },
    { name: 'O', argument: 'ctl_cmd', description: 'tell the process that shares a connection what to do' },
    { name: 'o', argument: 'option', description: 'an option as a line of ssh_config(5)' },
    { name: 'P', argument: 'tag', description: 'tag for Match tagged' },
    { name: 'p', argument: 'port', description: 'port to connect to' },
    {
      name: 'Q',
      argument: 'query',
      description: 'print the algorithms of one kind (-Q help lists the kinds) and exit',
    },
    { name: 'q', description: 'quiet: no warnings' },
    { name: 'R', argument: 'address', description: 'forward a remote port or socket' },
    { name: 'S', argument: 'ctl_path', description: 'socket for sharing a connection' },
    { name: 's', description: 'the command names a subsystem' },
    { name: 'T', description: 'ask for no terminal' },
    { name: 't', description: 'ask for a terminal; twice: even when stdin is none' },
    { name: 'V', description: 'print the version and exit' },
    { name: 'v', description: 'log what happens; up to three times' },
    { name: 'W', argument: 'host:port', description: 'forward stdin and stdout to this place' },
    { name: 'w', argument: 'tunnel', description: 'forward a tun device: local_tun[:remote_tun]' },
    { name: 'X', description: 'forward X11' },
    { name: 'x', description: 'do not forward X11' },
    { name: 'Y', description: 'forward X11, trusting the remote host' },
    { name: 'y', description: 'log to syslog' },
    { name: 'Z', description: 'print the public keys that would be tried, in order, and exit' },
    { name: 'explain', description: 'with -G: say which line of which file set each option' },
    { name: 'lint', description: 'look for mistakes in a configuration file (~/.ssh/config) and exit' },
    { name: 'json', description: 'with --lint or --explain: print JSON' },
  ],
}

/** A command line of tssh, understood. */
export interface Invocation {
  readonly destination: string
  /** Of the destination. */
  readonly host: string
  /** The words after the destination, as typed. */
  readonly command: readonly string[]
  /** What the flags say, as lines of ssh_config(5) that go before every file. */
  readonly options: readonly string[]
  /** `-l` or a name in the destination, whichever comes first; undefined when an option comes before both. */
  readonly user: string | undefined
  /** The values of `-i`: files that have to be there. */
  readonly identityFiles: readonly string[]
  readonly configFile: string | undefined
  readonly logFile: string | undefined
  readonly logToSyslog: boolean
  readonly verbosity: number
  /** Where `-W` leads. */
  readonly stdioForward: { readonly host: string; readonly port: number } | { readonly path: string } | undefined
  readonly json: boolean
  readonly mode: 'run' | 'print-config' | 'list-keys' | 'explain-config' | 'lint' | 'print-version' | 'query'
  /** What -Q asks for. */
  readonly query: string | undefined
}

/** Flags that are nothing but keywords of ssh_config(5). */
const keywords: Readonly<Record<string, (value: string) => string | readonly string[]>> = {
  '4': () => 'AddressFamily inet',
  '6': () => 'AddressFamily inet6',
  A: () => 'ForwardAgent yes',
  a: () => 'ForwardAgent no',
  B: value => `BindInterface ${value}`,
  b: value => `BindAddress ${value}`,
  C: () => 'Compression yes',
  c: value => `Ciphers ${value}`,
  D: value => `DynamicForward ${value}`,
  e: value => `EscapeChar ${value}`,
  f: () => ['ForkAfterAuthentication yes', 'StdinNull yes'],
  g: () => 'GatewayPorts yes',
  I: value => `PKCS11Provider ${value}`,
  J: value => `ProxyJump ${value}`,
  K: () => ['GSSAPIAuthentication yes', 'GSSAPIDelegateCredentials yes'],
  k: () => 'GSSAPIDelegateCredentials no',
  L: value => `LocalForward ${forward(value, 'local')}`,
  m: value => `MACs ${value}`,
  N: () => 'SessionType none',
  n: () => 'StdinNull yes',
  o: value => value,
  P: value => `Tag ${value}`,
  p: value => `Port ${value}`,
  q: () => 'LogLevel QUIET',
  R: value => `RemoteForward ${forward(value, 'remote')}`,
  S: value => `ControlPath ${value}`,
  s: () => 'SessionType subsystem',
  T: () => 'RequestTTY no',
  w: value => ['Tunnel point-to-point', `TunnelDevice ${value}`],
  X: () => 'ForwardX11 yes',
  x: () => 'ForwardX11 no',
  Y: () => ['ForwardX11 yes', 'ForwardX11Trusted yes'],
  W: () => ['RequestTTY no', 'SessionType none'],
}

/** `-L` and `-R` have one argument where the keywords have two, which are joined by a colon anyway. */
function forward(spec: string, sort: 'local' | 'remote'): string {
  const known = parseForward(spec, sort)
  if (!known) throw new CommandError(`Bad ${sort} forwarding specification '${spec}'`, 255)
  return known.connect === 'socks' ? spec : spec.replace(/^((?:\[[^\]]*\]|\\.|[^:\\])*):/, '$1 ')
}

/** @throws CommandError (255) with the usage */
export function parseInvocation(args: readonly string[]): Invocation {
  const { flags, operands, flagsBefore } = parseCommandLine(syntax, args)
  const last = (name: string) => flags.findLast(flag => flag.name === name)?.value
  const count = (name: string) => flags.filter(flag => flag.name === name).length
  if (count('1') > 0) throw new CommandError('SSH protocol v.1 is no longer supported', 255)
  const mode = modeOf(count)
  const [destination, ...command] = operands
  if (destination === undefined && ['run', 'print-config', 'explain-config', 'list-keys'].includes(mode))
    throw new CommandError(usage(syntax), 255)
  const place =
    mode === 'lint' || mode === 'query' || destination === undefined ? undefined : parseDestination(destination)
  const lines = (some: readonly GivenFlag[]): string[] =>
    some.flatMap(({ name, value }) => keywords[name]?.(checked(name, value)) ?? [])
  // What comes first wins, and the destination has its place among the flags.
  const options = [
    ...lines(flags.slice(0, flagsBefore)),
    ...(place?.port === undefined ? [] : [`Port ${place.port}`]),
    ...lines(flags.slice(flagsBefore)),
  ]
  // Stronger than an -o before it.
  if (count('t') > 0) options.unshift(`RequestTTY ${count('t') > 1 ? 'force' : 'yes'}`)
  if (count('M') > 0) options.push(`ControlMaster ${count('M') > 1 ? 'ask' : 'yes'}`)
  if (count('O') > 0)
    throw new CommandError('Control socket connection: tssh does not share connections; -O has nobody to tell', 255)
  const stdio = last('W')
  return {
    destination: destination ?? '',
    command,
    options,
    host: place?.host ?? '',
    user: firstUser(flags.slice(0, flagsBefore), place?.user, flags.slice(flagsBefore)),
    identityFiles: flags.filter(({ name }) => name === 'i').map(({ value }) => value),
    configFile: last('F'),
    logFile: last('E'),
    logToSyslog: count('y') > 0,
    verbosity: count('v'),
    stdioForward: stdio === undefined ? undefined : stdioTarget(stdio),
    json: count('json') > 0,
    query: flags.find(({ name }) => name === 'Q')?.value,
    mode,
  }
}

function firstUser(before: readonly GivenFlag[], named: string | undefined, after: readonly GivenFlag[]) {
  const users = (flags: readonly GivenFlag[]): GivenFlag[] =>
    flags.filter(({ name, value }) => name === 'l' || (name === 'o' && /^\s*user[\s=]/i.test(value)))
  const first = [...users(before), ...(named === undefined ? [] : [{ name: 'l', value: named }]), ...users(after)][0]
  return first?.name === 'l' ? first.value : undefined
}

function modeOf(count: (name: GivenFlag['name']) => number): Invocation['mode'] {
  if (count('V')) return 'print-version'
  if (count('Q')) return 'query'
  if (count('lint')) return 'lint'
  if (count('explain')) return 'explain-config'
  if (count('G')) return 'print-config'
  return count('Z') ? 'list-keys' : 'run'
}

/** `host:port`, `[host]:port`, or the path of a socket. */
function stdioTarget(text: string): NonNullable<Invocation['stdioForward']> {
  if (text.startsWith('/')) return { path: text }
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (!match || port < 1 || port > 65535) throw new CommandError(`Bad stdio forwarding specification '${text}'`, 255)
  return { host: (match[1] ?? match[2])!, port }
}

/** What a flag refuses in words of its own, before the keyword would. */
function checked(flag: string, value: string): string {
  if (flag === 'D' && !parseForward(value, 'dynamic'))
    throw new CommandError(`Bad dynamic forwarding specification '${value}'`, 255)
  if (flag === 'e' && !/^(none|\^.|[\x00-\x7f])$/.test(value))
    throw new CommandError(`Bad escape character '${value}'.`, 255)
  if (flag === 'J' && !parseJumpHosts(value, true)) throw new CommandError('Invalid -J argument', 255)
  if (flag === 'p' && !(/^\d+$/.test(value) && Number(value) >= 1 && Number(value) <= 65535)) {
    throw new CommandError(`Bad port '${value}'`, 255)
  }
  return value
}

/** `[user@]host` or `ssh://[user@]host[:port]`. @throws CommandError (255), with the usage where ssh shows its own */
export function parseDestination(text: string): {
  readonly user: string | undefined
  readonly host: string
  readonly port: string | undefined
} {
  if (text.startsWith('ssh://')) {
    const place = parseJumpHost(text)
    if (!place) throw new CommandError(usage(syntax), 255)
    return { user: place.user, host: place.host, port: place.port === undefined ? undefined : String(place.port) }
  }
  const at = text.lastIndexOf('@')
  if (at === 0) throw new CommandError(usage(syntax), 255)
  const host = text.slice(at + 1)
  if (!host || host.startsWith('-')) throw new CommandError('hostname contains invalid characters', 255)
  return { user: at > 0 ? text.slice(0, at) : undefined, host, port: undefined }
}
