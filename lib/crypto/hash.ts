import { createHash } from 'node:crypto'

export type HashName = 'md5' | 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** The hash of all parts after one another. */
export function hash(name: HashName, ...parts: Uint8Array[]): Buffer {
  const state = createHash(name)
  for (const part of parts) state.update(part)
  return state.digest()
}

/** Bytes of a hash. */
export const hashLength: Readonly<Record<HashName, number>> = {
  md5: 16,
  sha1: 20,
  sha224: 28,
  sha256: 32,
  sha384: 48,
  sha512: 64,
}
