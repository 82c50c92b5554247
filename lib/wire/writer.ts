/**
 * A growable buffer that writes the types of RFC 4251 §5. A Writer may be used again after `reset`: then views handed
 * out before are overwritten, so take a `copy` of what must live longer.
 */
export class Writer {
  buffer: Buffer
  length = 0

  constructor(capacity = 256) {
    this.buffer = Buffer.allocUnsafe(capacity)
  }

  reset(): this {
    this.length = 0
    return this
  }

  /** Makes room for `count` bytes and returns where they begin. */
  reserve(count: number): number {
    const start = this.length
    const end = start + count
    if (end > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(end, this.buffer.length * 2))
      this.buffer.copy(grown, 0, 0, start)
      this.buffer = grown
    }
    this.length = end
    return start
  }

  byte(value: number): this {
    const at = this.reserve(1)
    this.buffer[at] = value
    return this
  }

  boolean(value: boolean): this {
    return this.byte(value ? 1 : 0)
  }

  uint32(value: number): this {
    const at = this.reserve(4)
    this.buffer.writeUInt32BE(value >>> 0, at)
    return this
  }

  uint64(value: bigint): this {
    const at = this.reserve(8)
    this.buffer.writeBigUInt64BE(value, at)
    return this
  }

  /** Bytes without a length before them. */
  bytes(value: Uint8Array): this {
    const at = this.reserve(value.length)
    this.buffer.set(value, at)
    return this
  }

  string(value: Uint8Array): this {
    return this.uint32(value.length).bytes(value)
  }

  text(value: string): this {
    const length = Buffer.byteLength(value)
    this.uint32(length)
    const at = this.reserve(length)
    this.buffer.write(value, at, 'utf8')
    return this
  }

  nameList(names: readonly string[]): this {
    return this.text(names.join(','))
  }

  /** A non-negative mpint from its big-endian magnitude, with any number of leading zero bytes. */
  mpint(magnitude: Uint8Array): this {
    let start = 0
    while (start < magnitude.length && magnitude[start] === 0) start++
    const length = magnitude.length - start
    if (length > 0 && magnitude[start]! & 0x80) this.uint32(length + 1).byte(0)
    else this.uint32(length)
    return this.bytes(magnitude.subarray(start))
  }

  /** What was written, as a view that the next `reset` or growth invalidates. */
  view(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  /** What was written, as a buffer of its own. */
  copy(): Buffer {
    return Buffer.from(this.view())
  }
}

/** Encodes with a Writer of its own: `encode(w => w.text('ssh-rsa').mpint(e).mpint(n))`. */
export function encode(write: (writer: Writer) => unknown): Buffer {
  const writer = new Writer()
  write(writer)
  return writer.view()
}
