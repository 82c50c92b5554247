import { createRequire } from 'node:module'

/** Argon2 (RFC 9106), which PuTTY's key files use. */
export type Argon2Kind = 'argon2id' | 'argon2i' | 'argon2d'

export interface Argon2Options {
  readonly kind: Argon2Kind
  /** KiB. */
  readonly memory: number
  readonly passes: number
  readonly parallelism: number
  readonly salt: Buffer
  /** Bytes of the result. */
  readonly length: number
}

/** @throws when the options are out of the algorithm's range */
export function argon2(passphrase: Buffer, { kind, memory, passes, parallelism, salt, length }: Argon2Options): Buffer {
  // Loaded here: few runs of few commands need it.
  const noble: typeof import('@noble/hashes/argon2.js') = createRequire(import.meta.url)('@noble/hashes/argon2.js')
  return Buffer.from(noble[kind](passphrase, salt, { t: passes, m: memory, p: parallelism, dkLen: length }))
}
