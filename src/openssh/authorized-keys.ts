import { KeyError } from '../../lib/errors.ts'
import { type PublicKey, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import type { Permissions } from '../../lib/userauth/server.ts'
import { matchHostAndAddress } from './pattern.ts'

/** authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT). */

export interface KeyContext {
  /** The client's address. */
  readonly address: string
  readonly host?: string
  readonly now: Date
}

/** Longest line that is read, in characters. */
const lineLimit = 64 * 1024

interface Options {
  from?: string
  expiryTime?: Date
  command?: string
  environment: Map<string, string>
  permitOpen: string[]
  permitListen: string[]
  tunnel?: number
  allowed: Record<'pty' | 'userRc' | 'x11Forwarding' | 'agentForwarding' | 'portForwarding', boolean>
}

/**
 * The permissions of the first line that has this key and applies to this client. A line with an option that is unknown
 * or malformed authorises nobody; it does not hide the next one.
 */
export function matchAuthorizedKey(
  text: string,
  key: PublicKey,
  context: KeyContext,
): { permissions: Permissions } | undefined {
  for (const line of text.split('\n')) {
    if (line.length > lineLimit || /^\s*(#|$)/.test(line)) continue
    const options = optionsFor(line, key)
    if (options && applies(options, context)) return { permissions: permissionsOf(options) }
  }
  return undefined
}

/** The options of a line for this very key; undefined when it is another's or cannot be read. */
function optionsFor(line: string, key: PublicKey): Options | undefined {
  const bare = line.trim()
  const plain = keyOf(bare)
  if (plain) return plain.equals(key) ? parseOptions('') : undefined
  const end = endOfOptions(bare)
  if (!keyOf(bare.slice(end))?.equals(key)) return undefined
  return parseOptions(bare.slice(0, end))
}

function keyOf(text: string): PublicKey | undefined {
  try {
    return parsePublicKeyLine(text).key
  } catch (error) {
    if (error instanceof KeyError) return undefined
    throw error
  }
}

/** Options end at the first blank outside quotes. */
function endOfOptions(text: string): number {
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\' && text[i + 1] === '"') i++
    else if (text[i] === '"') quoted = !quoted
    else if (!quoted && (text[i] === ' ' || text[i] === '\t')) return i
  }
  return text.length
}

const switches: Readonly<Record<string, keyof Options['allowed']>> = {
  pty: 'pty',
  'user-rc': 'userRc',
  'x11-forwarding': 'x11Forwarding',
  'agent-forwarding': 'agentForwarding',
  'port-forwarding': 'portForwarding',
}

function parseOptions(text: string): Options | undefined {
  const options: Options = {
    environment: new Map(),
    permitOpen: [],
    permitListen: [],
    allowed: { pty: true, userRc: true, x11Forwarding: true, agentForwarding: true, portForwarding: true },
  }
  let rest = text
  while (rest !== '') {
    const [whole, rawName, , quoted] = /^([A-Za-z0-9-]+)(="((?:[^"\\]|\\.)*)")?(?:,|$)/.exec(rest) ?? []
    if (whole === undefined || rawName === undefined) return undefined
    rest = rest.slice(whole.length)
    // A comma promises another option.
    if (rest === '' && whole.endsWith(',')) return undefined
    const value = quoted?.replaceAll('\\"', '"')
    if (!obey(options, rawName.toLowerCase(), value)) return undefined
  }
  return options
}

/** @returns false for an option that is not known or has the wrong form */
function obey(options: Options, name: string, value: string | undefined): boolean {
  if (value === undefined) {
    if (name === 'restrict') {
      for (const what of Object.values(switches)) options.allowed[what] = false
      return true
    }
    const off = name.startsWith('no-')
    const word = off ? name.slice(3) : name
    const what = Object.hasOwn(switches, word) ? switches[word] : undefined
    if (what) options.allowed[what] = !off
    return what !== undefined
  }
  switch (name) {
    case 'command':
      if (options.command !== undefined) return false
      options.command = value
      return true
    case 'from':
      if (options.from !== undefined || value === '') return false
      options.from = value
      return true
    case 'environment': {
      const [, variable, content = ''] = /^([A-Za-z0-9_]+)=([\s\S]*)$/.exec(value) ?? []
      // sshd ignores these unless PermitUserEnvironment allows them, which no configuration here can.
      if (variable === undefined) return false
      options.environment.set(variable, content)
      return true
    }
    case 'expiry-time': {
      const expiry = parseExpiry(value)
      if (!expiry) return false
      if (!options.expiryTime || expiry < options.expiryTime) options.expiryTime = expiry
      return true
    }
    case 'permitopen':
      options.permitOpen.push(value)
      return /^(\[[^\]]+\]|[^:]+):(\d+|\*)$/.test(value)
    case 'permitlisten':
      options.permitListen.push(value)
      return /^((\[[^\]]+\]|[^:]+):)?(\d+|\*)$/.test(value)
    case 'tunnel':
      options.tunnel = Number(value)
      return /^\d{1,9}$/.test(value)
    default:
      return false
  }
}

/** `YYYYMMDD[Z]` or `YYYYMMDDHHMM[SS][Z]`; local time without the Z. */
function parseExpiry(text: string): Date | undefined {
  const [, year, month, day, hour = '00', minute = '00', second = '00', utc = ''] =
    /^(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?(Z)?$/.exec(text) ?? []
  if (!year) return undefined
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}${utc}`)
  return Number.isNaN(date.getTime()) ? undefined : date
}

function applies({ from, expiryTime }: Options, { address, host, now }: KeyContext): boolean {
  if (expiryTime && now >= expiryTime) return false
  return from === undefined || matchHostAndAddress(host ?? address, address, from) === 'match'
}

function permissionsOf({ command, allowed, permitOpen, permitListen, tunnel }: Options): Permissions {
  return {
    ...allowed,
    ...(command !== undefined && { forceCommand: command }),
    ...(permitOpen.length > 0 && { permitOpen }),
    ...(permitListen.length > 0 && { permitListen }),
    ...(tunnel !== undefined && { tunnel }),
  }
}
