import { CommandError } from '../command/errors.ts'
import type { Flag, GivenFlag } from '../command/options.ts'
import type { FileHostOptions } from './file-hosts.ts'

/** The flags by which scp(1), sftp(1) and their like reach hosts. */
export const hostFlags: readonly Flag[] = [
  { name: '4', description: 'use IPv4 addresses only' },
  { name: '6', description: 'use IPv6 addresses only' },
  { name: 'A', description: 'forward the agent to the remote host' },
  { name: 'B', description: 'batch mode: never ask for anything' },
  { name: 'C', description: 'compress' },
  { name: 'c', argument: 'cipher', description: 'cipher of the connection' },
  { name: 'D', argument: 'sftp_server', description: 'talk to this local SFTP server program instead of a host' },
  { name: 'F', argument: 'ssh_config', description: 'read this configuration file instead of the usual ones' },
  { name: 'i', argument: 'identity_file', description: 'private key to try' },
  { name: 'J', argument: 'destination', description: 'go through these jump hosts' },
  { name: 'o', argument: 'ssh_option', description: 'an option as a line of ssh_config(5)' },
  { name: 'P', argument: 'port', description: 'port to connect to' },
  { name: 'q', description: 'quiet' },
  { name: 'S', argument: 'program', description: 'connect with this program, which takes the flags of ssh(1)' },
  { name: 'v', description: 'log what happens; up to three times' },
]

/** Flags that are nothing but a keyword of ssh_config(5). */
const keywords: Readonly<Record<string, (value: string) => string>> = {
  '4': () => 'AddressFamily inet',
  '6': () => 'AddressFamily inet6',
  A: () => 'ForwardAgent yes',
  B: () => 'BatchMode yes',
  C: () => 'Compression yes',
  c: value => `Ciphers ${value}`,
  i: value => `IdentityFile "${value}"`,
  J: value => `ProxyJump ${value}`,
  o: value => value,
  q: () => 'LogLevel QUIET',
}

export type HostFlags = FileHostOptions

/** What `hostFlags` say, as they were given. @throws CommandError (255) for a port that is none */
export function hostOptions(program: string, flags: readonly GivenFlag[]): HostFlags {
  const last = (name: string): string | undefined => flags.findLast(flag => flag.name === name)?.value
  return {
    program,
    options: flags.flatMap(({ name, value }) => keywords[name]?.(value) ?? []),
    configFile: last('F'),
    port: portOf(program, last('P')),
    verbosity: flags.filter(({ name }) => name === 'v').length,
    throughProgram: last('S'),
    programFlags: flags.flatMap(programFlag),
    localServer: last('D'),
    replyTimeout: defaultReplyTimeout,
  }
}

function portOf(program: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = /^\d+$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65535) throw new CommandError(`${program}: bad port "${text}"`, 255)
  return port
}

/** Flags that ssh(1) knows by the same letter, except `-F`, and `-B` as an option. */
function programFlag({ name, value }: GivenFlag): string[] {
  if (name === 'B') return ['-oBatchMode=yes']
  if (name.length > 1) return []
  if ('ciJo'.includes(name)) return [`-${name}`, value]
  return '46ACqv'.includes(name) ? [`-${name}`] : []
}

/** Seconds: long for any answer of a server, short for a person before a copy that stands still. */
const defaultReplyTimeout = 300

const longestReplyTimeout = 24 * 60 * 60

/** `-X timeout=SECONDS`. @throws CommandError (255) */
function replyTimeoutOf(text: string): number {
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN
  if (seconds >= 0 && seconds <= longestReplyTimeout) return seconds
  throw new CommandError(`Invalid timeout "${text}"`, 255)
}

/** What `-X` says about requests of SFTP. */
export interface RequestSettings {
  /** In flight; undefined: as many as pay. */
  readonly requests: number | undefined
  /** Bytes of each. */
  readonly requestSize: number | undefined
  /** Seconds, as `FileHostOptions` has it. */
  readonly replyTimeout: number
}

export const requestFlag: Flag = {
  name: 'X',
  argument: 'sftp_option',
  description: 'nrequests=N, buffer=BYTES or timeout=SECONDS',
}

const scales: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2 }
const largestRequest = 256 * 1024
const highestRequests = 256 * 1024

/** Every `-X` of a line. `before` begins what is said of a wrong one. @throws CommandError (255) */
export function requestSettings(before: string, flags: readonly GivenFlag[]): RequestSettings {
  const fatal = (text: string): CommandError => new CommandError(before + text, 255)
  let replyTimeout = defaultReplyTimeout
  let requests: number | undefined
  let requestSize: number | undefined
  for (const { value } of flags.filter(({ name }) => name === 'X')) {
    const [name, text = ''] = value.split(/=(.*)/s, 2)
    const [, digits = '', unit = ''] = /^(\d+)([km]?)$/i.exec(text) ?? []
    const number = Number(digits) * scales[unit.toLowerCase()]!
    if (name === 'buffer') {
      if (number < 1 || number > largestRequest) throw fatal(`Invalid buffer size "${text}": Invalid argument`)
      requestSize = number
    } else if (name === 'nrequests') {
      const why = digits === '' || unit !== '' ? 'invalid' : number < 1 ? 'too small' : 'too large'
      if (why === 'invalid' || number < 1 || number > highestRequests)
        throw fatal(`Invalid number of requests "${text}": ${why}`)
      requests = number
    } else if (name === 'timeout') replyTimeout = replyTimeoutOf(text)
    else throw fatal('Invalid -X option')
  }
  return { requests, requestSize, replyTimeout }
}
