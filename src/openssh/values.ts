import { type AlgorithmNames, selectAlgorithms, validAlgorithmSpec } from './algorithm-list.ts'
import type { ConfigError } from './errors.ts'
import { type Arguments, type Kind, problemAt } from './keyword.ts'

/** The sorts of values that ssh_config and sshd_config share. */

const maxInt = 2 ** 31 - 1

/** strtonum(3) from 0: the number, or OpenSSH's word for what is wrong. */
export function parseInteger(
  text: string | undefined,
  max = maxInt,
): number | 'missing' | 'invalid' | 'too small' | 'too large' {
  if (text === undefined || text === '') return 'missing'
  if (!/^[ \t]*[+-]?\d+$/.test(text)) return 'invalid'
  const value = Number(text)
  return value < 0 ? 'too small' : value > max ? 'too large' : value + 0
}

/** A port: 0 to 65535; undefined for anything else. Service names are not looked up. */
export function parsePort(text: string): number | undefined {
  const value = parseInteger(text, 65535)
  return typeof value === 'number' ? value : undefined
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }

/** A time such as `90`, `1h30m` or `1.5s` in whole seconds (sshd_config(5), TIME FORMATS); undefined when malformed. */
export function parseTime(text: string): number | undefined {
  let total = 0
  let sawSeconds = false
  let rest = text
  if (rest === '') return undefined
  while (rest !== '') {
    const part = /^(\d*\.\d+|\d+)([smhdw]?)/i.exec(rest)
    if (!part) return undefined
    const unit = part[2]!.toLowerCase()
    rest = rest.slice(part[0].length)
    if (unit === '' && rest !== '') return undefined
    const seconds = unitSeconds[unit || 's']!
    if (seconds === 1) {
      if (sawSeconds) return undefined
      sawSeconds = true
    } else if (part[1]!.includes('.')) return undefined
    total += Number(part[1]) * seconds
  }
  return total > maxInt ? undefined : Math.floor(total)
}

/** A size such as `1G` or `512k` in bytes (scan_scaled(3)), or the system's words for what is wrong. */
export function parseSize(text: string): number | 'Invalid argument' | 'Numerical result out of range' {
  const match = /^[ \t\n\v\f\r]*([+-]?)(\d*)(?:\.(\d*))?([bkmgtpe]?)$/i.exec(text)
  if (!match || (match[2] === '' && !match[3])) return 'Invalid argument'
  const scale = 1024 ** 'bkmgtpe'.indexOf((match[4] || 'b').toLowerCase())
  const value = Math.floor(Number(`${match[2] || '0'}.${match[3] || '0'}`) * scale) * (match[1] === '-' ? -1 : 1)
  return Number.isSafeInteger(value) ? value : 'Numerical result out of range'
}

/** One of several words, without regard to case. The first spelling of each value is the one printed. */
export function choice<T extends string>(spellings: Readonly<Record<T, readonly string[]>>): Kind<T> {
  const entries = Object.entries(spellings) as [T, readonly string[]][]
  return {
    parse(args) {
      const word = args.need('missing argument.')
      const found = entries.find(([, words]) => words.includes(word.toLowerCase()))
      return found ? found[0] : args.fail(`unsupported option "${word}".`)
    },
    print: value => spellings[value][0],
  }
}

const yesNo = choice({ yes: ['yes', 'true'], no: ['no', 'false'] })

export const flag: Kind<boolean> = {
  parse(args) {
    const word = yesNo.parse(args)
    return word === undefined ? undefined : word === 'yes'
  },
  print: value => (value ? 'yes' : 'no'),
}

export const integer: Kind<number> = {
  parse(args) {
    const value = parseInteger(args.next())
    return typeof value === 'number' ? value : args.fail(`integer value ${value}.`)
  },
  print: String,
}

export function takeTime(args: Arguments): number | undefined {
  const word = args.need('missing time value.')
  if (word === 'none') return undefined
  return parseTime(word) ?? args.fail('invalid time value.')
}

/** Seconds; `none` counts as not set. */
export const time: Kind<number> = { parse: takeTime, print: String }

export const text: Kind<string> = {
  parse: args => args.need(),
  print: value => value,
  mapText: (value, change) => change(value),
}

/** The rest of the line. */
export const command: Kind<string> = { ...text, parse: args => args.raw() }

/** Words on one line; `none` may only stand alone. */
export function words(options: { max?: number; noneAlone?: boolean; empty?: 'none' } = {}): Kind<readonly string[]> {
  const { max = Number.POSITIVE_INFINITY, noneAlone = true } = options
  return {
    parse(args) {
      const list = args.all()
      if (list.includes('')) args.fail(`keyword ${args.keyword} empty argument`)
      if (noneAlone && list.length > 1 && list.some(word => word.toLowerCase() === 'none')) {
        args.fail(`keyword ${args.keyword} "none" argument must appear alone.`)
      }
      if (list.length > max) args.fail(`too many ${args.keyword} entries.`)
      return list.length === 0 ? undefined : list
    },
    print: list => (list.length === 0 ? 'none' : list.join(' ')),
    mapText: (list, change) => list.map(change),
  }
}

/** A comma-separated list kept as words. */
export const commaList: Kind<readonly string[]> = {
  parse: args => args.need().split(','),
  print: list => list.join(','),
}

/** Algorithms of one sort; `complaint` begins OpenSSH's error. */
export function algorithms(
  sort: keyof AlgorithmNames,
  complaint: string,
  wildcards: 'allowed' | 'refused' = 'refused',
): Kind<readonly string[]> {
  return {
    parse(args) {
      const spec = args.need()
      const { defaults, supported } = args.settings.algorithms[sort]
      if (!validAlgorithmSpec(spec, supported, wildcards)) args.fail(`${complaint} '${spec}'.`)
      try {
        return selectAlgorithms(spec, defaults, supported)
      } catch (error) {
        throw problemAt(args.line, (error as ConfigError).message)
      }
    },
    print: list => list.join(','),
  }
}

export const logLevels = ['QUIET', 'FATAL', 'ERROR', 'INFO', 'VERBOSE', 'DEBUG', 'DEBUG2', 'DEBUG3'] as const
export type LogLevel = (typeof logLevels)[number]

export const logLevel: Kind<LogLevel> = {
  parse(args) {
    const word = args.next()
    const name = word?.toUpperCase() === 'DEBUG1' ? 'DEBUG' : word?.toUpperCase()
    return logLevels.find(level => level === name) ?? args.fail(`unsupported log level '${word ?? '<NONE>'}'`)
  },
  print: value => value,
}

export const syslogFacilities = [
  'DAEMON',
  'USER',
  'AUTH',
  'AUTHPRIV',
  'LOCAL0',
  'LOCAL1',
  'LOCAL2',
  'LOCAL3',
  'LOCAL4',
  'LOCAL5',
  'LOCAL6',
  'LOCAL7',
] as const
export type SyslogFacility = (typeof syslogFacilities)[number]

export const syslogFacility: Kind<SyslogFacility> = {
  parse(args) {
    const word = args.next()
    const found = syslogFacilities.find(name => name === word?.toUpperCase())
    return found ?? args.fail(`unsupported log facility '${word ?? '<NONE>'}'`)
  },
  print: value => value,
}

export const fingerprintHash: Kind<'SHA256' | 'SHA512' | 'SHA384' | 'SHA1' | 'MD5'> = {
  parse(args) {
    const word = args.need()
    const found = (['SHA256', 'SHA512', 'SHA384', 'SHA1', 'MD5'] as const).find(name => name === word.toUpperCase())
    return found ?? args.fail(`Invalid hash algorithm "${word}".`)
  },
  print: value => value,
}

export const addressFamily = choice({ any: ['any'], inet: ['inet'], inet6: ['inet6'] })

/** When to exchange keys again; 0 is the cipher's own limit, or never by time. */
export interface RekeyLimit {
  readonly bytes: number | undefined
  readonly seconds: number | undefined
}

export const rekeyLimit: Kind<RekeyLimit> = {
  parse(args: Arguments) {
    const word = args.need()
    const bytes = word === 'default' ? 0 : parseSize(word)
    if (typeof bytes === 'string') args.fail(`Bad number '${word}': ${bytes}`)
    if (bytes !== 0 && bytes < 16) args.fail('RekeyLimit too small')
    return { bytes, seconds: args.left > 0 ? takeTime(args) : undefined }
  },
  print: ({ bytes = 0, seconds = 0 }) => `${bytes} ${seconds}`,
}

const dscp: Readonly<Record<string, number>> = {
  af11: 0x28,
  af12: 0x30,
  af13: 0x38,
  af21: 0x48,
  af22: 0x50,
  af23: 0x58,
  af31: 0x68,
  af32: 0x70,
  af33: 0x78,
  af41: 0x88,
  af42: 0x90,
  af43: 0x98,
  cs0: 0,
  cs1: 0x20,
  cs2: 0x40,
  cs3: 0x60,
  cs4: 0x80,
  cs5: 0xa0,
  cs6: 0xc0,
  cs7: 0xe0,
  ef: 0xb8,
  le: 0x04,
  va: 0xb0,
}

/** Values of the TOS or traffic class byte; `none` leaves the system's. */
export interface IpQos {
  readonly interactive: number | 'none'
  readonly bulk: number | 'none'
}

function parseQosValue(args: Arguments, word: string | undefined): number | 'none' {
  const name = word?.toLowerCase() ?? ''
  // The old names of RFC 1349 are still read, and mean that the system chooses.
  if (['none', 'lowdelay', 'throughput', 'reliability'].includes(name)) return 'none'
  if (Object.hasOwn(dscp, name)) return dscp[name]!
  const value = parseInteger(word, 255)
  return typeof value === 'number' ? value : args.fail(`Bad IPQoS value: ${word ?? '(null)'}`)
}

function formatQosValue(value: number | 'none'): string {
  if (value === 'none') return value
  const name = Object.entries(dscp).find(([, code]) => code === value)?.[0]
  return name ?? `0x${value.toString(16).padStart(2, '0')}`
}

export const ipQos: Kind<IpQos> = {
  parse(args) {
    const interactive = parseQosValue(args, args.next())
    return { interactive, bulk: args.left > 0 ? parseQosValue(args, args.next()) : interactive }
  },
  print: value => `${formatQosValue(value.interactive)} ${formatQosValue(value.bulk)}`,
}

/** A file mode mask, in octal. */
export const octal: Kind<number> = {
  parse(args) {
    const digits = /^[ \t]*[+]?([0-7]+)/.exec(args.need('Missing StreamLocalBindMask argument.'))?.[1]
    const mask = digits === undefined ? -1 : Number.parseInt(digits, 8)
    return mask >= 0 && mask <= 0o777 ? mask : args.fail('Bad mask.')
  },
  print: mask => `0${mask.toString(8)}`,
}

/** An environment variable to set. */
export interface EnvironmentSetting {
  readonly name: string
  readonly value: string
}

export const setEnv: Kind<readonly EnvironmentSetting[]> = {
  parse(args) {
    const list: EnvironmentSetting[] = []
    for (const word of args.all()) {
      const equals = word.indexOf('=')
      if (equals < 0) args.fail('Invalid SetEnv.')
      const name = word.slice(0, equals)
      if (!list.some(known => known.name === name)) list.push({ name, value: word.slice(equals + 1) })
    }
    return list.length > 0 ? list : args.fail(`no ${args.keyword} specified`)
  },
  print: list => list.map(({ name, value }) => `${name}=${value}`),
  mapText: (list, change) => list.map(({ name, value }) => ({ name, value: change(value) })),
}

/** Closes channels of a type after so many idle seconds. */
export interface ChannelTimeout {
  readonly type: string
  /** 0: never. */
  readonly seconds: number
  readonly text: string
}

export const channelTimeouts: Kind<readonly ChannelTimeout[]> = {
  parse(args) {
    const list = args.all()
    if (list.length === 0) args.fail(`no ${args.keyword} specified`)
    if (list.some(word => word.toLowerCase() === 'none')) {
      if (list.length > 1) args.fail(`keyword ${args.keyword} "none" argument must appear alone.`)
      return []
    }
    return list.map(word => {
      const equals = word.indexOf('=')
      const seconds = equals > 0 ? parseTime(word.slice(equals + 1)) : undefined
      if (seconds === undefined) return args.fail(`invalid channel timeout ${word}`)
      return { type: word.slice(0, equals), seconds, text: word }
    })
  },
  print: list => (list.length === 0 ? 'none' : list.map(item => item.text).join(' ')),
}

/** The last word of an option that `none` clears. */
export const clearNone = (value: string | undefined): string | undefined =>
  value === undefined || value.toLowerCase() === 'none' ? undefined : value
