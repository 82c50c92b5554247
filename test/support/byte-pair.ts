import type { ByteStream, ByteStreamSink } from '../../lib/wire/byte-stream.ts'

/** Bytes that one end takes before it says stop. */
const window = 64 * 1024

/** Two joined byte streams: what one writes arrives at the other, later, in pieces of at most `chunk` bytes. */
export function bytePair(chunk: number): [ByteStream, ByteStream] {
  const a = new End(chunk)
  const b = new End(chunk)
  a.peer = b
  b.peer = a
  return [a, b]
}

class End implements ByteStream {
  sink: ByteStreamSink = { data() {} }
  peer!: End
  readonly #chunk: number
  #outstanding = 0
  #blocked = false

  constructor(chunk: number) {
    this.#chunk = chunk
  }

  write(data: Buffer): boolean {
    for (let at = 0; at < data.length; at += this.#chunk) {
      const piece = Buffer.from(data.subarray(at, at + this.#chunk))
      setImmediate(() => this.peer.sink.data(piece))
    }
    this.#outstanding += data.length
    this.#blocked = this.#outstanding > window
    return !this.#blocked
  }

  consumed(count: number): void {
    this.peer.taken(count)
  }

  private taken(count: number): void {
    this.#outstanding -= count
    if (!this.#blocked || this.#outstanding > window) return
    this.#blocked = false
    setImmediate(() => this.sink.writable?.())
  }

  eof(): void {
    setImmediate(() => this.peer.sink.eof?.())
  }

  close(): void {
    setImmediate(() => this.peer.sink.closed?.())
  }

  abort(): void {
    this.close()
  }
}
