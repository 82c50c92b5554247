import type { Mac, MacAlgorithm } from '../../../lib/algorithms/mac.ts'
import { MacContext, type MacType, type OpenSsl } from './library.ts'

/** Bytes of the largest tag. */
const longest = 64

/** HMAC (RFC 2104) under one key that OpenSSL has prepared once. */
export class Hmac implements Mac {
  readonly tagLength: number
  readonly encryptThenMac: boolean
  readonly #context: MacContext
  readonly #counter = Buffer.alloc(4)

  constructor(openssl: OpenSsl, type: MacType, { tagLength, encryptThenMac }: MacAlgorithm, key: Buffer) {
    this.tagLength = tagLength
    this.encryptThenMac = encryptThenMac
    this.#context = new MacContext(openssl, type, key)
  }

  compute(sequence: number, ...parts: Buffer[]): Buffer {
    this.#counter.writeUInt32BE(sequence, 0)
    this.#context.restart()
    this.#context.update(this.#counter, 0, 4)
    for (const part of parts) this.#context.update(part, 0, part.length)
    const tag = Buffer.allocUnsafe(longest)
    this.#context.finish(tag, 0)
    return tag.subarray(0, this.tagLength)
  }
}
