import type { Log } from '../../lib/log.ts'
import { canonicalAddress } from './address.ts'
import { ConfigError } from './errors.ts'
import { matchPatternList } from './pattern.ts'
import type { PermittedCname } from './ssh-config.ts'

/** A name whose existence and canonical name are asked for. */
export interface LookupRequest {
  /** Ends with a dot when it is complete. */
  readonly name: string
}

export interface HostLookup {
  /** The name that the aliases (CNAME) lead to; the name itself when there are none. */
  readonly canonicalName: string
}

export interface CanonicalizationOptions {
  readonly canonicalizeHostname: 'no' | 'yes' | 'always'
  readonly canonicalizeMaxDots: number
  readonly canonicalizeFallbackLocal: boolean
  readonly canonicalDomains: readonly string[]
  readonly canonicalizePermittedCNAMEs: readonly PermittedCname[]
  /** No proxy will see the name. */
  readonly direct: boolean
}

type Lookups = Generator<LookupRequest, string, HostLookup | undefined>

/** The name to connect to (ssh_config(5), CanonicalizeHostname); numeric addresses get their usual spelling. */
export function* canonicalize(host: string, options: CanonicalizationOptions, log: Log): Lookups {
  const address = canonicalAddress(host)
  if (address !== undefined) return address
  const mode = options.canonicalizeHostname
  const wanted = mode === 'always' || (mode === 'yes' && options.direct)
  if (wanted) {
    const dots = host.split('.').length - 1
    const complete = host.endsWith('.')
    if (complete || dots <= options.canonicalizeMaxDots) {
      const domains = options.canonicalDomains.filter(domain => domain.toLowerCase() !== 'none')
      for (const name of complete ? [host] : domains.map(domain => `${host}.${domain}.`)) {
        const found = yield { name }
        if (!found) continue
        const full = followCname(name.slice(0, -1), found.canonicalName, options)
        log.debug1?.(`Canonicalized hostname "${host}" => "${full}"`)
        return full
      }
      if (!options.canonicalizeFallbackLocal) throw new ConfigError('', 0, `Could not resolve host "${host}"`)
    }
  }
  if (options.canonicalizePermittedCNAMEs.length === 0 || !(options.direct || mode === 'always')) return host
  const found = yield { name: host }
  return found ? followCname(host, found.canonicalName, options) : host
}

function followCname(name: string, cname: string, options: CanonicalizationOptions): string {
  const mode = options.canonicalizeHostname
  if (cname === '' || cname === name || mode === 'no' || (mode === 'yes' && !options.direct)) return name
  const permitted = options.canonicalizePermittedCNAMEs.some(
    rule =>
      matchPatternList(name, rule.source, { lowerCasePatterns: true }) === 'match' &&
      matchPatternList(cname, rule.target, { lowerCasePatterns: true }) === 'match',
  )
  return permitted ? cname.toLowerCase() : name
}
