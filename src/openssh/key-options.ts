import { messageOf } from '../../lib/errors.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { readCertificateOptions } from '../../lib/keys/certificate-check.ts'
import { type NamePattern, parseNamePattern } from '../../lib/keys/x509/name.ts'
import type { Verdict } from '../../lib/userauth/authority.ts'
import type { Permissions } from '../../lib/userauth/permissions.ts'
import { parseAbsoluteTime } from './absolute-time.ts'
import { parsePermittedAddress } from './permitted-address.ts'

/** What stands before a key in authorized_keys or a name in authorized principals, or in a certificate. */
export interface KeyOptions {
  /** The key is an authority: not it, but what it certified, may log in. */
  readonly certAuthority: boolean
  /** `restrict` stands there: tunnels, which no option gives back, are refused. */
  readonly restricted: boolean
  readonly portForwarding: boolean
  readonly agentForwarding: boolean
  readonly x11Forwarding: boolean
  readonly pty: boolean
  readonly userRc: boolean
  /** A security key must have been touched; must have verified its user. */
  readonly touchRequired: boolean
  readonly verifyRequired: boolean
  readonly command?: string
  /** Names, separated by commas, of which a certificate must have one. */
  readonly principals?: string
  /** Patterns of names, all of which the subject of an X.509 certificate must match. */
  readonly subjects: readonly NamePattern[]
  /** Pattern list of client hosts and addresses. */
  readonly from?: string
  /** CIDR list of client addresses, from a certificate. */
  readonly sourceAddress?: string
  /** Seconds since 1970. */
  readonly validBefore?: number
  readonly environment: ReadonlyMap<string, string>
  /** `host:port`, each part perhaps `*`. */
  readonly permitOpen: readonly string[]
  readonly permitListen: readonly string[]
  /** The tunnel device that is given, whatever the client asks for. */
  readonly tunnel?: number
}

/** Why options are none, in sshd's words. */
export interface BadOptions {
  readonly problem: string
}

/** Which sorts of options the server obeys; the others are not named. */
export interface EffectiveOptions {
  readonly environment: boolean
  readonly permitOpen: boolean
  readonly permitListen: boolean
}

const allOptions: EffectiveOptions = { environment: true, permitOpen: true, permitListen: true }

/** What options permit and demand, a line for people first, then one for each variable. Text is one character per byte. */
export function describeKeyOptions(options: KeyOptions, effective: EffectiveOptions = allOptions): string[] {
  const { environment, permitOpen, permitListen, tunnel } = options
  const variables = effective.environment ? [...environment] : []
  const words = [
    options.agentForwarding && 'agent-forwarding',
    options.command !== undefined && 'command',
    variables.length > 0 && 'environment',
    options.validBefore !== undefined && 'expires',
    !options.touchRequired && 'no-touch-required',
    effective.permitOpen && permitOpen.length > 0 && 'permitopen',
    effective.permitListen && permitListen.length > 0 && 'permitlisten',
    options.portForwarding && 'port-forwarding',
    options.principals !== undefined && 'principals',
    options.pty && 'pty',
    options.verifyRequired && 'uv',
    tunnel !== undefined && `tun=${tunnel}`,
    options.userRc && 'user-rc',
    options.x11Forwarding && 'x11-forwarding',
  ].filter(word => word !== false)
  return [
    ['key options:', ...words].join(' '),
    ...variables.map(([name, value]) => `environment: ${name}=${Buffer.from(value, 'latin1').toString()}`),
  ]
}

type Draft = { -readonly [Name in keyof KeyOptions]: KeyOptions[Name] } & {
  environment: Map<string, string>
  permitOpen: string[]
  permitListen: string[]
  subjects: NamePattern[]
}

/** Options of one line, so many of a kind at most (as in OpenSSH). */
const environmentLimit = 1024
const permitLimit = 4096
const subjectLimit = 100
/** Any tunnel device; and the largest number of one. */
const anyTunnel = 0x7fffffff
const tunnelLimit = anyTunnel - 2

const newDraft = (): Draft => ({
  certAuthority: false,
  restricted: false,
  portForwarding: true,
  agentForwarding: true,
  x11Forwarding: true,
  pty: true,
  userRc: true,
  touchRequired: true,
  verifyRequired: false,
  environment: new Map(),
  permitOpen: [],
  permitListen: [],
  subjects: [],
})

/** What stands before a key when nothing does. */
export const noKeyOptions = (): KeyOptions => newDraft()

const isBlank = (character: string | undefined): boolean => character === ' ' || character === '\t'

/**
 * Reads options up to the first blank outside quotes, exactly as sshd does: an unknown or malformed one makes all of the
 * line worthless. Text is one character per byte.
 */
export function parseKeyOptions(text: string): KeyOptions | BadOptions {
  const draft = newDraft()
  const cursor = new OptionCursor(text)
  while (!cursor.atEnd) {
    const problem = takeOption(cursor, draft)
    if (problem !== undefined) return { problem }
    if (cursor.atEnd) break
    if (!cursor.takeComma()) return { problem: 'unknown key option' }
    if (cursor.exhausted) return { problem: 'unexpected end-of-options' }
  }
  return draft
}

/** Where the options of a line end; undefined when a quote is not closed. */
export function endOfOptions(text: string, from = 0): number | undefined {
  let quoted = false
  let at = from
  for (; at < text.length && (quoted || !isBlank(text[at])); at++) {
    if (text[at] === '\\' && text[at + 1] === '"') at++
    else if (text[at] === '"') quoted = !quoted
  }
  return quoted && at >= text.length ? undefined : Math.min(at, text.length)
}

class OptionCursor {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get exhausted(): boolean {
    return this.#at >= this.#text.length
  }

  get atEnd(): boolean {
    return this.exhausted || isBlank(this.#text[this.#at])
  }

  takeComma(): boolean {
    return this.take(',')
  }

  take(word: string): boolean {
    const found = this.#text.slice(this.#at, this.#at + word.length).toLowerCase() === word
    if (found) this.#at += word.length
    return found
  }

  /** The quoted value that follows `name=`. */
  takeValue(): string | BadOptions {
    if (this.#text[this.#at] !== '"') return { problem: 'missing start quote' }
    let value = ''
    let at = this.#at + 1
    for (; at < this.#text.length && this.#text[at] !== '"'; at++) {
      if (this.#text[at] === '\\' && this.#text[at + 1] === '"') at++
      value += this.#text[at]
    }
    if (at >= this.#text.length) return { problem: 'missing end quote' }
    this.#at = at + 1
    return value
  }
}

/** Options that `no-` turns around. */
const switches: readonly (readonly [string, (draft: Draft, on: boolean) => void])[] = [
  ['port-forwarding', (draft, on) => (draft.portForwarding = on)],
  ['agent-forwarding', (draft, on) => (draft.agentForwarding = on)],
  ['x11-forwarding', (draft, on) => (draft.x11Forwarding = on)],
  ['touch-required', (draft, on) => (draft.touchRequired = on)],
  ['verify-required', (draft, on) => (draft.verifyRequired = on)],
  ['pty', (draft, on) => (draft.pty = on)],
  ['user-rc', (draft, on) => (draft.userRc = on)],
]

/** Options with a value; each says what is wrong with it. */
const values: Readonly<Record<string, (draft: Draft, value: string) => string | undefined>> = {
  command: (draft, value) => once(draft, 'command', value),
  principals: (draft, value) => once(draft, 'principals', value),
  subject(draft, value) {
    if (draft.subjects.length >= subjectLimit) return 'too many subject clauses'
    try {
      draft.subjects.push(parseNamePattern(utf8(value)))
      return undefined
    } catch (error) {
      return messageOf(error)
    }
  },
  from: (draft, value) => once(draft, 'from', value),
  'expiry-time'(draft, value) {
    const time = parseAbsoluteTime(value)
    if (time === undefined || time === 0) return 'invalid expires time'
    draft.validBefore = Math.min(time, draft.validBefore ?? Number.POSITIVE_INFINITY)
    return undefined
  },
  environment(draft, value) {
    const [, name, content] = /^(\w+)=([\s\S]*)$/.exec(value) ?? []
    if (draft.environment.size > environmentLimit) return 'too many environment strings'
    if (name === undefined || content === undefined) return 'invalid environment string'
    if (!draft.environment.has(name)) draft.environment.set(name, content)
    return undefined
  },
  permitopen: (draft, value) => permit(draft.permitOpen, value),
  permitlisten: (draft, value) => permit(draft.permitListen, value.includes(':') ? value : `*:${value}`),
  tunnel(draft, value) {
    const number = value.toLowerCase() === 'any' ? anyTunnel : wholeNumber(value, tunnelLimit)
    if (number === undefined) return 'invalid tun device'
    draft.tunnel = number
    return undefined
  },
}

const valueNames = Object.keys(values)

function once(draft: Draft, name: 'command' | 'principals' | 'from', value: string): string | undefined {
  if (draft[name] !== undefined) return `multiple "${name}" clauses`
  draft[name] = value
  return undefined
}

function permit(list: string[], value: string): string | undefined {
  if (list.length > permitLimit) return 'too many permission directives'
  const address = parsePermittedAddress(value)
  if (typeof address === 'string') return address
  list.push(value)
  return undefined
}

/** Takes one option, or nothing; what is left then is no comma. @returns a problem */
function takeOption(cursor: OptionCursor, draft: Draft): string | undefined {
  if (cursor.take('restrict')) {
    draft.restricted = true
    for (const name of ['portForwarding', 'agentForwarding', 'x11Forwarding', 'pty', 'userRc'] as const)
      draft[name] = false
    return undefined
  }
  if (cursor.take('cert-authority')) {
    draft.certAuthority = true
    return undefined
  }
  for (const [name, set] of switches) {
    const off = cursor.take(`no-${name}`)
    if (!off && !cursor.take(name)) continue
    set(draft, !off)
    return undefined
  }
  const name = valueNames.find(candidate => cursor.take(`${candidate}=`))
  if (name === undefined) return undefined
  const value = cursor.takeValue()
  return typeof value === 'string' ? values[name]!(draft, value) : value.problem
}

/** As strtonum(3) reads it: blanks and a sign may stand before. */
function wholeNumber(text: string, limit: number): number | undefined {
  if (!/^[ \t\n\v\f\r]*[+-]?\d+$/.test(text)) return undefined
  const number = Number(text)
  return number >= 0 && number <= limit ? number : undefined
}

/** What a user certificate says. @throws KeyError `not-valid` */
export function certificateKeyOptions(certificate: Certificate): KeyOptions {
  const options = readCertificateOptions(certificate)
  return {
    ...newDraft(),
    portForwarding: options.permitPortForwarding,
    agentForwarding: options.permitAgentForwarding,
    x11Forwarding: options.permitX11Forwarding,
    pty: options.permitPty,
    userRc: options.permitUserRc,
    touchRequired: options.touchRequired,
    verifyRequired: options.verifyRequired,
    // One character per byte, as in files.
    ...(options.forceCommand !== undefined && { command: Buffer.from(options.forceCommand).toString('latin1') }),
    ...(options.sourceAddress !== undefined && { sourceAddress: options.sourceAddress }),
  }
}

/** The stricter rule of both, lists and devices from the first if it has them. */
export function mergeKeyOptions(first: KeyOptions, second: KeyOptions): KeyOptions | BadOptions {
  if (first.command !== undefined && second.command !== undefined && first.command !== second.command)
    return { problem: 'forced command options do not match' }
  const { command = second.command, sourceAddress = second.sourceAddress, from = second.from } = first
  const { tunnel = second.tunnel } = first
  const validBefore = Math.min(...[first, second].map(options => options.validBefore ?? Number.POSITIVE_INFINITY))
  return {
    certAuthority: false,
    restricted: first.restricted || second.restricted,
    portForwarding: first.portForwarding && second.portForwarding,
    agentForwarding: first.agentForwarding && second.agentForwarding,
    x11Forwarding: first.x11Forwarding && second.x11Forwarding,
    pty: first.pty && second.pty,
    userRc: first.userRc && second.userRc,
    touchRequired: first.touchRequired || second.touchRequired,
    verifyRequired: first.verifyRequired || second.verifyRequired,
    environment: first.environment.size > 0 ? first.environment : second.environment,
    permitOpen: first.permitOpen.length > 0 ? first.permitOpen : second.permitOpen,
    permitListen: first.permitListen.length > 0 ? first.permitListen : second.permitListen,
    // Judged already.
    subjects: [],
    ...(command !== undefined && { command }),
    ...(from !== undefined && { from }),
    ...(sourceAddress !== undefined && { sourceAddress }),
    ...(Number.isFinite(validBefore) && { validBefore }),
    ...(tunnel !== undefined && { tunnel }),
  }
}

/** What the options mean for a login, and for the signature that opens it. */
export function verdictOf(options: KeyOptions): Extract<Verdict, { accepted: true }> {
  return {
    accepted: true,
    permissions: permissionsOf(options),
    signature: { touchRequired: options.touchRequired, verificationRequired: options.verifyRequired },
  }
}

function permissionsOf(options: KeyOptions): Permissions {
  const { command, permitOpen, permitListen, tunnel, environment } = options
  return {
    pty: options.pty,
    userRc: options.userRc,
    x11Forwarding: options.x11Forwarding,
    agentForwarding: options.agentForwarding,
    portForwarding: options.portForwarding,
    tunnels: !options.restricted,
    ...(command !== undefined && { forceCommand: commandOf(command) }),
    ...(environment.size > 0 && { environment: new Map([...environment].map(([name, value]) => [name, utf8(value)])) }),
    ...(permitOpen.length > 0 && { permitOpen }),
    ...(permitListen.length > 0 && { permitListen }),
    ...(tunnel !== undefined && { tunnel }),
  }
}

const utf8 = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()

/**
 * A command that is no UTF-8 cannot be handed to a program as it is: the shell that runs it makes the bytes again.
 */
function commandOf(bytes: string): string {
  const text = utf8(bytes)
  if (Buffer.from(text).equals(Buffer.from(bytes, 'latin1'))) return text
  const octal = [...bytes].map(byte => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`).join('')
  return `eval "$(printf '${octal}')"`
}
