import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, type GivenFlag, parseCommandLine, usage } from '../../src/command/options.ts'
import { type HostFlags, hostFlags, hostOptions, requestFlag, requestSettings } from '../../src/connect/host-flags.ts'

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
    // -B has another meaning here, as in sftp(1).
    ...hostFlags.filter(({ name }) => name !== 'B'),
    { name: '1', description: 'protocol 1, which no longer exists' },
    { name: '2', description: 'protocol 2, as always' },
    { name: 'a', description: 'go on with transfers that were cut off' },
    { name: 'B', argument: 'buffer_size', description: 'bytes of a request' },
    { name: 'b', argument: 'batchfile', description: 'read commands from this file (- for stdin)' },
    { name: 'f', description: 'wait until files are on the disk' },
    { name: 'h', description: 'show the usage' },
    { name: 'l', argument: 'limit', description: 'Kbit a second' },
    { name: 'N', description: 'undo the quiet of -b' },
    { name: 'p', description: 'keep times and permissions' },
    { name: 'R', argument: 'num_requests', description: 'requests in flight' },
    { name: 'r', description: 'move directories with all in them' },
    { name: 's', argument: 'subsystem | sftp_server', description: 'what to run on the host' },
    { name: 'V', description: 'print the version and exit' },
    requestFlag,
  ],
}

/** A command line of tsftp, understood. */
export interface Invocation {
  readonly mode: 'run' | 'print-version'
  readonly destination: Destination | undefined
  /** Where a file given on the command line goes. */
  readonly localTarget: string | undefined
  readonly host: HostFlags
  readonly batchFile: string | undefined
  readonly quiet: boolean
  readonly noisy: boolean
  readonly subsystem: string | undefined
  readonly resume: boolean
  readonly recurse: boolean
  readonly preserve: boolean
  readonly sync: boolean
  readonly blockSize: number | undefined
  readonly maximumRequests: number | undefined
  /** Bytes a second. */
  readonly rate: number | undefined
}

export interface Destination {
  readonly host: string
  readonly user: string | undefined
  readonly port: string | undefined
  readonly path: string | undefined
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
  const ofX = requestSettings('', flags)
  const blockSize = ofX.requestSize ?? positive('buffer size', last('B'))
  const maximumRequests = ofX.requests ?? positive('number of requests', last('R'))
  const mode = has('V') ? 'print-version' : 'run'
  const local = has('D')
  if (mode === 'run' && !local && (operands.length === 0 || operands.length > 2))
    throw new CommandError(usage(syntax), 1)
  const port = last('P')
  if (port !== undefined && !isPort(port)) throw fatal(`Bad port "${port}"`)
  const destination = local || operands[0] === undefined ? undefined : parseDestination(operands[0])
  const connecting = flags.filter(({ name }) => name !== 'B')
  const batchMode: GivenFlag[] = has('b') ? [{ name: 'o', value: 'BatchMode yes' }] : []
  return {
    mode,
    destination,
    localTarget: operands[1],
    host: {
      ...hostOptions('tsftp', [...connecting, ...batchMode]),
      replyTimeout: ofX.replyTimeout,
      noticesLoss: has('a'),
      survivesInterrupts: true,
    },
    batchFile: last('b'),
    quiet: has('q'),
    noisy: has('N'),
    subsystem: last('s'),
    resume: has('a'),
    recurse: has('r'),
    preserve: has('p'),
    sync: has('f'),
    blockSize,
    maximumRequests,
    rate: rateOf(last('l')),
  }
}

function positive(what: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (!/^\d+$/.test(text) || value === 0) throw fatal(`Invalid ${what} "${text}"`)
  return value
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
