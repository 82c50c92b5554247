import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine, usage } from '../../src/command/options.ts'
import { defaultReplyTimeout, replyTimeoutOf } from '../../src/connect/host-flags.ts'

const syntax: CommandLineSyntax = {
  program: 'tsftp',
  synopsis:
    '[-46AaCfNpqrVv] [-B buffer_size] [-b batchfile] [-c cipher]\n' +
    '          [-D sftp_server_command] [-F ssh_config] [-i identity_file]\n' +
    '          [-J destination] [-l limit] [-o ssh_option] [-P port]\n' +
    '          [-R num_requests] [-S program] [-s subsystem | sftp_server]\n' +
    '          [-X sftp_option] destination\n' +
    '       tsftp sync [options] source target\n' +
    '       tsftp browse [options] [left] right',
  description: 'Moves files to and from a remote machine over SFTP.',
  usageStatus: 1,
  flags: [
    { name: '1', description: 'protocol 1, which no longer exists' },
    { name: '2', description: 'protocol 2, as always' },
    { name: '4', description: 'use IPv4 addresses only' },
    { name: '6', description: 'use IPv6 addresses only' },
    { name: 'A', description: 'forward the agent' },
    { name: 'a', description: 'go on with transfers that were cut off' },
    { name: 'B', argument: 'buffer_size', description: 'bytes of a request' },
    { name: 'b', argument: 'batchfile', description: 'read commands from this file (- for stdin)' },
    { name: 'C', description: 'compress' },
    { name: 'c', argument: 'cipher', description: 'ciphers, best first' },
    { name: 'D', argument: 'sftp_server_command', description: 'run a server on this machine' },
    { name: 'F', argument: 'ssh_config', description: 'read this file instead of the usual ones' },
    { name: 'f', description: 'wait until files are on the disk' },
    { name: 'h', description: 'show the usage' },
    { name: 'i', argument: 'identity_file', description: 'private key to try' },
    { name: 'J', argument: 'destination', description: 'reach the host through another' },
    { name: 'l', argument: 'limit', description: 'Kbit a second' },
    { name: 'N', description: 'undo the quiet of -b' },
    { name: 'o', argument: 'ssh_option', description: 'an option as a line of ssh_config(5)' },
    { name: 'P', argument: 'port', description: 'port to connect to' },
    { name: 'p', description: 'keep times and permissions' },
    { name: 'q', description: 'quiet: no meter, no warnings' },
    { name: 'R', argument: 'num_requests', description: 'requests in flight' },
    { name: 'r', description: 'move directories with all in them' },
    { name: 'S', argument: 'program', description: 'connect with this program, which takes flags as ssh(1)' },
    { name: 's', argument: 'subsystem | sftp_server', description: 'what to run on the host' },
    { name: 'V', description: 'print the version and exit' },
    { name: 'v', description: 'log what happens; up to three times' },
    { name: 'X', argument: 'sftp_option', description: 'nrequests=N, buffer=BYTES or timeout=SECONDS' },
  ],
}

/** A command line of tsftp, understood. */
export interface Invocation {
  readonly mode: 'run' | 'print-version'
  readonly destination: Destination | undefined
  /** Where a file given on the command line goes. */
  readonly localTarget: string | undefined
  /** Lines of ssh_config(5) that go before every file. */
  readonly options: readonly string[]
  /** The same as flags, for another program. */
  readonly sshFlags: readonly string[]
  readonly configFile: string | undefined
  readonly verbosity: number
  readonly batchFile: string | undefined
  readonly quiet: boolean
  readonly noisy: boolean
  readonly serverCommand: string | undefined
  readonly program: string | undefined
  readonly subsystem: string | undefined
  readonly resume: boolean
  readonly recurse: boolean
  readonly preserve: boolean
  readonly sync: boolean
  readonly blockSize: number | undefined
  readonly maximumRequests: number | undefined
  /** Bytes a second. */
  readonly rate: number | undefined
  /** Seconds without any answer after which the server counts as gone; 0: never. */
  readonly replyTimeout: number
}

export interface Destination {
  readonly host: string
  readonly user: string | undefined
  readonly port: string | undefined
  readonly path: string | undefined
}

/** Flags that are handed to ssh(1) as they are, and what they say as lines of ssh_config(5). */
const handedOn: Readonly<Record<string, (value: string) => string | undefined>> = {
  '4': () => 'AddressFamily inet',
  '6': () => 'AddressFamily inet6',
  A: () => 'ForwardAgent yes',
  C: () => 'Compression yes',
  c: value => `Ciphers ${value}`,
  i: value => `IdentityFile "${value}"`,
  J: value => `ProxyJump ${value}`,
  o: value => value,
  q: () => 'LogLevel QUIET',
  v: () => undefined,
}

const fatalStatus = 255
const fatal = (text: string): CommandError => new CommandError(text, fatalStatus)

/** @throws CommandError with the usage (1), or with what is wrong with a value (255) */
export function parseInvocation(args: readonly string[]): Invocation {
  const { flags, operands } = parseCommandLine(syntax, args)
  const last = (name: string) => flags.findLast(flag => flag.name === name)?.value
  const has = (name: string): boolean => last(name) !== undefined
  if (has('h')) throw new CommandError(usage(syntax), 1)
  if (has('1')) throw fatal('SSH protocol v.1 is no longer supported')
  if (flags.filter(({ name }) => name === 'b').length > 1) throw fatal('Batch file already specified.')
  const sizes = {
    replyTimeout: defaultReplyTimeout,
    blockSize: positive('buffer size', last('B')),
    maximumRequests: positive('number of requests', last('R')),
  }
  for (const { name, value } of flags) if (name === 'X') Object.assign(sizes, sftpOption(value))
  const mode = has('V') ? 'print-version' : 'run'
  const local = has('D')
  if (mode === 'run' && !local && (operands.length === 0 || operands.length > 2))
    throw new CommandError(usage(syntax), 1)
  const port = last('P')
  if (port !== undefined && !isPort(port)) throw fatal(`Bad port "${port}"`)
  const destination = local || operands[0] === undefined ? undefined : parseDestination(operands[0])
  const wholePort = destination?.port ?? port
  const options = flags.flatMap(({ name, value }) => handedOn[name]?.(value) ?? [])
  return {
    mode,
    destination: destination && { ...destination, port: wholePort },
    localTarget: operands[1],
    options: [...options, ...(has('b') ? ['BatchMode yes'] : [])],
    sshFlags: [
      ...flags.flatMap(({ name, value }) => (handedOn[name] ? [`-${name}`, ...(value === '' ? [] : [value])] : [])),
      ...(has('b') ? ['-o', 'BatchMode yes'] : []),
      '-o',
      'ForwardAgent no',
    ],
    configFile: last('F'),
    verbosity: flags.filter(({ name }) => name === 'v').length,
    batchFile: last('b'),
    quiet: has('q'),
    noisy: has('N'),
    serverCommand: last('D'),
    program: last('S'),
    subsystem: last('s'),
    resume: has('a'),
    recurse: has('r'),
    preserve: has('p'),
    sync: has('f'),
    ...sizes,
    rate: rateOf(last('l')),
  }
}

function positive(what: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value === 0) throw fatal(`Invalid ${what} "${text}"`)
  return value
}

const largestBuffer = 256 * 1024
const mostRequests = 256 * 1024

function sftpOption(text: string): { blockSize?: number; maximumRequests?: number; replyTimeout?: number } {
  const timeout = /^timeout=(.*)$/s.exec(text)?.[1]
  if (timeout !== undefined) return { replyTimeout: replyTimeoutOf(timeout) }
  const buffer = /^buffer=(.*)$/s.exec(text)?.[1]
  if (buffer !== undefined) {
    const [, digits, unit = ''] = /^(\d+)([kK]?)$/.exec(buffer) ?? []
    const value = Number(digits) * (unit === '' ? 1 : 1024)
    if (!(value > 0 && value <= largestBuffer)) throw fatal(`Invalid buffer size "${buffer}": Invalid argument`)
    return { blockSize: value }
  }
  const requests = /^nrequests=(.*)$/s.exec(text)?.[1]
  if (requests === undefined) throw fatal('Invalid -X option')
  const value = Number(requests)
  if (!/^\d+$/.test(requests) || value < 1 || value > mostRequests) {
    const why = !/^\d+$/.test(requests) ? 'invalid' : value < 1 ? 'too small' : 'too large'
    throw fatal(`Invalid number of requests "${requests}": ${why}`)
  }
  return { maximumRequests: value }
}

const largestLimit = 100 * 1024 * 1024

function rateOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > largestLimit) throw new CommandError(usage(syntax), 1)
  return (value * 1024) / 8
}

const isPort = (text: string): boolean => /^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= 65535

/** `[user@]host[:path]` or `sftp://[user@]host[:port][/path]`. @throws CommandError */
export function parseDestination(text: string): Destination {
  if (/^sftp:\/\//i.test(text)) {
    const uri = /^sftp:\/\/(?:([^@/]*)@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?(?:\/(.*))?$/is.exec(text)
    if (!uri || (uri[3] !== undefined && !isPort(uri[3]))) throw new CommandError(usage(syntax), 1)
    const [, user, host = '', port, path] = uri
    return {
      host: checkedHost(host.replace(/^\[|\]$/g, '')),
      // What follows a semicolon is parameters of the user.
      user: user && decode(user.replace(/;.*/, '')),
      port,
      path: path ? decode(path) : undefined,
    }
  }
  const [, user, bracketed, plain, path] =
    /^(?:(.*?)@(?!.*@[^:]*(?::|$)))?(?:\[([^\]]+)\]|([^:]*))(?::(.*))?$/s.exec(text) ?? []
  const host = bracketed ?? plain ?? ''
  return { host: checkedHost(host), user: user || undefined, port: undefined, path: path || undefined }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw new CommandError(usage(syntax), 1)
  }
}

function checkedHost(host: string): string {
  if (host === '') throw new CommandError(`Missing hostname\n${usage(syntax)}`, 1)
  if (host.startsWith('-')) throw fatal('hostname contains invalid characters')
  return host
}
