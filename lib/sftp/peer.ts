import { ProtocolError } from '../errors.ts'
import type { ByteStream, ByteStreamSink } from '../wire/byte-stream.ts'
import { maximumPacketLength } from './messages.ts'

export type { ByteStream, ByteStreamSink } from '../wire/byte-stream.ts'

/** What the owner of a `PacketStream` is told. */
export interface PacketSink {
  /** A packet after its length: type, id, fields. A view, valid for as long as it is referred to. */
  packet(packet: Buffer): void
  /** The stream takes data again. */
  writable?(): void
  /** No packet comes any more. `clean`: the peer ended between two packets. */
  ended(reason: 'clean' | Error): void
}

/**
 * Cuts a byte stream into SFTP packets, which have their length before them (draft -02 §3). A packet that lies in one
 * chunk is a view of it; only one that straddles chunks is copied, once. While paused, chunks are kept and not consumed,
 * so that what waits is at most the window of the stream.
 */
export class PacketStream implements ByteStreamSink {
  readonly #stream: ByteStream
  readonly #sink: PacketSink
  readonly #maximum: number
  /** Of the packet being gathered: the length bytes seen, then its bytes. */
  readonly #head = Buffer.alloc(4)
  #headBytes = 0
  #packet: Buffer | undefined
  #filled = 0
  #state: 'flowing' | 'paused' | 'ended' = 'flowing'
  /** Chunks that came while paused, and how much of the first is used. */
  readonly #waiting: Buffer[] = []
  #eof = false
  /** False once the stream asked to stop, until it is writable again. */
  clear = true

  constructor(stream: ByteStream, sink: PacketSink, maximum = maximumPacketLength) {
    this.#stream = stream
    this.#sink = sink
    this.#maximum = maximum
    stream.sink = this
  }

  /** Sends a packet whose length is already at its head; `payload` follows by reference. */
  send(head: Buffer, payload?: Buffer): void {
    if (this.#state === 'ended') return
    let more = this.#stream.write(head)
    if (payload && payload.length > 0) more = this.#stream.write(payload)
    this.clear = more
  }

  pause(): void {
    if (this.#state === 'flowing') this.#state = 'paused'
  }

  resume(): void {
    if (this.#state !== 'paused') return
    this.#state = 'flowing'
    while (this.#waiting.length > 0 && this.#flowing) {
      const chunk = this.#waiting.shift()!
      this.#take(chunk)
    }
    if (this.#eof && this.#waiting.length === 0 && this.#flowing) this.#finish()
  }

  /** Sends no more; what was sent still goes out. */
  end(): void {
    this.#stream.eof()
  }

  /** Ends both directions once what was sent is out. */
  close(): void {
    this.#stream.close()
  }

  /** Gives up: nothing is sent or told any more. */
  abort(error: Error): void {
    if (this.#state === 'ended') return
    this.#end(error)
    this.#stream.abort()
  }

  get #flowing(): boolean {
    return this.#state === 'flowing'
  }

  data(chunk: Buffer): void {
    if (this.#state === 'ended') this.#stream.consumed(chunk.length)
    else if (this.#state === 'paused') this.#waiting.push(chunk)
    else this.#take(chunk)
  }

  #take(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && this.#state === 'flowing') at = this.#cut(chunk, at)
    if (at < chunk.length && this.#state === 'paused') this.#waiting.unshift(chunk.subarray(at))
    this.#stream.consumed(this.#state === 'ended' ? chunk.length : at)
  }

  /** Uses bytes of a chunk for one packet at most; where the rest begins. */
  #cut(chunk: Buffer, at: number): number {
    if (!this.#packet) {
      if (this.#headBytes === 0 && chunk.length - at >= 4) {
        const length = this.#checked(chunk.readUInt32BE(at))
        if (length < 0) return chunk.length
        const start = at + 4
        if (chunk.length - start >= length) {
          this.#sink.packet(chunk.subarray(start, start + length))
          return start + length
        }
        return this.#begin(length, chunk, start)
      }
      const count = Math.min(4 - this.#headBytes, chunk.length - at)
      chunk.copy(this.#head, this.#headBytes, at, at + count)
      this.#headBytes += count
      if (this.#headBytes < 4) return at + count
      const length = this.#checked(this.#head.readUInt32BE(0))
      this.#headBytes = 0
      return length < 0 ? chunk.length : this.#begin(length, chunk, at + count)
    }
    return this.#fill(chunk, at)
  }

  #begin(length: number, chunk: Buffer, at: number): number {
    this.#packet = Buffer.allocUnsafe(length)
    this.#filled = 0
    return this.#fill(chunk, at)
  }

  #fill(chunk: Buffer, at: number): number {
    const packet = this.#packet!
    const count = Math.min(packet.length - this.#filled, chunk.length - at)
    chunk.copy(packet, this.#filled, at, at + count)
    this.#filled += count
    if (this.#filled === packet.length) {
      this.#packet = undefined
      this.#sink.packet(packet)
    }
    return at + count
  }

  /** The length when it can be one of a packet; else ends the stream and gives -1. */
  #checked(length: number): number {
    if (length >= 1 && length <= this.#maximum) return length
    this.abort(new ProtocolError('limit-exceeded', `SFTP packet of ${length} bytes`))
    return -1
  }

  eof(): void {
    this.#eof = true
    if (this.#state === 'flowing') this.#finish()
  }

  #finish(): void {
    const partial = this.#packet !== undefined || this.#headBytes > 0
    this.#end(partial ? new ProtocolError('malformed-message', 'the stream ended inside an SFTP packet') : 'clean')
  }

  writable(): void {
    this.clear = true
    if (this.#state !== 'ended') this.#sink.writable?.()
  }

  closed(error?: Error): void {
    if (this.#state === 'ended') return
    if (error) this.#end(error)
    else this.#finish()
  }

  #end(reason: 'clean' | Error): void {
    if (this.#state === 'ended') return
    this.#state = 'ended'
    this.#packet = undefined
    this.#waiting.length = 0
    this.#sink.ended(reason)
  }
}
