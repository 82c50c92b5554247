import {
  type Algorithms,
  allAlgorithms,
  defaultAlgorithms,
  defaultServerAlgorithms,
} from '../../lib/algorithms/index.ts'
import { allSignatureAlgorithms, defaultSignatureAlgorithms, isPlainAlgorithm } from '../../lib/keys/algorithms.ts'
import type { AlgorithmChoice, AlgorithmNames } from './algorithm-list.ts'

const choice = (sort: 'cipher' | 'mac' | 'kex', defaults: Algorithms = defaultAlgorithms): AlgorithmChoice => {
  const names = (algorithms: Algorithms): string[] => algorithms[sort].map(({ name }) => name)
  return { defaults: names(defaults), supported: names(allAlgorithms) }
}

const plain = (names: readonly string[]): string[] => names.filter(isPlainAlgorithm)

/** The names that this engine really has. */
export const engineAlgorithmNames: AlgorithmNames = {
  cipher: choice('cipher'),
  mac: choice('mac'),
  kex: choice('kex'),
  serverKex: choice('kex', defaultServerAlgorithms),
  signature: { defaults: defaultSignatureAlgorithms, supported: allSignatureAlgorithms },
  caSignature: { defaults: plain(defaultSignatureAlgorithms), supported: plain(allSignatureAlgorithms) },
}
