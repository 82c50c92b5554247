import { aesGcm } from '../../lib/algorithms/ciphers/aes-gcm.ts'
import { type Algorithms, allAlgorithms } from '../../lib/algorithms/index.ts'
import { opensslGcm } from '../native/openssl.ts'

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

/** Those of the engine, with a faster AES-GCM where this machine has it. */
const ciphers = [aesGcm(128, opensslGcm), aesGcm(256, opensslGcm), ...allAlgorithms.cipher]

/** The engine's algorithms in the configured order. */
export function algorithmsOf(names: AlgorithmNames): Algorithms {
  return {
    kex: pick(allAlgorithms.kex, names.kex),
    hostKey: names.hostKey,
    cipher: pick(ciphers, names.cipher),
    mac: pick(allAlgorithms.mac, names.mac),
    compression: pick(allAlgorithms.compression, compressions[names.compression]),
  }
}
