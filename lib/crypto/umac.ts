import { createCipheriv } from 'node:crypto'
import { UsageError } from '../errors.ts'
import { foundOnce } from '../found-once.ts'
import { PlainUhash, type Uhash, type UhashKeys } from './umac-plain.ts'
import { type WasmConstant, type WasmMemory, wasmInstance } from './wasm/instance.ts'
import { binary } from './wasm/umac.wasm.ts'

/** A message may not be longer: beyond, UMAC takes other polynomials, which no packet needs. */
const maxMessageLength = 2 * 1024 * 1024
const prime36 = (1n << 36n) - 5n

const littleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** KDF (§3.2.1): AES in counter mode over the index and a block number. */
function derive(key: Buffer, index: number, length: number): Buffer {
  const blocks = Math.ceil(length / 16)
  const input = Buffer.alloc(blocks * 16)
  for (let i = 0; i < blocks; i++) {
    input[i * 16 + 7] = index
    input.writeUInt32BE(i + 1, i * 16 + 12)
  }
  return createCipheriv('aes-128-ecb', key, null).setAutoPadding(false).update(input).subarray(0, length)
}

function deriveKeys(key: Buffer, iterations: 2 | 4): UhashKeys {
  const l1 = derive(key, 1, 1024 + (iterations - 1) * 16)
  const l2 = derive(key, 2, iterations * 24)
  const l3 = derive(key, 3, iterations * 64)
  const masks = derive(key, 4, iterations * 4)
  const each = Array.from({ length: iterations }, (_, i) => i)
  const keys = {
    iterations,
    l1: Uint32Array.from({ length: l1.length / 4 }, (_, i) => l1.readUInt32BE(i * 4)),
    l2: each.map(i => l2.readBigUInt64BE(i * 24) & 0x01ffffff01ffffffn),
    l3: each.map(i => [4, 5, 6, 7].map(j => l3.readBigUInt64BE(i * 64 + j * 8) % prime36)),
    l3Mask: each.map(i => masks.readUInt32BE(i * 4)),
  }
  for (const secret of [l1, l2, l3, masks]) secret.fill(0)
  return keys
}

interface Exports extends WasmMemory {
  readonly capacity: WasmConstant
  readonly message: WasmConstant
  readonly keys: WasmConstant
  readonly digest: WasmConstant
  begin(iterations: number): void
  absorb(length: number): void
  finish(length: number): void
}

const l1Length = 1072
const perIteration = 48
const keysLength = l1Length + 4 * perIteration

function instantiate() {
  const wasm = littleEndian ? wasmInstance<Exports>(binary) : undefined
  if (!wasm) return undefined
  const at = (constant: WasmConstant, length: number) => Buffer.from(wasm.memory.buffer, constant.value, length)
  const capacity = wasm.capacity.value
  return {
    wasm,
    capacity,
    message: at(wasm.message, capacity),
    keys: at(wasm.keys, keysLength),
    digest: at(wasm.digest, 16),
  }
}

type Instance = NonNullable<ReturnType<typeof instantiate>>

const sharedInstance = foundOnce(instantiate)

class WasmUhash implements Uhash {
  private readonly instance: Instance
  private readonly iterations: 2 | 4
  private readonly keys = Buffer.alloc(keysLength)
  private readonly digest: Buffer

  constructor(keys: UhashKeys, instance: Instance) {
    this.instance = instance
    this.iterations = keys.iterations
    this.digest = instance.digest.subarray(0, keys.iterations * 4)
    for (const [i, word] of keys.l1.entries()) this.keys.writeUInt32LE(word, i * 4)
    for (let i = 0; i < keys.iterations; i++) {
      const numbers = [keys.l2[i]!, ...keys.l3[i]!, BigInt(keys.l3Mask[i]!)]
      for (const [j, number] of numbers.entries()) {
        this.keys.writeBigUInt64LE(number, l1Length + i * perIteration + j * 8)
      }
    }
  }

  hash(parts: readonly Buffer[]): Buffer {
    const { wasm, message, keys, capacity } = this.instance
    this.keys.copy(keys)
    wasm.begin(this.iterations)
    let filled = 0
    for (const part of parts) {
      let at = 0
      while (at < part.length) {
        // A full buffer is taken only when more follows: the last bytes are `finish`'s.
        if (filled === capacity) {
          wasm.absorb(capacity)
          filled = 0
        }
        const taken = part.copy(message, filled, at)
        filled += taken
        at += taken
      }
    }
    wasm.finish(filled)
    return this.digest
  }
}

function createUhash(keys: UhashKeys): Uhash {
  const instance = sharedInstance()
  return instance ? new WasmUhash(keys, instance) : new PlainUhash(keys)
}

/** UMAC (RFC 4418) under one key. */
export interface Umac {
  /** The tag over all parts; the nonce is a uint64 in two halves and may be used once. */
  tag(nonceHigh: number, nonceLow: number, parts: readonly Buffer[]): Buffer
}

/** Pads are made for so many consecutive nonces at once, since a call into OpenSSL costs more than 64 blocks of AES. */
const padBlocks = 64

/** `key` is 16 bytes, `tagLength` 8 or 16. `create` is for tests. */
export function umac(key: Buffer, tagLength: 8 | 16, create: (keys: UhashKeys) => Uhash = createUhash): Umac {
  const uhash = create(deriveKeys(key, tagLength === 8 ? 2 : 4))
  const cipher = createCipheriv('aes-128-ecb', derive(key, 0, 16), null).setAutoPadding(false)
  // With short tags, one block of the cipher makes the pads of two nonces (§4.1).
  const perBlock = 16 / tagLength
  const noncesPerBatch = padBlocks * perBlock
  const input = Buffer.alloc(padBlocks * 16)
  let pads: Buffer = input
  let padsHigh = -1
  let padsLow = -1
  const padsFor = (high: number, low: number): void => {
    for (let i = 0; i < padBlocks; i++) {
      input.writeUInt32BE(high, i * 16)
      input.writeUInt32BE(low + i * perBlock, i * 16 + 4)
    }
    pads = cipher.update(input)
    padsHigh = high
    padsLow = low
  }
  return {
    tag(nonceHigh, nonceLow, parts) {
      const batch = nonceLow - (nonceLow % noncesPerBatch)
      if (batch !== padsLow || nonceHigh !== padsHigh) padsFor(nonceHigh, batch)
      if (lengthOf(parts) > maxMessageLength) throw new UsageError('message too long for UMAC')
      const digest = uhash.hash(parts)
      const pad = (nonceLow - batch) * tagLength
      const tag = Buffer.allocUnsafe(tagLength)
      for (let i = 0; i < tagLength; i++) tag[i] = digest[i]! ^ pads[pad + i]!
      return tag
    },
  }
}

function lengthOf(parts: readonly Buffer[]): number {
  let length = 0
  for (const part of parts) length += part.length
  return length
}
