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

const pick = <T extends { readonly name: string }>(all: readonly T[], names: readonly string[]): T[] =>
  names.flatMap(name => all.find(algorithm => algorithm.name === name) ?? [])

/** Those of the engine, faster for much traffic where this machine lets them be. */
const ciphers = allAlgorithms.cipher.map(cipher => providedCipher(cipher, opensslProvider))
const macs = allAlgorithms.mac.map(mac => providedMac(mac, opensslProvider))

/** The engine's algorithms in the configured order. */
export function algorithmsOf(names: AlgorithmNames): Algorithms {
  return {
    kex: pick(allAlgorithms.kex, names.kex),
    hostKey: names.hostKey,
    cipher: pick(ciphers, names.cipher),
    mac: pick(macs, names.mac),
    compression: pick(allAlgorithms.compression, compressions[names.compression]),
  }
}
