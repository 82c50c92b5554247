import { type Algorithms, allAlgorithms } from '../../lib/algorithms/index.ts'

/** The names that a configuration allows, best first. */
export interface AlgorithmNames {
  readonly kex: readonly string[]
  readonly hostKey: readonly string[]
  readonly cipher: readonly string[]
  readonly mac: readonly string[]
  readonly compression: boolean
}

const pick = <T extends { readonly name: string }>(all: readonly T[], names: readonly string[]): T[] =>
  names.flatMap(name => all.find(algorithm => algorithm.name === name) ?? [])

/** The engine's algorithms in the configured order. */
export function algorithmsOf(names: AlgorithmNames): Algorithms {
  const compression = names.compression ? ['zlib@openssh.com', 'zlib', 'none'] : ['none', 'zlib@openssh.com']
  return {
    kex: pick(allAlgorithms.kex, names.kex),
    hostKey: names.hostKey,
    cipher: pick(allAlgorithms.cipher, names.cipher),
    mac: pick(allAlgorithms.mac, names.mac),
    compression: pick(allAlgorithms.compression, compression),
  }
}
