import { ProtocolError } from '../errors.ts'

/** The part of DER (X.690) that key files and certificates are made of. */

export const derTag = {
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  null: 5,
  oid: 6,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** The tag of `[number]`, whole (EXPLICIT) or as the value itself (IMPLICIT of a primitive type). */
export const derContext = (number: number, kind: 'explicit' | 'implicit'): number =>
  (kind === 'explicit' ? 0xa0 : 0x80) | number

const fail = (what: string): never => {
  throw new ProtocolError('malformed-message', `bad DER: ${what}`)
}

/** A cursor over DER values that follow one another. Bodies are views, not copies. */
export class DerReader {
  readonly #bytes: Buffer
  #offset = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset
  }

  /** The tag of the next value; undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#offset]
  }

  /** The body of the next value if it has this tag, else nothing is taken. @throws ProtocolError */
  optional(tag: number): Buffer | undefined {
    return this.peek() === tag ? this.any().body : undefined
  }

  /** The next value as it is encoded, tag and length included. @throws ProtocolError */
  whole(): Buffer {
    const start = this.#offset
    this.any()
    return this.#bytes.subarray(start, this.#offset)
  }

  /** The body of the next value, which must have this tag. @throws ProtocolError */
  take(tag: number): Buffer {
    if (this.peek() !== tag) fail(`expected tag ${tag}`)
    return this.any().body
  }

  /** The next value, whatever it is. @throws ProtocolError */
  any(): { tag: number; body: Buffer } {
    if (this.remaining < 2) fail('cut off')
    const tag = this.#bytes[this.#offset]!
    let length = this.#bytes[this.#offset + 1]!
    let start = this.#offset + 2
    if (length >= 0x80) {
      const count = length & 0x7f
      if (count < 1 || count > 4 || this.#bytes.length < start + count) fail('bad length')
      length = this.#bytes.readUIntBE(start, count)
      start += count
    }
    if (length > this.#bytes.length - start) fail('cut off')
    this.#offset = start + length
    return { tag, body: this.#bytes.subarray(start, this.#offset) }
  }

  sequence(): DerReader {
    return new DerReader(this.take(derTag.sequence))
  }

  /** The magnitude of a non-negative integer, without leading zeros. @throws ProtocolError */
  integer(): Buffer {
    const body = this.take(derTag.integer)
    if (body.length === 0 || body[0]! & 0x80) fail('negative integer')
    let start = 0
    while (start < body.length && body[start] === 0) start++
    return body.subarray(start)
  }

  /** @throws ProtocolError when something is left */
  finish(): void {
    if (this.remaining > 0) fail('trailing bytes')
  }
}

/** One value with its tag and length. The parts are copied once: they may be secret. */
export function derValue(tag: number, ...parts: Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  if (size < 0x80) return Buffer.concat([Buffer.of(tag, size), ...parts])
  const length = Buffer.alloc(4)
  length.writeUInt32BE(size)
  const significant = length.subarray(length.findIndex(byte => byte !== 0))
  return Buffer.concat([Buffer.of(tag, 0x80 | significant.length), significant, ...parts])
}

export const derSequence = (...parts: Uint8Array[]): Buffer => derValue(derTag.sequence, ...parts)

/** An INTEGER from its magnitude, with any number of leading zeros. */
export function derInteger(magnitude: Uint8Array): Buffer {
  let start = 0
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++
  const significant = magnitude.subarray(start)
  const sign = significant.length === 0 || significant[0]! & 0x80 ? [Buffer.of(0)] : []
  return derValue(derTag.integer, ...sign, significant)
}
