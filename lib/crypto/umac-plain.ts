/** Keys of UHASH, as numbers. `iterations` is 2 for tags of 64 bits and 4 for 128. */
export interface UhashKeys {
  readonly iterations: 2 | 4
  /** 256 + 4 × (iterations - 1) words of 32 bits. */
  readonly l1: Uint32Array
  /** For each iteration: k64, masked as §5.4 says. */
  readonly l2: readonly bigint[]
  /** For each iteration the last four numbers of L3's first key, modulo 2^36 - 5: the others meet zeros only. */
  readonly l3: readonly (readonly bigint[])[]
  /** For each iteration L3's second key. */
  readonly l3Mask: readonly number[]
}

/** UHASH (RFC 4418 §5) under one key. */
export interface Uhash {
  /** 4 bytes for each iteration, valid until the next call. */
  hash(parts: readonly Buffer[]): Buffer
}

const chunkLength = 1024
const groupLength = 32
const prime36 = (1n << 36n) - 5n
const prime64 = (1n << 64n) - 59n
const wordRange = (1n << 64n) - (1n << 32n)

/** UHASH (RFC 4418 §5) without WebAssembly, as the sections say it. */
export class PlainUhash implements Uhash {
  private readonly keys: UhashKeys

  constructor(keys: UhashKeys) {
    this.keys = keys
  }

  hash(parts: readonly Buffer[]): Buffer {
    const message = Buffer.concat(parts)
    const digest = Buffer.alloc(this.keys.iterations * 4)
    for (let i = 0; i < this.keys.iterations; i++) digest.writeUInt32BE(this.iteration(message, i), i * 4)
    return digest
  }

  private iteration(message: Buffer, i: number): number {
    const chunks = this.nhOfChunks(message, i)
    const value = chunks.length === 1 ? chunks[0]! : polynomial(this.keys.l2[i]!, chunks)
    let sum = 0n
    for (const [j, key] of this.keys.l3[i]!.entries()) sum += ((value >> BigInt(48 - 16 * j)) & 0xffffn) * key
    return (Number((sum % prime36) & 0xffffffffn) ^ this.keys.l3Mask[i]!) >>> 0
  }

  private nhOfChunks(message: Buffer, iteration: number): bigint[] {
    const results: bigint[] = []
    for (let at = 0; at === 0 || at < message.length; at += chunkLength) {
      const chunk = message.subarray(at, at + chunkLength)
      const padded = Buffer.alloc(Math.max(Math.ceil(chunk.length / groupLength), 1) * groupLength)
      chunk.copy(padded)
      const sum = nh(this.keys.l1, iteration * 4, padded) + BigInt(chunk.length * 8)
      results.push(BigInt.asUintN(64, sum))
    }
    return results
  }
}

/** NH (§5.2.2): message words are little-endian. Products are split so that sums of doubles stay exact. */
function nh(key: Uint32Array, keyAt: number, message: Buffer): bigint {
  let sum = 0n
  for (let at = 0; at < message.length; at += groupLength) {
    let low = 0
    let high = 0
    for (let j = 0; j < 4; j++) {
      const word = keyAt + at / 4 + j
      const a = (message.readUInt32LE(at + j * 4) + key[word]!) >>> 0
      const b = (message.readUInt32LE(at + 16 + j * 4) + key[word + 4]!) >>> 0
      low += (a & 0xffff) * b
      high += (a >>> 16) * b
    }
    sum += BigInt(low) + (BigInt(high) << 16n)
  }
  return sum
}

/** POLY (§5.4.1) over words of 64 bits. */
function polynomial(key: bigint, words: readonly bigint[]): bigint {
  let y = 1n
  for (const word of words) {
    if (word >= wordRange) y = (((key * y + prime64 - 1n) % prime64) * key + word - 59n) % prime64
    else y = (key * y + word) % prime64
  }
  return y
}
