import { createHash } from 'node:crypto'
import type { HashName } from './hash.ts'

/** A hash of data that comes in pieces. */
export interface RunningHash {
  update(data: Uint8Array): unknown
  digest(): Buffer
}

/** Begins a hash; `digest` ends it. */
export const startHash = (name: HashName): RunningHash => createHash(name)
