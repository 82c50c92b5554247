import type { PacketOpener, PacketSealer } from '../algorithms/cipher.ts'
import type { Compressor, Decompressor } from '../algorithms/compression.ts'
import { ProtocolError } from '../errors.ts'
import { Writer } from '../wire/writer.ts'

/** Largest packet_length taken, in bytes; RFC 4253 §6.1 asks for 35000, OpenSSH takes 256 KiB. */
export const maxPacketLength = 256 * 1024
/** Room before the payload in an outgoing packet: packet_length and padding_length. */
const headerLength = 5
const minPadding = 4

/** Before the first NEWKEYS: packets in the clear. */
export const plainSealer: PacketSealer = {
  blockLength: 8,
  lengthApart: false,
  seal(_sequence, packet, out) {
    out.push(Buffer.from(packet))
  },
}

export const plainOpener: PacketOpener = {
  blockLength: 8,
  lengthApart: false,
  headLength: 4,
  tagLength: 0,
  openLength: (_sequence, head) => head.readUInt32BE(0),
  open: (_sequence, sealed) => Buffer.from(sealed.subarray(4)),
}

/** What went through one direction; `bytes`, `packets` and `blocks` count from the last change of keys. */
export interface Traffic {
  bytes: number
  packets: number
  totalBytes: number
  totalPackets: number
}

const noTraffic = (): Traffic => ({ bytes: 0, packets: 0, totalBytes: 0, totalPackets: 0 })

function count(traffic: Traffic, bytes: number): void {
  traffic.bytes += bytes
  traffic.packets++
  traffic.totalBytes += bytes
  traffic.totalPackets++
}

/**
 * Where all connections write their outgoing packets, as each is sealed before anything else runs. Most connections
 * are idle most of the time.
 */
const scratch = new Writer(4096)

/** Frames and seals outgoing payloads (RFC 4253 §6). The payload is written where it will be sealed, without a copy. */
export class PacketOutput {
  readonly traffic = noTraffic()
  /** When set, payloads are compressed. */
  compressor: Compressor | undefined
  private readonly fillPadding: (target: Buffer, start: number, end: number) => void
  private sealer = plainSealer
  private sequence = 0

  constructor(fillPadding: (target: Buffer, start: number, end: number) => void) {
    this.fillPadding = fillPadding
  }

  /** Sequence number of the packet that will be sealed next. */
  get nextSequence(): number {
    return this.sequence
  }

  /** A Writer to which one payload is appended. */
  begin(): Writer {
    // One giant message does not keep its room for ever.
    if (scratch.buffer.length > 2 * maxPacketLength) scratch.buffer = Buffer.allocUnsafe(4096)
    scratch.length = headerLength
    return scratch
  }

  /** The payload written since `begin`, as a view. */
  payload(): Buffer {
    return scratch.buffer.subarray(headerLength, scratch.length)
  }

  /** Seals the payload written since `begin` and appends it to `out`. Returns the bytes appended. */
  seal(out: Buffer[]): number {
    const { sealer } = this
    if (this.compressor) {
      const compressed = this.compressor.compress(this.payload())
      scratch.length = headerLength
      scratch.bytes(compressed)
    }
    const { blockLength } = sealer
    const counted = scratch.length - (sealer.lengthApart ? 4 : 0)
    let padding = blockLength - (counted % blockLength)
    if (padding < minPadding) padding += blockLength
    const payloadEnd = scratch.reserve(padding)
    if (sealer === plainSealer) scratch.buffer.fill(0, payloadEnd, payloadEnd + padding)
    else this.fillPadding(scratch.buffer, payloadEnd, scratch.length)
    scratch.buffer.writeUInt32BE(scratch.length - 4, 0)
    scratch.buffer[4] = padding
    const first = out.length
    sealer.seal(this.sequence, scratch.view(), out)
    this.sequence = (this.sequence + 1) >>> 0
    let bytes = 0
    for (let i = first; i < out.length; i++) bytes += out[i]!.length
    count(this.traffic, bytes)
    return bytes
  }

  /** After our NEWKEYS. With strict key exchange the sequence number starts again at 0 (PROTOCOL §1.9). */
  setKeys(sealer: PacketSealer, resetSequence: boolean): void {
    this.sealer = sealer
    this.compressor = undefined
    this.traffic.bytes = 0
    this.traffic.packets = 0
    if (resetSequence) this.sequence = 0
  }

  /** Forgets the last payload: it may have held a password. */
  wipe(): void {
    scratch.buffer.fill(0)
  }
}

const noBytes = Buffer.alloc(0)

/** Room in which a connection gathered a packet, for the next one that has to. */
let spareRoom: Buffer = noBytes

function roomFor(count: number): Buffer {
  if (spareRoom.length < count) return Buffer.allocUnsafeSlow(count)
  const room = spareRoom
  spareRoom = noBytes
  return room
}

/** A broken packet of a cipher that must not show where it is broken: told only when a largest packet has come. */
interface Discarding {
  readonly error: ProtocolError
  /** Still to come. */
  bytes: number
  /** Of the broken packet went into its MAC. */
  readonly authenticated: number
}

/**
 * Takes the bytes of the stream in chunks of any size and gives the payloads of whole packets. A packet that lies in
 * one chunk is opened where it is; only one that straddles chunks is gathered.
 */
export class PacketInput {
  readonly traffic = noTraffic()
  /** When set, payloads are decompressed. */
  decompressor: Decompressor | undefined
  /** Sequence number of the packet that `next` gave last. */
  lastSequence = 0
  private opener = plainOpener
  private sequence = 0
  private chunk: Buffer = noBytes
  private offset = 0
  private readonly waiting: Buffer[] = []
  private gather: Buffer = noBytes
  private gathered = 0
  /** packet_length of the packet that is arriving; 0 until its head was opened. */
  private packetLength = 0
  private discarding: Discarding | undefined

  push(chunk: Buffer): void {
    if (this.offset < this.chunk.length) {
      this.waiting.push(chunk)
      return
    }
    this.chunk = chunk
    this.offset = 0
  }

  /** The memory of the chunk that came last is its giver's again: what `next` has not taken yet is copied. */
  keep(): void {
    const { waiting } = this
    if (waiting.length > 0) waiting.push(Buffer.from(waiting.pop()!))
    else if (this.pending) {
      this.chunk = Buffer.from(this.chunk.subarray(this.offset))
      this.offset = 0
    }
  }

  /** Whether bytes are there that `next` has not looked at. */
  get pending(): boolean {
    return this.offset < this.chunk.length
  }

  /**
   * The payload of the next packet, a buffer of its own; undefined when more bytes are needed.
   * @throws ProtocolError on a bad length, padding, MAC or compression
   */
  next(): Buffer | undefined {
    if (this.discarding) return this.discard(this.discarding)
    const opened = this.openNext()
    return opened && this.unpack(opened)
  }

  /** The next packet from padding_length on. */
  private openNext(): Buffer | undefined {
    const { opener } = this
    let authenticated = 0
    try {
      if (this.packetLength === 0) {
        const head = this.peek(opener.headLength)
        if (!head) return undefined
        const length = opener.openLength(this.sequence, head)
        this.checkLength(length)
        this.packetLength = length
      }
      const total = 4 + this.packetLength + opener.tagLength
      const sealed = this.peek(total)
      if (!sealed) return undefined
      authenticated = 4 + this.packetLength
      const opened = opener.open(this.sequence, sealed)
      this.consume(total)
      this.packetLength = 0
      this.lastSequence = this.sequence
      this.sequence = (this.sequence + 1) >>> 0
      count(this.traffic, total)
      return opened
    } catch (error) {
      if (!opener.spend || !(error instanceof ProtocolError)) throw error
      // The same words for every reason: the peer may see how long they are.
      const same = new ProtocolError('mac-mismatch', 'Packet corrupt', { cause: error })
      this.discarding = { error: same, bytes: maxPacketLength - this.gathered, authenticated }
      return this.discard(this.discarding)
    }
  }

  /** After the peer's NEWKEYS. */
  setKeys(opener: PacketOpener, resetSequence: boolean): void {
    this.opener = opener
    this.decompressor = undefined
    this.traffic.bytes = 0
    this.traffic.packets = 0
    if (resetSequence) this.sequence = 0
  }

  private checkLength(length: number): void {
    const { blockLength, lengthApart } = this.opener
    const counted = lengthApart ? length : length + 4
    if (length < 5 || length > maxPacketLength || counted % blockLength !== 0) {
      throw new ProtocolError('bad-packet-length', `Bad packet length ${length}.`)
    }
  }

  private unpack(opened: Buffer): Buffer {
    const padding = opened[0]!
    if (padding < minPadding || padding >= opened.length - 1) {
      throw new ProtocolError('bad-packet-length', `Corrupted padlen ${padding} on input.`)
    }
    const payload = opened.subarray(1, opened.length - padding)
    if (!this.decompressor) return payload
    const plain = this.decompressor.decompress(payload, maxPacketLength)
    if (plain.length === 0) throw new ProtocolError('bad-compression', 'packet without a payload')
    return plain
  }

  /** The first `count` bytes not yet consumed, or undefined (then they are being gathered). */
  private peek(count: number): Buffer | undefined {
    if (this.gathered === 0 && this.chunk.length - this.offset >= count) {
      return this.chunk.subarray(this.offset, this.offset + count)
    }
    while (this.gathered < count && this.pending) this.gatherMore(count)
    return this.gathered < count ? undefined : this.gather.subarray(0, count)
  }

  private gatherMore(count: number): void {
    const taken = Math.min(count - this.gathered, this.chunk.length - this.offset)
    const needed = this.gathered + taken
    if (needed > this.gather.length) {
      // Grows with what has arrived, not with what the peer promises.
      const grown = roomFor(Math.max(needed, this.gather.length * 2))
      this.gather.copy(grown, 0, 0, this.gathered)
      this.gather = grown
    }
    this.chunk.copy(this.gather, this.gathered, this.offset, this.offset + taken)
    this.gathered = needed
    this.advance(taken)
  }

  private consume(count: number): void {
    if (this.gathered === 0) {
      this.advance(count)
      return
    }
    this.gathered = 0
    if (this.gather.length > spareRoom.length) spareRoom = this.gather
    this.gather = noBytes
  }

  private advance(count: number): void {
    this.offset += count
    if (this.offset < this.chunk.length) return
    this.chunk = this.waiting.shift() ?? noBytes
    this.offset = 0
  }

  private discard(discarding: Discarding): undefined {
    while (this.pending) {
      discarding.bytes -= this.chunk.length - this.offset
      this.advance(this.chunk.length - this.offset)
    }
    if (discarding.bytes > 0) return undefined
    this.opener.spend?.(maxPacketLength - discarding.authenticated)
    throw discarding.error
  }
}
