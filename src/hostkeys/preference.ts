import { isCertificateAlgorithm, keyTypeOf } from '../../lib/keys/algorithms.ts'
import { findEverywhere, type KnownKeySources } from './known-keys.ts'

/** What is known of a host before it shows a key. */
export interface KnownTypes {
  readonly types: readonly string[]
  /** Whether an authority is trusted to certify the host. */
  readonly authority: boolean
}

/** Types of the keys that are known for a host. @throws what KnownHostsCommand does */
export async function knownKeyTypes(
  sources: KnownKeySources,
  place: { readonly host: string; readonly port: number },
): Promise<KnownTypes> {
  const found = await findEverywhere(sources, 'ORDER', place)
  return {
    types: found.filter(({ marker }) => marker === 'none').map(({ type }) => type),
    authority: found.some(({ marker }) => marker === 'cert-authority'),
  }
}

/** The algorithms with those first whose keys are known: a host with several keys should show a known one. */
export function preferKnownTypes(algorithms: readonly string[], { types, authority }: KnownTypes): readonly string[] {
  const isKnown = (algorithm: string): boolean =>
    (authority && isCertificateAlgorithm(algorithm)) || types.includes(keyTypeOf(algorithm) ?? '')
  return [...algorithms.filter(isKnown), ...algorithms.filter(algorithm => !isKnown(algorithm))]
}
