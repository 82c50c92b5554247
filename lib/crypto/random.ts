import { randomBytes as nodeRandomBytes, randomFillSync } from 'node:crypto'

/** `size` bytes that nobody can guess. */
export type RandomSource = (size: number) => Buffer

export const randomBytes: RandomSource = size => nodeRandomBytes(size)

const poolSize = 8192
const pool = Buffer.allocUnsafeSlow(poolSize)
let used = poolSize

/**
 * Writes random padding into `target`. Taken from a pool, since a call into OpenSSL for a few bytes costs a third of a
 * small packet.
 */
export function fillPadding(target: Buffer, start: number, end: number): void {
  const length = end - start
  if (length > poolSize - used) {
    randomFillSync(pool)
    used = 0
  }
  pool.copy(target, start, used, used + length)
  // What was sent must not be found here later.
  pool.fill(0, used, used + length)
  used += length
}
