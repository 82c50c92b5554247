import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { matchHostname } from './pattern.ts'

/** known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */

export interface KnownHost {
  readonly marker: 'none' | 'cert-authority' | 'revoked'
  /** Key type name, as the line says. */
  readonly type: string
  readonly blob: Buffer
  /** From 1. */
  readonly line: number
}

/** A host as known_hosts names it: `[host]:port` unless the port is 22. */
export const hostName = (host: string, port: number): string =>
  port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`

/** The lines for a host, in order. Lines that make no sense are passed over. */
export function* lookUpHost(text: string, host: string, port: number): Generator<KnownHost> {
  const name = hostName(host, port)
  let line = 0
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start)
    const end = newline < 0 ? text.length : newline
    line++
    const entry = parseLine(text.slice(start, end), line, hosts => namesMatch(hosts, name))
    if (entry) yield entry
    start = end + 1
  }
}

function parseLine(text: string, line: number, wanted: (hosts: string) => boolean): KnownHost | undefined {
  if (/^\s*(#|$)/.test(text)) return undefined
  const words = text.trim().split(/[ \t]+/)
  let marker: KnownHost['marker'] = 'none'
  if (words[0]?.startsWith('@')) {
    const word = words.shift()
    if (word !== '@cert-authority' && word !== '@revoked') return undefined
    marker = word === '@revoked' ? 'revoked' : 'cert-authority'
  }
  const [hosts, type, base64] = words
  if (!hosts || !type || !base64 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64) || !wanted(hosts)) return undefined
  return { marker, type, blob: Buffer.from(base64, 'base64'), line }
}

function namesMatch(hosts: string, name: string): boolean {
  return hosts.startsWith('|') ? hashMatches(hosts, name) : matchHostname(name, hosts) === 'match'
}

/** `|1|salt|hash`: HMAC-SHA1 of the name under the salt. */
function hashMatches(hashed: string, name: string): boolean {
  const [, version, salt, expected] = hashed.split('|')
  if (version !== '1' || !salt || !expected) return false
  const wanted = Buffer.from(expected, 'base64')
  const actual = hostHash(name, Buffer.from(salt, 'base64'))
  return wanted.length === actual.length && timingSafeEqual(wanted, actual)
}

const hostHash = (name: string, salt: Buffer): Buffer => createHmac('sha1', salt).update(name).digest()

/** A line that makes a key known, without a newline. */
export function knownHostLine(
  host: string,
  port: number,
  key: { type: string; blob: Buffer },
  hashed: boolean,
): string {
  const name = hostName(host, port)
  const salt = randomBytes(20)
  const shown = hashed ? `|1|${salt.toString('base64')}|${hostHash(name, salt).toString('base64')}` : name
  return `${shown} ${key.type} ${key.blob.toString('base64')}`
}
