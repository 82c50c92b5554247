import { type Algorithms, allAlgorithms } from '../../lib/algorithms/index.ts'
import { providedCipher, providedMac } from '../../lib/algorithms/provider.ts'
import { opensslProvider } from '../native/openssl/provider.ts'

/** The names that a configuration allows, best first. */
export interface AlgorithmNames {
  readonly kex: readonly string[]
  readonly hostKey: readonly string[]
  readonly cipher: readonly string[]
  readonly mac: readonly string[]
  readonly compression: keyof typeof compressions
}

/** Before a login nothing is decompressed: plain zlib is for who asks for it by name. */
const compressions = {
  wanted: ['zlib@openssh.com', 'none'],
  possible: ['none', 'zlib@openssh.com'],
  off: ['none'],
} as const

const pick = <T extends { readonly name: string }>(from: readonly T[], names: readonly string[]): T[] =>
  names.flatMap(name => from.find(algorithm => algorithm.name === name) ?? [])

/** The same, but faster for much traffic where this machine lets them be. */
export const accelerated = (algorithms: Algorithms): Algorithms => ({
  ...algorithms,
  cipher: algorithms.cipher.map(cipher => providedCipher(cipher, opensslProvider)),
  mac: algorithms.mac.map(mac => providedMac(mac, opensslProvider)),
})

const all = accelerated(allAlgorithms)

/** The engine's algorithms in the configured order. */
export function algorithmsOf(names: AlgorithmNames): Algorithms {
  return {
    kex: pick(all.kex, names.kex),
    hostKey: names.hostKey,
    cipher: pick(all.cipher, names.cipher),
    mac: pick(all.mac, names.mac),
    compression: pick(all.compression, compressions[names.compression]),
  }
}
