import { ProtocolError } from '../errors.ts'

/** A cursor over a buffer that reads the types of RFC 4251 §5. Byte strings are views of the buffer, not copies. */
export class Reader {
  readonly buffer: Buffer
  offset: number
  readonly end: number

  constructor(buffer: Buffer, offset = 0, end = buffer.length) {
    this.buffer = buffer
    this.offset = offset
    this.end = end
  }

  get remaining(): number {
    return this.end - this.offset
  }

  /** Moves past `count` bytes and returns where they began. @throws ProtocolError when there are fewer. */
  private take(count: number): number {
    const start = this.offset
    if (count > this.end - start) throw new ProtocolError('malformed-message', 'incomplete message')
    this.offset = start + count
    return start
  }

  byte(): number {
    return this.buffer[this.take(1)]!
  }

  boolean(): boolean {
    return this.byte() !== 0
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.take(4))
  }

  uint64(): bigint {
    return this.buffer.readBigUInt64BE(this.take(8))
  }

  /** `count` bytes without a length before them. */
  bytes(count: number): Buffer {
    const start = this.take(count)
    return this.buffer.subarray(start, start + count)
  }

  string(): Buffer {
    return this.bytes(this.uint32())
  }

  /** A string as UTF-8; a byte that is not UTF-8 becomes U+FFFD. */
  text(): string {
    const length = this.uint32()
    const start = this.take(length)
    return this.buffer.toString('utf8', start, start + length)
  }

  /** A name-list (RFC 4251 §5): US-ASCII, no empty names. */
  nameList(): string[] {
    const length = this.uint32()
    const start = this.take(length)
    if (length === 0) return []
    const names = this.buffer.toString('latin1', start, start + length).split(',')
    if (names.includes('')) throw new ProtocolError('malformed-message', 'empty name in a name-list')
    return names
  }

  /** The magnitude of a non-negative mpint, big-endian, without leading zero bytes. */
  mpint(): Buffer {
    const raw = this.string()
    if (raw.length > 0 && raw[0]! & 0x80) throw new ProtocolError('malformed-message', 'negative mpint')
    if (raw.length > 0 && raw[0] === 0 && !(raw.length > 1 && raw[1]! & 0x80)) {
      throw new ProtocolError('malformed-message', 'mpint with needless leading zero')
    }
    return raw[0] === 0 ? raw.subarray(1) : raw
  }

  rest(): Buffer {
    return this.bytes(this.remaining)
  }

  /** @throws ProtocolError when bytes are left. */
  finish(): void {
    if (this.offset !== this.end) throw new ProtocolError('malformed-message', 'trailing bytes after message')
  }
}
