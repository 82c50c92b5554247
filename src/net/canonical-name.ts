import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { HostLookup, LookupRequest } from '../openssh/canonicalize.ts'
import { systemErrorCode } from '../openssh/system-error.ts'
import { finalName, recordType } from './dns/message.ts'
import { loadResolverConfig, type ResolverConfig, searchNames } from './dns/resolv-conf.ts'
import { askDns } from './dns/resolver.ts'
import { addressesOf, reasonOf } from './tcp.ts'

export interface CanonicalNameOptions {
  readonly resolver?: ResolverConfig
  readonly hostsFile?: string
}

/** Whether a name exists for the system, and the name that its aliases lead to (CanonicalizeHostname). */
export async function canonicalName(
  { name, family }: LookupRequest,
  options: CanonicalNameOptions = {},
): Promise<HostLookup> {
  try {
    await addressesOf(name, family)
  } catch (error) {
    return { failure: reasonOf(error), temporary: systemErrorCode(error) !== 'ENOTFOUND' }
  }
  const written = nameInHosts(name, options.hostsFile ?? '/etc/hosts')
  if (written !== undefined) return { canonicalName: written }
  const resolver = options.resolver ?? loadResolverConfig({ env: process.env, localName: hostname() })
  const types = [...(family === 'inet6' ? [] : [recordType.a]), ...(family === 'inet' ? [] : [recordType.aaaa])]
  for (const candidate of searchNames(name, resolver)) {
    for (const type of types) {
      const outcome = await askDns({ name: candidate, type }, resolver)
      if (outcome.kind === 'no-name') break
      if (outcome.kind !== 'answer') continue
      const { response } = outcome
      if (response.answers.some(record => record.type === type)) return { canonicalName: finalName(response) }
    }
  }
  // Known to the system in another way.
  return { canonicalName: name.replace(/\.$/, '') }
}

/** The first name of the line of hosts(5) that has a name: the others are its aliases. */
function nameInHosts(name: string, file: string): string | undefined {
  const wanted = name.toLowerCase()
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
  for (const line of text.split('\n')) {
    const [, ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    if (names.some(known => known.toLowerCase() === wanted)) return names[0]
  }
  return undefined
}
