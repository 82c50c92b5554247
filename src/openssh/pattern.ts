import { matchWildcards as matchPattern } from '../../lib/keys/wildcards.ts'
import { inNetwork, parseAddress, parseNetwork } from './address.ts'

/** Longest pattern of a list; a longer one makes the list match nothing, as in OpenSSH. */
export const maxPatternLength = 1022

/** Wildcards of ssh_config(5), PATTERNS: the engine's, which certificates use too. Case counts. */
export { matchPattern }

/** `negated`: a pattern with `!` matched, whatever else did. */
export type ListMatch = 'match' | 'negated' | 'none'

/** Matches a comma-separated list of patterns, each perhaps negated with `!`. A list of negations alone never matches. */
export function matchPatternList(text: string, list: string, options: { lowerCasePatterns?: boolean } = {}): ListMatch {
  let result: ListMatch = 'none'
  for (const item of splitList(list)) {
    const negated = item.startsWith('!')
    const raw = negated ? item.slice(1) : item
    if (raw.length > maxPatternLength) return 'none'
    const pattern = options.lowerCasePatterns ? lowerAscii(raw) : raw
    if (!matchPattern(text, pattern)) continue
    if (negated) return 'negated'
    result = 'match'
  }
  return result
}

/** A trailing comma ends the list; it does not add an empty pattern. */
function splitList(list: string): string[] {
  const items = list.split(',')
  if (items.at(-1) === '') items.pop()
  return items
}

const lowerAscii = (text: string): string => text.replace(/[A-Z]+/g, upper => upper.toLowerCase())

/** Matches a host name, without regard to case. */
export function matchHostname(host: string, list: string): ListMatch {
  return matchPatternList(lowerAscii(host), list, { lowerCasePatterns: true })
}

/** `invalid`: the list has an empty entry or a mask that does not fit its address. */
export type AddressListMatch = ListMatch | 'invalid'

/**
 * Matches an address against a list of CIDR networks and wildcards, each perhaps negated (sshd_config(5), Match
 * Address). Without an address only the list is checked.
 */
export function matchAddressList(address: string | undefined, list: string): AddressListMatch {
  const parsed = address === undefined ? undefined : parseAddress(address)
  if (address !== undefined && !parsed) return 'none'
  let result: ListMatch = 'none'
  for (const item of list.split(',')) {
    const negated = item.startsWith('!')
    const pattern = negated ? item.slice(1) : item
    if (pattern === '') return 'invalid'
    const network = parseNetwork(pattern)
    if (network === 'bad-mask') return 'invalid'
    if (!parsed) continue
    const hit = network ? inNetwork(parsed, network) : matchPattern(address!, pattern)
    if (!hit) continue
    if (negated) return 'negated'
    result = 'match'
  }
  return result
}

const maxCidrEntry = 46 + 3

/** Matches a list of plain CIDR networks: no wildcards, no negation (certificates' source-address, Match localnetwork). */
export function matchCidrList(address: string | undefined, list: string): 'match' | 'none' | 'invalid' {
  const parsed = address === undefined ? undefined : parseAddress(address)
  if (address !== undefined && !parsed) return 'none'
  let result: 'match' | 'none' = 'none'
  for (const item of list.split(',')) {
    if (item.length > maxCidrEntry || !/^[0-9a-fA-F.:/]+$/.test(item)) return 'invalid'
    const network = parseNetwork(item)
    if (!network || network === 'bad-mask') return 'invalid'
    if (parsed && inNetwork(parsed, network)) result = 'match'
  }
  return result
}

/** Host and address against one list, as `from=` and `AllowUsers user@…` do: a negation of either refuses. */
export function matchHostAndAddress(host: string, address: string, list: string): 'match' | 'none' | 'invalid' {
  const byAddress = matchAddressList(address, list)
  if (byAddress === 'invalid') return 'invalid'
  if (byAddress === 'negated') return 'none'
  const byName = matchHostname(host, list)
  if (byName === 'negated') return 'none'
  return byAddress === 'match' || byName === 'match' ? 'match' : 'none'
}

/** `user` or `user@host-or-address-list` of AllowUsers and DenyUsers. */
export function matchUser(user: string, host: string, address: string, pattern: string): 'match' | 'none' | 'invalid' {
  const at = pattern.lastIndexOf('@')
  if (at < 0) return matchPattern(user, pattern) ? 'match' : 'none'
  if (!matchPattern(user, pattern.slice(0, at))) return 'none'
  return matchHostAndAddress(host, address, pattern.slice(at + 1))
}
