import type { Arguments, Kind } from './keyword.ts'
import { matchAddressList } from './pattern.ts'
import { choice, command, parseInteger, parsePort, parseTime, type RekeyLimit, text, words } from './values.ts'

/** The sorts of values that only sshd_config has. */

const yesNo = choice({ yes: ['yes'], no: ['no'] })

export const flag: Kind<boolean> = {
  parse: (args: Arguments) => yesNo.parse(args) === 'yes',
  print: value => (value ? 'yes' : 'no'),
}

export const integer: Kind<number> = {
  parse(args: Arguments) {
    const value = parseInteger(args.next())
    return typeof value === 'number' ? value : args.fail(`${args.keyword} integer value ${value}.`)
  },
  print: String,
}

/** No limit when `none`. */
export const integerOrNone: Kind<number> = {
  parse(args: Arguments) {
    const word = args.need(`${args.keyword} missing argument.`)
    const value = word === 'none' ? Number.POSITIVE_INFINITY : parseInteger(word)
    return typeof value === 'number' ? value : args.fail(`${args.keyword} integer value ${value}.`)
  },
  print: value => (value === Number.POSITIVE_INFINITY ? 'none' : `${value}`),
}

export const time: Kind<number> = {
  parse: (args: Arguments) => parseTime(args.need('missing time value.')) ?? args.fail('invalid time value.'),
  print: String,
}

/** Seconds; `none` is 0. */
export const timeOrNone: Kind<number> = {
  parse(args: Arguments) {
    const word = args.need('missing time value.')
    return word.toLowerCase() === 'none' ? 0 : (parseTime(word) ?? args.fail('invalid time value.'))
  },
  print: value => (value === 0 ? 'none' : `${value}`),
}

/** One of several words in exactly this case. */
export function exactChoice<const T extends string>(...values: T[]): Kind<T> {
  return {
    parse(args: Arguments) {
      const word = args.need(`${args.keyword} missing argument.`)
      return values.find(value => value === word) ?? args.fail(`bad ${args.keyword} argument ${word}`)
    },
    print: value => value,
  }
}

export const forwardingChoice = choice({ yes: ['yes', 'all'], no: ['no'], remote: ['remote'], local: ['local'] })

const maxPorts = 256

export const ports: Kind<readonly number[]> = {
  parse(args: Arguments) {
    const port = parsePort(args.need('missing port number.'))
    return port ? [port] : args.fail('Badly formatted port number.')
  },
  print: list => list.slice(0, maxPorts).map(String),
}

/** Where the server listens. */
export interface ListenAddress {
  /** A numeric address or a host name. */
  readonly host: string
  /** 0: every Port. */
  readonly port: number
  readonly routingDomain: string | undefined
}

export const listenAddresses: Kind<readonly ListenAddress[]> = {
  parse(args: Arguments) {
    const word = args.need('missing address')
    const bareIpv6 = !word.includes('[') && word.split(':').length > 2
    const match = bareIpv6 ? [word, word, undefined] : /^(\[[^\]]*\]|[^:/]*)(?::(.*))?$/.exec(word)
    if (!match) return args.fail('bad address:port usage')
    const port = match[2] === undefined ? 0 : parsePort(match[2])
    if (port === undefined || (port === 0 && match[2] !== undefined)) return args.fail('bad port number')
    let routingDomain: string | undefined
    if (args.left > 0) {
      const keyword = args.next()
      routingDomain = args.next()
      if (keyword !== 'rdomain' || routingDomain === undefined) return args.fail('bad ListenAddress syntax')
    }
    return [{ host: match[1]!.replace(/^\[(.*)\]$/, '$1'), port, routingDomain }]
  },
  print: list =>
    list.map(({ host, port, routingDomain }) => {
      const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
      return routingDomain === undefined ? place : `${place} rdomain ${routingDomain}`
    }),
}

const absolute = (args: Arguments, path: string): string => args.settings.absolutePath?.(path) ?? path

/** A file, absolute from the directory where the server was started. */
export const file: Kind<string> = {
  ...text,
  parse: (args: Arguments) => absolute(args, args.need('missing file name.')),
}

export const oneFile: Kind<readonly string[]> = {
  parse: (args: Arguments) => [absolute(args, args.need('missing file name.'))],
  print: list => list,
}

export const agentSocket: Kind<string> = {
  ...text,
  parse(args: Arguments) {
    const word = args.need('missing socket name.')
    return word === 'SSH_AUTH_SOCK' ? word : absolute(args, word)
  },
}

export const securityKeyProvider: Kind<string> = {
  ...text,
  parse(args: Arguments) {
    const word = args.need(`${args.keyword} missing argument.`)
    return word.toLowerCase() === 'internal' ? word : absolute(args, word)
  },
}

/** Names with tokens, relative to the home of the user who logs in. */
export const files: Kind<readonly string[]> = {
  ...words(),
  parse: (args: Arguments) => words().parse(args) ?? args.fail(`no ${args.keyword} specified`),
  print: list => (list.length === 0 ? undefined : list.join(' ')),
}

/** A command with an absolute path, or `none`. */
export const absoluteCommand: Kind<string> = {
  ...command,
  parse(args: Arguments) {
    const line = args.raw()
    const valid = line.startsWith('/') || line.toLowerCase() === 'none'
    return valid ? line : args.fail(`${args.keyword} must be an absolute path`)
  },
}

/** The text after the version in the server's identification; `none` is empty. */
export const versionAddendum: Kind<string> = {
  parse(args: Arguments) {
    const rest = args.raw()
    if (rest.includes('\r')) args.fail(`Invalid ${args.keyword} argument`)
    const value = rest.replace(/#.*/s, '').trimEnd()
    return value.toLowerCase() === 'none' ? '' : value
  },
  print: value => (value === '' ? 'none' : value),
}

/** Setting the routing domain of a process exists on OpenBSD only. */
export const routingDomain: Kind<string> = {
  ...text,
  parse: (args: Arguments) => args.fail('setting RDomain not supported on this platform.'),
}

function patterns(
  check: (pattern: string) => boolean,
  complaint: (keyword: string, pattern: string) => string,
): Kind<readonly string[]> {
  return {
    parse(args: Arguments) {
      const list = args.all()
      for (const pattern of list) if (!check(pattern)) args.fail(complaint(args.keyword, pattern))
      return list.length > 0 ? list : args.fail(`no ${args.keyword} specified`)
    },
    print: list => list,
  }
}

export const userPatterns = patterns(
  pattern => {
    const at = pattern.lastIndexOf('@')
    return pattern !== '' && (at < 0 || matchAddressList(undefined, pattern.slice(at + 1)) !== 'invalid')
  },
  (keyword, pattern) => `invalid ${keyword} pattern: "${pattern}"`,
)
export const groupPatterns = patterns(
  pattern => pattern !== '',
  keyword => `empty ${keyword} pattern`,
)
export const environmentNames = patterns(
  name => name !== '' && !name.includes('='),
  () => 'Invalid environment name.',
)

const knownMethods = [
  'none',
  'publickey',
  'publickey-hostbound-v00@openssh.com',
  'gssapi-with-mic',
  'password',
  'keyboard-interactive',
  'hostbased',
]

/** Lists of methods, one of which must be completed; empty: any method alone. */
export const authenticationMethods: Kind<readonly string[]> = {
  parse(args: Arguments) {
    const lists = args.all()
    if (lists.length === 0) args.fail(`no ${args.keyword} specified`)
    if (lists.includes('any')) return lists.length === 1 ? [] : args.fail(`"any" must appear alone in ${args.keyword}`)
    const known = (method: string): boolean =>
      knownMethods.slice(1).includes(method.replace(/:.*/s, '')) || method === 'none'
    for (const list of lists) {
      if (!list.split(',').every(known)) args.fail(`invalid ${args.keyword} method list.`)
    }
    return lists
  },
  print: lists => (lists.length === 0 ? 'any' : lists.join(' ')),
}

/** A subsystem: its command, and the command line with its arguments as `-T` shows it. */
export interface Subsystem {
  readonly name: string
  readonly command: string
  readonly commandLine: string
}

const quoteWord = (word: string): string => {
  const escaped = word.replace(/[\\'"]/g, '\\$&')
  return /[ \t]/.test(word) ? `"${escaped}"` : escaped
}

export const subsystems: Kind<readonly Subsystem[]> = {
  parse(args: Arguments) {
    const name = args.need(`${args.keyword} missing argument.`)
    const program = args.need(`${args.keyword} missing argument.`)
    return [{ name, command: program, commandLine: [program, ...args.all()].map(quoteWord).join(' ') }]
  },
  print: list => list.map(item => `${item.name} ${item.commandLine}`),
}

/** A name that is defined already stays as it was. */
export function addSubsystems(
  current: readonly Subsystem[] | undefined,
  value: readonly Subsystem[],
): readonly Subsystem[] {
  const fresh = value.filter(item => !current?.some(known => known.name === item.name))
  return fresh.length === 0 && current ? current : [...(current ?? []), ...fresh]
}

export const mergeRekeyLimit = (current: RekeyLimit | undefined, value: RekeyLimit): RekeyLimit => ({
  bytes: current?.bytes ?? value.bytes,
  seconds: current?.seconds ?? value.seconds,
})

/** From `begin` unauthenticated connections on, `rate` percent are dropped, growing to all at `full`. */
export interface MaxStartups {
  readonly begin: number
  readonly rate: number
  readonly full: number
}

export const maxStartups: Kind<MaxStartups> = {
  parse(args: Arguments) {
    const word = args.need(`${args.keyword} missing argument.`)
    const match = /^([+-]?\d{1,9})(?::([+-]?\d{1,9}):([+-]?\d{1,9})|(?!:))/.exec(word)
    const begin = Number(match?.[1] ?? 0)
    const full = match?.[3] === undefined ? begin : Number(match[3])
    const rate = Number(match?.[2] ?? 30)
    const wrongRate = match?.[2] !== undefined && (begin > full || rate > 100 || rate < 1)
    if (!match || wrongRate || begin <= 0 || full <= 0) args.fail(`Invalid ${args.keyword} spec.`)
    return { begin, rate, full }
  },
  print: ({ begin, rate, full }) => `${begin}:${rate}:${full}`,
}

/** Addresses that agree in so many bits count as one source. */
export interface NetBlockSize {
  readonly ipv4: number
  readonly ipv6: number
}

export const netBlockSize: Kind<NetBlockSize> = {
  parse(args: Arguments) {
    const match = /^(\d{1,3})(?::(\d{1,3}))?/.exec(args.need(`${args.keyword} missing argument.`))
    const ipv4 = Number(match?.[1] ?? -1)
    const ipv6 = Number(match?.[2] ?? 128)
    if (ipv4 < 0 || ipv4 > 32 || ipv6 > 128) args.fail(`Invalid ${args.keyword} spec.`)
    return { ipv4, ipv6 }
  },
  print: ({ ipv4, ipv6 }) => `${ipv4}:${ipv6}`,
}

/** `host:port` patterns of PermitOpen and PermitListen, or `any` or `none` alone. */
export function permittedAddresses(sort: 'open' | 'listen'): Kind<readonly string[]> {
  return {
    parse(args: Arguments) {
      const given = args.all()
      if (given.length === 0) args.fail(`${args.keyword} missing argument.`)
      return given.map((word, index) => {
        if (word === 'any' || word === 'none') {
          return index === 0 ? word : args.fail(`${word} must appear alone on a ${args.keyword} line.`)
        }
        const full = sort === 'listen' && !word.includes(':') ? `*:${word}` : word
        const match = /^(?:\[[^\]]*\]|[^:/]*)(?::(.*))?$/.exec(full)
        if (!match) return args.fail(`${args.keyword} missing host`)
        const valid = match[1] === '*' || (match[1] !== undefined && Boolean(parsePort(match[1])))
        return valid ? full : args.fail(`${args.keyword} bad port number`)
      })
    },
    print: list => list.join(' '),
  }
}

/** Whether `~/.ssh/environment` counts; a pattern list says which variables. */
export const userEnvironment: Kind<boolean | string> = {
  parse(args: Arguments) {
    const word = args.need(`${args.keyword} missing argument.`)
    return word === 'yes' ? true : word === 'no' ? false : word
  },
  print: value => (typeof value === 'string' ? value : value ? 'yes' : 'no'),
}

export type PubkeyAuthOption = 'touch-required' | 'verify-required'

export const pubkeyAuthOptions: Kind<readonly PubkeyAuthOption[]> = {
  parse(args: Arguments) {
    const given = args.all().filter(word => word.toLowerCase() !== 'none')
    const set = new Set(given.map(word => word.toLowerCase()))
    const known = (['touch-required', 'verify-required'] as const).filter(option => set.delete(option))
    const odd = given.find(word => set.has(word.toLowerCase()))
    return odd === undefined ? known : args.fail(`unsupported ${args.keyword} option ${odd}`)
  },
  print: list => (list.length === 0 ? 'none' : list.join(' ')),
}

/** Seconds of refusal that addresses earn, and how many addresses are remembered. */
export interface PerSourcePenalties {
  readonly enabled: boolean
  readonly crash: number
  readonly authfail: number
  readonly noauth: number
  readonly invaliduser: number
  readonly 'grace-exceeded': number
  readonly refuseconnection: number
  readonly max: number
  readonly min: number
  readonly 'max-sources4': number
  readonly 'max-sources6': number
  readonly overflow: 'permissive' | 'deny-all'
  readonly overflow6: 'permissive' | 'deny-all'
}

export const defaultPenalties: PerSourcePenalties = {
  enabled: true,
  crash: 90,
  authfail: 5,
  noauth: 1,
  invaliduser: 5,
  'grace-exceeded': 10,
  refuseconnection: 10,
  max: 600,
  min: 15,
  'max-sources4': 65_536,
  'max-sources6': 65_536,
  overflow: 'permissive',
  overflow6: 'permissive',
}

const penaltyTimes = [
  'crash',
  'authfail',
  'noauth',
  'invaliduser',
  'grace-exceeded',
  'refuseconnection',
  'max',
  'min',
] as const
const penaltyCounts = ['max-sources4', 'max-sources6'] as const

/** Seconds with their fraction. */
function fractionalTime(value: string): number | undefined {
  const fraction = /(?<=^|[mhdw])\d*(\.\d+)s?$/i.exec(value)
  const whole = parseTime(value)
  return whole === undefined ? undefined : whole + Number(fraction?.[1] ?? 0)
}

/** Only what a line names is set; the rest comes from other lines and the defaults. */
export const perSourcePenalties: Kind<PerSourcePenalties> = {
  parse(args: Arguments) {
    const list = args.all()
    if (list.length === 0) args.fail(`no ${args.keyword} specified`)
    const set: Partial<Record<keyof PerSourcePenalties, number | string | boolean>> = {}
    for (const word of list) {
      if (/^(no|yes)$/i.test(word)) {
        if (list.length > 1) args.fail(`keyword ${args.keyword} "${word}" argument must appear alone.`)
        return { enabled: word.toLowerCase() === 'yes' } as PerSourcePenalties
      }
      const colon = word.indexOf(':')
      const name = word.slice(0, colon)
      const value = word.slice(colon + 1)
      const timeName = penaltyTimes.find(known => known === name)
      const countName = penaltyCounts.find(known => known === name)
      set.enabled = true
      if (timeName) set[timeName] ??= fractionalTime(value) ?? args.fail(`invalid ${args.keyword} time value.`)
      else if (countName) {
        const count = parseInteger(value)
        if (typeof count === 'string') args.fail(`${args.keyword} value ${count}.`)
        set[countName] ??= count
      } else if ((name === 'overflow' || name === 'overflow6') && /^(deny-all|permissive)$/.test(value))
        set[name] ??= value
      else args.fail(`unsupported ${args.keyword} keyword ${word}`)
    }
    return set as unknown as PerSourcePenalties
  },
  print(value) {
    if (!value.enabled) return 'no'
    const times = penaltyTimes.map(name => `${name}:${value[name].toFixed(6)}`)
    const counts = penaltyCounts.map(name => `${name}:${value[name]}`)
    return [...times, ...counts, `overflow:${value.overflow}`, `overflow6:${value.overflow6}`].join(' ')
  },
}
