import type { CipherAlgorithm } from './cipher.ts'
import type { CompressionAlgorithm } from './compression.ts'
import type { KexMethod } from './kex.ts'
import type { MacAlgorithm } from './mac.ts'

/**
 * Which algorithms a connection may use, best first: the order is the proposal and the list is the registry.
 * A value, given to client and server; nothing is registered globally.
 */
export interface Algorithms {
  readonly kex: readonly KexMethod[]
  /** Host key algorithm names: what a client accepts, or what a server offers with the keys that it has. */
  readonly hostKey: readonly string[]
  readonly cipher: readonly CipherAlgorithm[]
  readonly mac: readonly MacAlgorithm[]
  readonly compression: readonly CompressionAlgorithm[]
}
