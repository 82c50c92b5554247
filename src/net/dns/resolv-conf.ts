import { getServers } from 'node:dns'
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'

/** How names are asked for: resolv.conf(5). */
export interface ResolverConfig {
  readonly servers: readonly NameServer[]
  /** Domains that a short name is tried in. */
  readonly search: readonly string[]
  /** Dots from which on a name is tried as it is first. */
  readonly ndots: number
  /** Seconds until a server has not answered. */
  readonly timeout: number
  /** Rounds over all servers. */
  readonly attempts: number
  /** Begin with a server by chance. */
  readonly rotate: boolean
  /** Whether the way to the servers is safe enough to believe their AD bit. */
  readonly trustAuthentic: boolean
  readonly alwaysTcp: boolean
}

export interface NameServer {
  readonly address: string
  readonly port: number
}

/** The limits of glibc. */
const maxServers = 3
const maxTimeout = 30
const maxAttempts = 5
const maxDots = 15
const maxSearch = 32
const dnsPort = 53

const defaults = { ndots: 1, timeout: 5, attempts: 2, rotate: false, trustAuthentic: false, alwaysTcp: false }

type Settings = { -readonly [K in keyof typeof defaults]: (typeof defaults)[K] }

function applyOption(settings: Settings, option: string): void {
  const [name = '', value = ''] = option.split(':')
  const number = (low: number, high: number): number => Math.min(Math.max(Number.parseInt(value, 10) || 0, low), high)
  if (name === 'ndots') settings.ndots = number(0, maxDots)
  else if (name === 'timeout') settings.timeout = number(1, maxTimeout)
  else if (name === 'attempts') settings.attempts = number(1, maxAttempts)
  else if (name === 'rotate') settings.rotate = true
  else if (name === 'trust-ad') settings.trustAuthentic = true
  else if (name === 'use-vc') settings.alwaysTcp = true
}

/**
 * Reads the text of a resolv.conf. `LOCALDOMAIN` and `RES_OPTIONS` of the environment win over it, as with the C
 * library.
 */
export function parseResolvConf(
  text: string,
  env: Readonly<Record<string, string | undefined>> = {},
  localName = '',
): ResolverConfig {
  const settings: Settings = { ...defaults }
  const servers: NameServer[] = []
  const dot = localName.indexOf('.')
  let search = dot < 0 ? [] : [localName.slice(dot + 1)]
  for (const line of text.split('\n')) {
    if (/^[#;]/.test(line)) continue
    const [keyword, ...words] = line.trim().split(/[ \t]+/)
    const [first] = words
    if (keyword === 'nameserver' && first && isIP(first.replace(/%.*/s, '')) !== 0) {
      if (servers.length < maxServers) servers.push({ address: first, port: dnsPort })
    } else if (keyword === 'search') search = words
    else if (keyword === 'domain' && first) search = [first]
    else if (keyword === 'options') for (const option of words) applyOption(settings, option)
  }
  const domains = env['LOCALDOMAIN']?.split(/[ \t]+/).filter(word => word !== '')
  if (domains) search = domains
  for (const option of env['RES_OPTIONS']?.split(/[ \t]+/) ?? []) applyOption(settings, option)
  return { ...settings, servers, search: search.slice(0, maxSearch).map(domain => domain.replace(/\.$/, '')) }
}

/** The configuration of this machine; without a file, the servers that Node knows. */
export function loadResolverConfig(
  options: {
    readonly file?: string
    readonly env?: Readonly<Record<string, string | undefined>>
    readonly localName?: string
  } = {},
): ResolverConfig {
  let text: string | undefined
  try {
    text = readFileSync(options.file ?? '/etc/resolv.conf', 'utf8')
  } catch {
    // Systems that keep it elsewhere.
  }
  const config = parseResolvConf(text ?? '', options.env, options.localName)
  if (config.servers.length > 0) return config
  const known = text === undefined ? getServers().filter(address => isIP(address) !== 0) : []
  const addresses = known.length > 0 ? known.slice(0, maxServers) : ['127.0.0.1']
  return { ...config, servers: addresses.map(address => ({ address, port: dnsPort })) }
}

/** The complete names that a name may stand for, in the order in which they are asked for. */
export function searchNames(name: string, { search, ndots }: Pick<ResolverConfig, 'search' | 'ndots'>): string[] {
  if (name.endsWith('.')) return [name.slice(0, -1)]
  const dots = name.split('.').length - 1
  const inDomains = search.filter(domain => domain !== '').map(domain => `${name}.${domain}`)
  return dots >= ndots ? [name, ...inDomains] : [...inDomains, name]
}
