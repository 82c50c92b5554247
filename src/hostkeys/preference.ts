import { isCertificateAlgorithm, isX509Algorithm, keyTypeOf } from '../../lib/keys/algorithms.ts'
import { findEverywhere, type KnownKeySources } from './known-keys.ts'

/** What is known of a host before it shows a key. */
export interface KnownTypes {
  readonly types: readonly string[]
  /** Whether an authority is trusted to certify the host. */
  readonly authority: boolean
  /** Whether an X.509 certificate or subject is trusted for the host. */
  readonly x509: boolean
}

/** Types of the keys that are known for a host. @throws what KnownHostsCommand does */
export async function knownKeyTypes(
  sources: KnownKeySources,
  place: { readonly host: string; readonly port: number },
): Promise<KnownTypes> {
  const { keys, x509 } = await findEverywhere(sources, 'ORDER', place)
  return {
    types: keys.filter(({ marker }) => marker === 'none').map(({ type }) => type),
    authority: keys.some(({ marker }) => marker === 'cert-authority'),
    x509: x509.some(({ marker }) => marker !== 'revoked'),
  }
}

/** The algorithms with those first whose keys are known: a host with several keys should show a known one. */
export function preferKnownTypes(
  algorithms: readonly string[],
  { types, authority, x509 }: KnownTypes,
): readonly string[] {
  const isKnown = (algorithm: string): boolean => {
    if (isX509Algorithm(algorithm)) return x509
    return (authority && isCertificateAlgorithm(algorithm)) || types.includes(keyTypeOf(algorithm) ?? '')
  }
  return [...algorithms.filter(isKnown), ...algorithms.filter(algorithm => !isKnown(algorithm))]
}
