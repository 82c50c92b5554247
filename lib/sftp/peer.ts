import { ProtocolError } from '../errors.ts'
import type { ByteStream, ByteStreamSink } from '../wire/byte-stream.ts'
import { giveBack } from '../wire/room.ts'
import { Writer } from '../wire/writer.ts'
import { maximumPacketLength } from './messages.ts'
import { SftpError } from './status.ts'

export type { ByteStream, ByteStreamSink } from '../wire/byte-stream.ts'

/** What the owner of a `PacketStream` is told. */
export interface PacketSink {
  /** A packet after its length: type, id, fields. A view, valid for as long as it is referred to. */
  packet(packet: Buffer): void
  /**
   * Takes a packet where it lies, between `start` and `end` of a chunk; false: it has to be made a view, which costs more
   * than what most answers say.
   */
  takeAt?(chunk: Buffer, start: number, end: number): boolean
  /**
   * Where the data of a DATA packet that comes in pieces shall be put; undefined: the packet is put together in memory of
   * its own. `head`: type, id and length of the data. `length`: of the whole packet.
   */
  place?(head: Buffer, length: number): Buffer | undefined
  /** The data of this packet is where `place` wanted it. */
  placed?(head: Buffer, data: Buffer): void
  /** The stream takes data again. */
  writable?(): void
  /** Nothing refers any more to what was sent. */
  idle?(): void
  /** No packet comes any more. `clean`: the peer ended between two packets. */
  ended(reason: 'clean' | Error): void
}

/** Bytes of a whole packet of a channel, at which a batch goes out at once. */
const batchLength = 32 * 1024
/** Pieces above this go out by reference. */
const largePiece = 8 * 1024
const noBytes = Buffer.alloc(0)
/** Packets are written one behind another into pieces of memory that hold a batch; what is short of `leastRoom` is left. */
const leastRoom = 1024
const slabLength = batchLength + largePiece + 2 * leastRoom
/** Bytes of a DATA packet before the data: type, id and length. */
const dataHeadLength = 9
/** Packets from this length on are put together in memory that is used again, as new memory costs as much as the copy. */
const reusedLength = 32 * 1024
const maximumSpare = 8

/**
 * Cuts a byte stream into SFTP packets, which have their length before them (draft -02 §3). A packet that lies in one
 * chunk is a view of it; only one that straddles chunks is copied, once, and the memory of a chunk of nothing else given
 * back. While paused, chunks are kept and not consumed, so that what waits is at most the window of the stream.
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
  /** Of a packet whose data alone is gathered, where the sink wants it. */
  #placedHead: Buffer | undefined
  readonly #spare: Buffer[] = []
  #state: 'flowing' | 'paused' | 'ended' = 'flowing'
  /** Chunks that came while paused, and how much of the first is used. */
  readonly #waiting: Buffer[] = []
  #eof = false
  /** Packets so far that the sink got as views of chunks, and may refer to. */
  #views = 0
  /** Where packets are written, and which of it is whole and not in the batch yet. */
  readonly #writer = new Writer(0)
  #from = 0
  #upTo = 0
  /** Packets of this turn of the event loop, which go out together: many small ones cost little more than one. */
  #batch: Buffer[] = []
  #batchBytes = 0
  #flush: 'none' | 'scheduled' = 'none'
  /** False once the stream asked to stop, until it is writable again. */
  clear = true

  constructor(stream: ByteStream, sink: PacketSink, maximum = maximumPacketLength) {
    this.#stream = stream
    this.#sink = sink
    this.#maximum = maximum
    stream.sink = this
  }

  /**
   * Begins a packet: its type and, for all but INIT and VERSION, its id are written, the fields are for the caller.
   * `send` makes it go out; without that, the next `begin` writes over it.
   */
  begin(type: number, id?: number): Writer {
    const writer = this.#writer
    if (writer.buffer.length - this.#upTo < leastRoom) this.#newSlab()
    writer.length = this.#upTo
    writer.uint32(0).byte(type)
    return id === undefined ? writer : writer.uint32(id)
  }

  /**
   * Sends the packet that was begun. `payload` follows what was written; a large one by reference. `before`: so many bytes
   * of memory in front of it may be written over.
   */
  send(payload?: Buffer, before = 0): void {
    if (this.#state === 'ended') return
    const writer = this.#writer
    const extra = payload ? payload.length : 0
    const begun = this.#upTo
    const headLength = writer.length - begun
    writer.buffer.writeUInt32BE(headLength - 4 + extra, begun)
    this.#batchBytes += headLength + extra
    if (payload && extra > largePiece && headLength <= before) {
      const whole = Buffer.from(payload.buffer, payload.byteOffset - headLength, headLength + extra)
      writer.buffer.copy(whole, 0, begun, writer.length)
      this.#gather()
      this.#batch.push(whole)
      this.#writeBatch()
      return
    }
    this.#upTo = writer.length
    if (payload && extra > largePiece) {
      this.#gather()
      this.#batch.push(payload)
    } else if (payload) {
      if (writer.buffer.length - writer.length < extra) this.#newSlab()
      writer.bytes(payload)
      this.#upTo = writer.length
    }
    if (this.#batchBytes >= batchLength) this.#writeBatch()
    else if (this.#flush === 'none') {
      this.#flush = 'scheduled'
      setImmediate(this.#flushNow)
    }
  }

  readonly #flushNow = (): void => {
    this.#flush = 'none'
    this.#writeBatch()
  }

  #newSlab(): void {
    this.#gather()
    this.#writer.buffer = Buffer.allocUnsafeSlow(slabLength)
    this.#writer.length = 0
    this.#from = 0
    this.#upTo = 0
  }

  /** Puts the packets that were written since into the batch. */
  #gather(): void {
    if (this.#upTo > this.#from) this.#batch.push(this.#writer.buffer.subarray(this.#from, this.#upTo))
    this.#from = this.#upTo
  }

  /** Sends what was gathered. Memory that the stream refers to no more is used again: new memory costs more than a copy. */
  #writeBatch(): void {
    this.#gather()
    const batch = this.#batch
    if (batch.length === 0) return
    this.#batch = []
    this.#batchBytes = 0
    if (batch.length === 1) this.clear = this.#stream.write(batch[0]!)
    else this.#writePieces(batch)
    // The stream may have asked for more meanwhile.
    if (this.#stream.queued !== 0 || this.#upTo > this.#from || this.#batch.length > 0) return
    this.#from = 0
    this.#upTo = 0
    this.#sink.idle?.()
  }

  /** Small pieces are copied together, and filled up to a whole packet of the channel from a large one. */
  #writePieces(batch: readonly Buffer[]): void {
    let small: Buffer[] = []
    let length = 0
    const write = (data: Buffer): void => {
      this.clear = this.#stream.write(data)
    }
    for (let piece of batch) {
      if (piece.length > largePiece) {
        const room = batchLength - length
        if (length > 0) small.push(piece.subarray(0, room))
        else write(piece)
        piece = length > 0 ? piece.subarray(room) : noBytes
      } else {
        small.push(piece)
        length += piece.length
        if (length < batchLength) continue
        piece = noBytes
      }
      if (small.length > 0) write(Buffer.concat(small))
      if (piece.length > 0) write(piece)
      small = []
      length = 0
    }
    if (small.length > 0) write(small.length === 1 ? small[0]! : Buffer.concat(small))
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
    this.#writeBatch()
    this.#stream.eof()
  }

  /** Ends both directions once what was sent is out. */
  close(): void {
    this.#writeBatch()
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
    const views = this.#views
    while (at < chunk.length && this.#state === 'flowing') at = this.#cut(chunk, at)
    if (at < chunk.length && this.#state === 'paused') this.#waiting.unshift(chunk.subarray(at))
    else if (this.#views === views && chunk.length > largePiece) giveBack(chunk)
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
          const end = start + length
          if (!this.#sink.takeAt?.(chunk, start, end)) {
            this.#views++
            this.#sink.packet(chunk.subarray(start, end))
          }
          return end
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
    this.#filled = 0
    if (length >= reusedLength && chunk.length - at >= dataHeadLength) {
      const head = chunk.subarray(at, at + dataHeadLength)
      const place = this.#sink.place?.(head, length)
      if (place) {
        this.#placedHead = Buffer.from(head)
        this.#packet = place
        return this.#fill(chunk, at + dataHeadLength)
      }
    }
    this.#packet = length < reusedLength ? Buffer.allocUnsafe(length) : this.#memory(length)
    return this.#fill(chunk, at)
  }

  #memory(length: number): Buffer {
    const index = this.#spare.findIndex(({ byteLength }) => byteLength >= length)
    if (index < 0) return Buffer.allocUnsafeSlow(length)
    return this.#spare.splice(index, 1)[0]!.subarray(0, length)
  }

  /** Nobody refers to a packet that the sink was given any more. */
  recycle(packet: Buffer): void {
    // A view of a chunk never begins where the chunk does.
    if (packet.length < reusedLength || packet.byteOffset !== 0 || this.#spare.length >= maximumSpare) return
    this.#spare.push(Buffer.from(packet.buffer))
  }

  #fill(chunk: Buffer, at: number): number {
    const packet = this.#packet!
    const count = Math.min(packet.length - this.#filled, chunk.length - at)
    chunk.copy(packet, this.#filled, at, at + count)
    this.#filled += count
    if (this.#filled === packet.length) {
      this.#packet = undefined
      const head = this.#placedHead
      this.#placedHead = undefined
      if (head) this.#sink.placed!(head, packet)
      else this.#sink.packet(packet)
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
    // What a killed server or a broken pipe leaves: no fault of the protocol.
    this.#end(
      partial ? new SftpError('connection-lost', { message: 'the stream ended inside an SFTP packet' }) : 'clean',
    )
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
    this.#placedHead = undefined
    this.#spare.length = 0
    if (reason !== 'clean') {
      this.#batch = []
      this.#from = this.#upTo
    }
    this.#waiting.length = 0
    this.#sink.ended(reason)
  }
}
