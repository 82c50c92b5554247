import { canonicalAddress } from './address.ts'
import { parsePort } from './values.ts'

/** An end of a forwarding: a port, perhaps at an address, or a Unix socket. */
export type Endpoint = { readonly host: string | undefined; readonly port: number } | { readonly path: string }

/** A forwarding of ports or sockets (ssh_config(5), LocalForward, RemoteForward, DynamicForward). */
export interface Forward {
  readonly listen: Endpoint
  /** Where the connections go: `socks` lets each connection ask. */
  readonly connect: Endpoint | 'socks'
}

const maxHost = 1024
const maxSocketPath = 107

interface Field {
  readonly text: string
  readonly isPath: boolean
}

/** The fields between colons; brackets protect colons, and a backslash the next character. Undefined when malformed. */
function splitFields(spec: string): Field[] | undefined {
  const fields: Field[] = []
  let at = 0
  while (at < spec.length && fields.length < 4) {
    let text = ''
    let isPath = false
    if (spec[at] === '[') {
      const close = spec.indexOf(']', at)
      if (close < 0 || (close + 1 < spec.length && spec[close + 1] !== ':')) return undefined
      text = spec.slice(at + 1, close)
      isPath = text.includes('/')
      at = close + 2
    } else {
      for (; at < spec.length && spec[at] !== ':'; at++) {
        if (spec[at] === '\\') {
          if (++at >= spec.length) return undefined
        } else if (spec[at] === '/') isPath = true
        text += spec[at]
      }
      at++
    }
    fields.push({ text, isPath })
  }
  return at < spec.length ? undefined : fields
}

const port = (host: string | undefined, text: string): Endpoint => ({ host, port: parsePort(text) ?? -1 })

function arrange(fields: readonly Field[]): Forward | undefined {
  const [a, b, c, d] = fields.map(field => field.text)
  const path = fields.map(field => field.isPath)
  switch (fields.length) {
    case 1:
      return { listen: path[0] ? { path: a! } : port(undefined, a!), connect: 'socks' }
    case 2:
      if (path[0] && path[1]) return { listen: { path: a! }, connect: { path: b! } }
      if (path[1]) return { listen: port(undefined, a!), connect: { path: b! } }
      return { listen: port(a!, b!), connect: 'socks' }
    case 3:
      if (path[0]) return { listen: { path: a! }, connect: port(b!, c!) }
      if (path[2]) return { listen: port(a!, b!), connect: { path: c! } }
      return { listen: port(undefined, a!), connect: port(b!, c!) }
    case 4:
      return { listen: port(a!, b!), connect: port(c!, d!) }
    default:
      return undefined
  }
}

function fits(end: Endpoint, lowestPort: number): boolean {
  if ('path' in end) return Buffer.byteLength(end.path) <= maxSocketPath
  return end.port >= lowestPort && (end.host === undefined || end.host.length <= maxHost)
}

/**
 * A forwarding as `-L`, `-R` and `-D` take it: `[bind:]port:host:port`, sockets in place of either end, or for a
 * dynamic one only the listening end. `remote` alone may listen on port 0. Undefined when malformed.
 */
export function parseForward(spec: string, sort: 'local' | 'remote' | 'dynamic'): Forward | undefined {
  const fields = splitFields(spec.replace(/^[ \t\n\v\f\r]+/, ''))
  const forward = fields && arrange(fields)
  if (!fields || !forward || !fits(forward.listen, sort === 'remote' ? 0 : 1)) return undefined
  if (forward.connect === 'socks') return sort === 'local' ? undefined : forward
  if (sort === 'dynamic' || !fits(forward.connect, 1)) return undefined
  return forward
}

const printEnd = (end: Endpoint): string =>
  'path' in end ? end.path : end.host === undefined ? `${end.port}` : `[${end.host}]:${end.port}`

/** The two arguments of the keyword, as `-G` prints them. */
export function formatForward({ listen, connect }: Forward, sort: 'local' | 'remote' | 'dynamic'): string {
  if (sort === 'dynamic') return printEnd(listen)
  return `${printEnd(listen)} ${connect === 'socks' ? '[socks]:0' : printEnd(connect)}`
}

export function sameForward(a: Forward, b: Forward): boolean {
  return formatForward(a, 'local') === formatForward(b, 'local')
}

/** A host on the way (ProxyJump), best first. */
export interface JumpHost {
  readonly user: string | undefined
  readonly host: string
  readonly port: number | undefined
  /** As it was written. */
  readonly text: string
}

/** Whether a host name holds nothing that a shell could obey (CVE-2023-51385, CVE-2017-1000117). */
export function validHostname(host: string): boolean {
  return !host.startsWith('-') && !/['`"$\\;&<>|(){},\s\x00-\x1f\x7f]/.test(host)
}

/** Whether a remote user name holds nothing that a shell could obey (CVE-2025-61984, CVE-2026-35386). */
export function validRemoteUser(user: string): boolean {
  return !user.startsWith('-') && !/[\x00-\x1f\x7f'`";&<>|(){}]|\s-|\\$/.test(user)
}

function percentDecode(text: string): string | undefined {
  if (/%(?![0-9a-f]{2})|%00/i.test(text)) return undefined
  const bytes = text
    .replace(/\+/g, ' ')
    .replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  // Bytes above 127 come as UTF-8 parts.
  return /[\x80-\xff]/.test(bytes) && !/[^\x00-\xff]/.test(bytes)
    ? Buffer.from(bytes, 'latin1').toString('utf8')
    : bytes
}

function parseHostPort(text: string): { host: string; port: number | undefined } | undefined {
  const match = /^(\[[^\]]*\]|[^:/]*)(?::(.*))?$/s.exec(text)
  const host = (match?.[1] ?? '').replace(/^\[(.*)\]$/s, '$1')
  if (!match || !host) return undefined
  if (!match[2]) return { host, port: undefined }
  const number = parsePort(match[2])
  return number ? { host, port: number } : undefined
}

/** `[user@]host[:port]` or `ssh://[user@]host[:port]`; undefined when malformed. */
export function parseJumpHost(text: string): JumpHost | undefined {
  const uri = text.startsWith('ssh://')
  const target = uri ? text.slice(6).replace(/\/$/, '') : text
  const at = uri ? target.indexOf('@') : target.lastIndexOf('@')
  const written = at < 0 ? undefined : target.slice(0, at)
  const user = uri && written !== undefined ? percentDecode(written.replace(/;.*/s, '')) : written
  if (at >= 0 && !user) return undefined
  const place = parseHostPort(target.slice(at + 1))
  if (!place || (uri && !/^[a-z0-9_][a-z0-9_-]*(\.[a-z0-9_-]+)*\.?$/i.test(place.host))) return undefined
  return { user, ...place, text }
}

/** The argument of ProxyJump, first hop first. `strict` also refuses what a shell could obey. Undefined when malformed. */
export function parseJumpHosts(spec: string, strict: boolean): JumpHost[] | undefined {
  const hops = spec.replace(/#.*/s, '').trimEnd().split(',').map(parseJumpHost)
  if (!hops.every(hop => hop !== undefined)) return undefined
  const safe = hops.every(hop => validHostname(hop.host) && (hop.user === undefined || validRemoteUser(hop.user)))
  return strict && !safe ? undefined : hops
}

/** As `-G` prints it: the last hop is written anew, those before it stay as they were. */
export function formatJumpHosts(hops: readonly JumpHost[]): string {
  const last = hops.at(-1)
  if (!last) return 'none'
  const numeric = last.host.includes(':') || /^[0-9.]*$/.test(last.host)
  const host = numeric ? `[${last.host}]` : last.host
  const user = last.user === undefined ? '' : `${last.user}@`
  return [...hops.slice(0, -1).map(hop => hop.text), `${user}${host}${last.port ? `:${last.port}` : ''}`].join(',')
}

/** Whether a host is a numeric address. */
export const isAddress = (host: string): boolean => canonicalAddress(host) !== undefined
