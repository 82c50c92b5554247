import { randomBytes } from 'node:crypto'
import { type HashedNameFinder, hashedNameFinder } from '../../lib/crypto/hashed-names.ts'
import { hmac } from '../../lib/crypto/hmac.ts'
import { shortHmacSha1 } from '../../lib/crypto/short-hmac-sha1.ts'
import { KeyError } from '../../lib/errors.ts'
import { type PublicKey, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import { matchHostname } from './pattern.ts'
import { readX509Entry, type X509Entry } from './x509-entry.ts'

/** known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */

export type Marker = 'none' | 'cert-authority' | 'revoked'

/** A key that a file names for a host. */
export interface KnownHost {
  readonly marker: Marker
  /** The hosts field, as it is written. */
  readonly hosts: string
  readonly key: PublicKey
  /** Key type name; that of the line and of the key are the same. */
  readonly type: string
  readonly blob: Buffer
  readonly comment: string
  /** From 1. */
  readonly line: number
}

/** Bytes of a salt and of a hash: those of SHA-1. */
const hashBytes = 20

/** A host as known_hosts names it: `[host]:port` unless the port is 22. */
export const hostName = (host: string, port: number): string =>
  port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`

/** The keys of a host, in order. Lines that make no sense, or hold a key of an unknown type, are passed over. */
export function* lookUpHost(text: string, host: string, port: number): Generator<KnownHost> {
  for (const { line, marker, hosts, rest } of linesOfHost(text, host, port)) {
    const key = readKey(rest)
    if (key) yield { ...key, marker, hosts, line }
  }
}

/** What a file says of X.509 certificates that a host may show. */
export type KnownX509 = X509Entry & {
  readonly marker: Marker
  /** From 1. */
  readonly line: number
}

/** The X.509 certificates and subjects of a host, in order. */
export function* lookUpX509(text: string, host: string, port: number): Generator<KnownX509> {
  for (const { line, marker, rest } of linesOfHost(text, host, port)) {
    const entry = readX509Entry(rest)
    if (entry) yield { ...entry, marker, line }
  }
}

function* linesOfHost(text: string, host: string, port: number): Generator<Fields & { readonly line: number }> {
  const name = hostName(host, port)
  const matches = hostMatcher(name)
  for (const { line, fields } of entries(text, name)) if (matches(fields.hosts)) yield { ...fields, line }
}

/** Every key of the file, in order. Lines that make no sense, or hold a key of an unknown type, are passed over. */
export function* readKnownHosts(text: string): Generator<KnownHost> {
  for (const { line, fields } of entries(text)) {
    const key = readKey(fields.rest)
    if (key) yield { ...key, marker: fields.marker, hosts: fields.hosts, line }
  }
}

/** The plain lines that hold a key under names other than this host's. */
export function* lookUpKey(text: string, wanted: PublicKey, host: string, port: number): Generator<KnownHost> {
  const base64 = wanted.blob.toString('base64')
  // Most lines hold another key: that is seen without reading them.
  if (!text.includes(base64)) return
  const matches = hostMatcher(hostName(host, port))
  for (const { line, fields } of entries(text)) {
    if (fields.marker !== 'none' || !fields.rest.includes(base64) || matches(fields.hosts)) continue
    const key = readKey(fields.rest)
    if (key?.key.equals(wanted)) yield { ...key, marker: fields.marker, hosts: fields.hosts, line }
  }
}

interface Fields {
  readonly marker: Marker
  readonly hosts: string
  /** From the key type on. */
  readonly rest: string
}

const isBlank = (text: string, at: number): boolean => {
  const code = text.charCodeAt(at)
  return code === 0x20 || code === 0x09
}

/**
 * The lines, by their beginnings and ends, and their numbers after those `before`. With a name as `hostName` gives it, lines
 * that hold the hash of another one are left out. @returns the number of the last line
 */
export function* linesOf(
  text: string,
  name?: string | HashedNameFinder,
  before = 0,
): Generator<{ line: number; start: number; end: number }, number> {
  const find = typeof name === 'string' ? hashedNameFinder(Buffer.from(name)) : name
  const search = find?.(text)
  let line = before
  for (let start = 0; start < text.length; ) {
    if (search) {
      const found = search(start)
      line += found.passed
      start = found.start
      if (start >= text.length) return line
    }
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    line++
    yield { line, start, end }
    start = end + 1
  }
  return line
}

/** The lines that are neither empty, nor comments, nor malformed before the key. */
function* entries(text: string, name?: string): Generator<{ line: number; fields: Fields }> {
  for (const { line, start, end } of linesOf(text, name)) {
    const fields = splitLine(text, start, end)
    if (fields) yield { line, fields }
  }
}

function splitLine(text: string, start: number, end: number): Fields | undefined {
  let at = start
  const skipBlanks = (): void => {
    while (at < end && isBlank(text, at)) at++
  }
  const word = (): string => {
    const from = at
    while (at < end && !isBlank(text, at)) at++
    return text.slice(from, at)
  }
  skipBlanks()
  if (at === end || text[at] === '#' || (text[at] === '\r' && at === end - 1)) return undefined
  let marker: Marker = 'none'
  if (text[at] === '@') {
    const name = word()
    if (name !== '@cert-authority' && name !== '@revoked') return undefined
    marker = name === '@revoked' ? 'revoked' : 'cert-authority'
    skipBlanks()
    // One marker only.
    if (text[at] === '@') return undefined
  }
  const hosts = word()
  skipBlanks()
  if (at === end || text[at] === '#') return undefined
  return { marker, hosts, rest: text.slice(at, end) }
}

function readKey(text: string): Pick<KnownHost, 'key' | 'type' | 'blob' | 'comment'> | undefined {
  try {
    const { key, comment } = parsePublicKeyLine(text)
    return { key, type: key.type, blob: key.blob, comment }
  } catch (error) {
    if (error instanceof KeyError) return undefined
    throw error
  }
}

/** Says of the hosts field of a line, plain or hashed (`|1|salt|hash`, an HMAC-SHA1 of the name under the salt), if it means `name`. */
export function hostMatcher(name: string): (hosts: string) => boolean {
  const digest = shortHmacSha1(Buffer.from(name))
  const salt = Buffer.alloc(hashBytes)
  const expected = Buffer.alloc(hashBytes)
  const actual = Buffer.alloc(hashBytes)
  const hashMatches = (hosts: string): boolean => {
    const middle = hosts.indexOf('|', 3)
    if (!hosts.startsWith('|1|') || middle < 0) return false
    // Longer ones are cut off at the end of the buffer: their last character betrays them.
    const complete =
      salt.write(hosts.slice(3, middle), 'base64') === hashBytes &&
      expected.write(hosts.slice(middle + 1), 'base64') === hashBytes &&
      hosts.length === hashedLength &&
      hosts[middle - 1] === '=' &&
      hosts.endsWith('=')
    if (!complete) return false
    digest(salt, actual)
    return actual.equals(expected)
  }
  return hosts => (hosts.startsWith('|') ? hashMatches(hosts) : matchHostname(name, hosts) === 'match')
}

/** Characters of `|1|`, two times 20 bytes in base64, and the bar between them. */
const hashedLength = 3 + 28 + 1 + 28

/** A name that its readers cannot tell. */
export function hashName(name: string): string {
  const salt = randomBytes(hashBytes)
  return `|1|${salt.toString('base64')}|${hmac('sha1', salt, Buffer.from(name)).toString('base64')}`
}

/** A line that makes a key known, without a newline. */
export function knownHostLine(
  host: string,
  port: number,
  key: Pick<PublicKey, 'type' | 'blob'>,
  hashed: boolean,
): string {
  const name = hostName(host, port)
  return `${hashed ? hashName(name) : name} ${key.type} ${key.blob.toString('base64')}`
}

/** Lines that make a key known under names as `hostName` gives them: one for all, or when hashed one for each. */
export function knownHostLines(
  names: readonly string[],
  key: Pick<PublicKey, 'type' | 'blob'>,
  hashed: boolean,
): string[] {
  const shown = hashed ? names.map(hashName) : [names.join(',')]
  return shown.map(hosts => `${hosts} ${key.type} ${key.blob.toString('base64')}`)
}

/** Whether known_hosts can hold this name: characters that mean something there would make it match other hosts. */
export const isRecordableHost = (host: string): boolean => host !== '' && !/[@?!*#[\]|'"\\,\s]/.test(host)

/** Text that was edited, and the lines that had what was looked for. */
export interface EditedKnownHosts {
  readonly text: string
  /** Numbers of the lines that were removed or replaced, from 1. */
  readonly lines: readonly number[]
}

/** Goes through all lines: `edit` gives what stands for an entry, or undefined to keep it as it is. */
function editEntries(
  text: string,
  edit: (fields: Fields, line: number) => readonly string[] | undefined,
): EditedKnownHosts {
  const kept: string[] = []
  const lines: number[] = []
  const all = text.split('\n')
  if (all.at(-1) === '') all.pop()
  for (const [index, raw] of all.entries()) {
    const fields = splitLine(raw, 0, raw.length)
    const replacement = fields && edit(fields, index + 1)
    if (replacement) lines.push(index + 1)
    kept.push(...(replacement ?? [raw]))
  }
  return { text: kept.length > 0 ? `${kept.join('\n')}\n` : '', lines }
}

/**
 * Removes a host's keys; with `unless`, all but those it says yes to. Lines with a marker and all other lines stay.
 * Without a port, `host` is a name as `hostName` gives it.
 */
export function removeHost(
  text: string,
  host: string,
  port: number | undefined,
  unless?: (key: PublicKey) => boolean,
): EditedKnownHosts {
  const matches = hostMatcher(port === undefined ? host : hostName(host, port))
  return editEntries(text, ({ marker, hosts, rest }) => {
    if (marker !== 'none' || !matches(hosts)) return undefined
    if (!unless) return []
    const key = readKey(rest)?.key
    // What cannot be read cannot be judged.
    return !key || unless(key) ? undefined : []
  })
}

/** Hashes the names: one line for each. Lines with a marker or wildcards stay. */
export function hashKnownHosts(text: string): EditedKnownHosts & { readonly wildcards: readonly number[] } {
  const wildcards: number[] = []
  const edited = editEntries(text, ({ marker, hosts, rest }, line) => {
    if (hosts.startsWith('|') || marker !== 'none') return undefined
    if (/[*?!]/.test(hosts)) {
      wildcards.push(line)
      return undefined
    }
    const names = hosts.split(',').filter(name => name !== '')
    return names.map(name => `${hashName(name.toLowerCase())} ${rest}`)
  })
  return { ...edited, wildcards }
}
