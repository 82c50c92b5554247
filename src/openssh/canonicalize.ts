import { sanitize } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { canonicalAddress } from './address.ts'
import { ConfigError } from './errors.ts'
import { matchPatternList } from './pattern.ts'
import { domainProblem, type PermittedCname } from './ssh-config.ts'

/** A name whose existence and canonical name are asked for. */
export interface LookupRequest {
  /** Ends with a dot when it is complete. */
  readonly name: string
  readonly family: 'any' | 'inet' | 'inet6'
}

/** What the system says of a name. */
export type HostLookup =
  /** The name that the aliases (CNAME) lead to; the name itself when there are none. */
  | { readonly canonicalName: string; readonly failure?: undefined }
  /** Why there is none; `temporary` when the name may exist all the same. */
  | { readonly failure: string; readonly temporary: boolean; readonly canonicalName?: undefined }

export interface CanonicalizationOptions {
  readonly canonicalizeHostname: 'no' | 'yes' | 'always'
  readonly canonicalizeMaxDots: number
  readonly canonicalizeFallbackLocal: boolean
  readonly canonicalDomains: readonly string[]
  readonly canonicalizePermittedCNAMEs: readonly PermittedCname[]
  readonly addressFamily: LookupRequest['family']
  /** No proxy will see the name. */
  readonly direct: boolean
}

type Lookups = Generator<LookupRequest, string, HostLookup | undefined>

/** Looks like an address, and is none: one of an interface that is not there, or with too many numbers. */
const likeAddress = /[%:]|^[0-9.]+$/

/**
 * The name to connect to (ssh_config(5), CanonicalizeHostname); numeric addresses get their usual spelling. A request
 * that is answered by undefined (the DNS is not to be asked) finds nothing.
 */
export function* canonicalize(host: string, options: CanonicalizationOptions, log: Log): Lookups {
  const address = canonicalAddress(host)
  if (address !== undefined && fits(address, options.addressFamily)) return address
  const { canonicalizeHostname: mode, direct, addressFamily: family } = options
  const wanted = mode === 'always' || (mode === 'yes' && direct)
  if (wanted && !likeAddress.test(host)) {
    const names = completeNames(host, options)
    for (const name of names ?? []) {
      const found = yield { name, family }
      const canonical = canonicalNameOf(name, found, 'perhaps', log)
      if (canonical === undefined) continue
      const short = name.slice(0, -1)
      const full = followCname(short, canonical, options, log)
      if (full === undefined) log.debug1?.(`Canonicalized hostname "${host}" => "${short}"`)
      return full ?? short
    }
    if (names && !options.canonicalizeFallbackLocal) throw new ConfigError('', 0, `Could not resolve host "${host}"`)
  }
  if (options.canonicalizePermittedCNAMEs.length === 0 || !(direct || mode === 'always')) return host
  const found = yield { name: host, family }
  const canonical = canonicalNameOf(host, found, direct ? 'surely' : 'perhaps', log)
  if (canonical !== undefined) return followCname(host, canonical, options, log) ?? host
  // Names that only a proxy knows are nobody's business here.
  if (found && direct) throw new ConfigError('', 0, notResolved(host, found))
  return host
}

const fits = (address: string, family: LookupRequest['family']): boolean =>
  family === 'any' || (family === 'inet6') === address.includes(':')

/** The names to try; undefined for a host that has dots enough. */
function completeNames(host: string, options: CanonicalizationOptions): string[] | undefined {
  if (host.endsWith('.')) return [host]
  if (host.split('.').length - 1 > options.canonicalizeMaxDots) return undefined
  const domains = options.canonicalDomains.filter(domain => domain.toLowerCase() !== 'none')
  return domains.map(domain => `${host}.${domain}.`)
}

const notResolved = (host: string, { failure }: HostLookup): string =>
  `ssh: Could not resolve hostname ${host}: ${failure ?? 'Name or service not known'}`

/** What a found name is called; one that no host may have is not taken. */
function canonicalNameOf(name: string, found: HostLookup | undefined, exists: 'surely' | 'perhaps', log: Log) {
  if (found?.canonicalName === undefined) {
    if (found?.failure !== undefined && exists === 'perhaps') {
      const text = notResolved(name, found)
      if (found.temporary) log.error(text)
      else log.debug1?.(text)
    }
    return undefined
  }
  const problem = domainProblem(found.canonicalName)
  if (problem === undefined) return found.canonicalName
  log.error(`ignoring bad CNAME "${sanitize(found.canonicalName)}" for host "${name}": ${sanitize(problem)}`)
  return ''
}

/** The alias's target, where a rule permits it. */
function followCname(name: string, cname: string, options: CanonicalizationOptions, log: Log): string | undefined {
  const mode = options.canonicalizeHostname
  if (cname === '' || cname === name || mode === 'no' || (mode === 'yes' && !options.direct)) return undefined
  const permitted = options.canonicalizePermittedCNAMEs.some(
    rule =>
      matchPatternList(name, rule.source, { lowerCasePatterns: true }) === 'match' &&
      matchPatternList(cname, rule.target, { lowerCasePatterns: true }) === 'match',
  )
  if (!permitted) return undefined
  log.verbose?.(`Canonicalized DNS aliased hostname "${name}" => "${cname}"`)
  return cname.toLowerCase()
}
