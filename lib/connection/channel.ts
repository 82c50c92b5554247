import { ProtocolError, RequestError, sanitize } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Transport } from '../transport/transport.ts'
import { Reader } from '../wire/reader.ts'
import { encode, type Writer } from '../wire/writer.ts'
import {
  ChannelClose,
  ChannelData,
  ChannelEof,
  ChannelExtendedData,
  ChannelFailure,
  ChannelRequest,
  ChannelSuccess,
  ChannelWindowAdjust,
} from './messages.ts'
import { AwaitedReplies, ReplyQueue } from './replies.ts'
import type { PacketSource } from './scheduler.ts'
import { defaultMaximumPacket, type ReceiveWindow, SendWindow } from './window.ts'

/** What a channel's owner is told. All return at once; answers come later by calling the channel. */
export interface ChannelSink {
  /** The channel is open: before anything else, and before the promise of `openChannel` resolves. */
  opened?(channel: Channel): void
  /** Data, a view of a buffer of ours that nobody else writes to. Call `channel.consumed(length)` once it is taken. */
  data(data: Buffer): void
  /** SSH_EXTENDED_DATA_STDERR is type 1. Call `channel.consumed(length)` as well. */
  extendedData?(type: number, data: Buffer): void
  /** The peer sends no more data. */
  eof?(): void
  /**
   * A channel request. Call `reply(true | false)` exactly once, now or later; it does nothing when no reply is wanted.
   * Replies go out in the order of the requests. A sink without this method answers `false`.
   */
  request?(name: string, payload: Reader, reply: (success: boolean) => void, wantReply: boolean): void
  /** `write` may be called again after it returned false. */
  writable?(): void
  /** The peer reads no more (`eow@openssh.com`, PROTOCOL §2.1): queued data was dropped, and writing has no effect. */
  endOfWrite?(): void
  /** Both sides closed, or the connection ended (`error`). Nothing comes after this. */
  closed?(error?: Error): void
}

/** One half of a channel: `open` until EOF, `eof` until CLOSE. */
export type ChannelHalf = 'open' | 'eof' | 'closed'

/** A channel (RFC 4254 §5): two windows, two half-closes, a sink. */
export interface Channel {
  readonly type: string
  readonly localId: number
  readonly remoteId: number
  /** What we may still send, and what the peer may. */
  readonly local: ChannelHalf
  readonly remote: ChannelHalf
  /** Set by the owner before the first event arrives (opening resolves synchronously before further packets). */
  sink: ChannelSink
  /** Interactive channels are served before bulk ones. */
  interactive: boolean
  /** Each `write` is one packet: sent whole, or dropped when it is larger than the peer's maximum packet. */
  datagram: boolean
  /** Bytes queued that window or transport did not let go yet. */
  readonly queued: number
  /** Bytes of data that went either way so far. */
  readonly traffic: number

  /**
   * Queues data (not copied: do not reuse the buffer). False: stop until `sink.writable`. Ignored, and false, after
   * `eof` and once the peer reads no more.
   */
  write(data: Buffer): boolean
  writeExtended(type: number, data: Buffer): boolean
  /**
   * As `writeExtended`, or with type 0 as `write`, for memory that the caller uses again afterwards: what cannot be sent at
   * once is copied, and asks the caller to stop.
   */
  writeLent(type: number, data: Buffer): boolean
  /**
   * As `write`, for memory that its owner uses again once all of it was sent: at once where this is true, else from
   * `sink.writable` on. Until then the owner writes nothing.
   */
  writeBorrowed(data: Buffer): boolean
  /** Says that `count` bytes were taken, which lets the window be refilled. */
  consumed(count: number): void
  /** Sends EOF once all queued data went out. */
  eof(): void
  /** Sends CLOSE once all queued data went out. */
  close(): void
  /** Drops queued data and sends CLOSE at once. */
  abort(): void
  /** Sends CHANNEL_REQUEST without asking for a reply. */
  notify(name: string, write?: (writer: Writer) => void): void
  /** Sends CHANNEL_REQUEST and awaits the answer. @throws RequestError when refused or closed first. */
  request(name: string, write?: (writer: Writer) => void): Promise<void>
}

/** Queued bytes above which `write` returns false, and below which `sink.writable` follows. */
export const writeHighWaterMark = 512 * 1024
export const writeLowWaterMark = writeHighWaterMark / 2

const endOfWriteRequest = 'eow@openssh.com'
const noBytes = Buffer.alloc(0)

/** What a channel needs of its connection. */
export interface ChannelHost {
  readonly transport: Transport
  readonly log: Log
  /** The channel may have become ready to send. */
  schedule(source: PacketSource): void
  /** Both sides closed: the id may be used again. */
  release(channel: ConnectionChannel): void
}

/** The agreed numbers of a channel: ours, and those that the peer sent. */
export interface ChannelParameters {
  readonly type: string
  readonly localId: number
  readonly remoteId: number
  readonly window: ReceiveWindow
  /** Largest data packet that we announced. */
  readonly maximumPacket: number
  readonly remoteWindow: number
  readonly remoteMaximumPacket: number
  /** Called when the peer's first message arrives. */
  readonly heard?: () => void
}

interface Chunk {
  /** Type of extended data; 0 for CHANNEL_DATA. */
  readonly type: number
  data: Buffer
}

/** The implementation behind `Channel`: RFC 4254 §5.2 to §5.4. */
export class ConnectionChannel implements Channel, PacketSource {
  readonly type: string
  readonly localId: number
  readonly remoteId: number
  local: ChannelHalf = 'open'
  remote: ChannelHalf = 'open'
  sink: ChannelSink
  interactive = false
  datagram = false
  queued = 0
  traffic = 0

  readonly #host: ChannelHost
  readonly #receiveWindow: ReceiveWindow
  readonly #sendWindow: SendWindow
  readonly #maximumPacket: number
  readonly #largestSent: number
  readonly #queue: Chunk[] = []
  /** Bytes of the first chunk that are gone already. */
  #offset = 0
  /** What our owner asked for, to be sent after the queued data. */
  #ending: 'no' | 'eof' | 'close' | 'eof and close' = 'no'
  /**
   * `stopped`: the peer said that it reads no more. `full`: `write` returned false. `borrowing`: so did `writeBorrowed`, as
   * the queue holds its memory.
   */
  #output: 'flowing' | 'full' | 'borrowing' | 'stopped' = 'flowing'
  #heard: (() => void) | undefined
  readonly #replies = new ReplyQueue()
  readonly #awaited = new AwaitedReplies<void>()

  constructor(host: ChannelHost, parameters: ChannelParameters, sink: ChannelSink) {
    this.#host = host
    this.type = parameters.type
    this.localId = parameters.localId
    this.remoteId = parameters.remoteId
    this.sink = sink
    this.#receiveWindow = parameters.window
    this.#sendWindow = new SendWindow(parameters.remoteWindow)
    this.#heard = parameters.heard
    this.#maximumPacket = parameters.maximumPacket
    this.#largestSent = Math.min(parameters.remoteMaximumPacket, defaultMaximumPacket)
  }

  write(data: Buffer): boolean {
    return this.#enqueue(0, data)
  }

  writeExtended(type: number, data: Buffer): boolean {
    return this.#enqueue(type, data)
  }

  writeLent(type: number, data: Buffer): boolean {
    const flowing = this.#enqueue(type, data)
    const last = this.#queue.at(-1)
    if (last?.data !== data) return flowing
    // Of the first chunk, a part may have gone out.
    const start = this.#queue.length === 1 ? this.#offset : 0
    last.data = Buffer.from(data.subarray(start))
    if (start > 0) this.#offset = 0
    if (this.#output === 'flowing') this.#output = 'full'
    return false
  }

  writeBorrowed(data: Buffer): boolean {
    const flowing = this.#enqueue(0, data)
    if (this.queued === 0) return flowing
    this.#output = 'borrowing'
    return false
  }

  #enqueue(type: number, data: Buffer): boolean {
    if (this.#ending !== 'no' || this.local !== 'open' || this.#output === 'stopped') return false
    if (this.datagram && data.length > this.#largestSent) return this.#output === 'flowing'
    if (data.length > 0) {
      this.#queue.push({ type, data })
      this.queued += data.length
      this.#host.schedule(this)
    }
    if (this.queued > writeHighWaterMark && this.#output === 'flowing') this.#output = 'full'
    return this.#output === 'flowing'
  }

  get ready(): boolean {
    const first = this.#queue[0]
    if (!first || this.#largestSent === 0) return false
    return this.#sendWindow.credit >= (this.datagram ? first.data.length : 1)
  }

  sendPacket(): void {
    const { type, data } = this.#queue[0]!
    const start = this.#offset
    const count = Math.min(data.length - start, this.#sendWindow.credit, this.#largestSent)
    this.#sendWindow.credit -= count
    this.queued -= count
    this.traffic += count
    if (start + count === data.length) {
      this.#queue.shift()
      this.#offset = 0
    } else {
      this.#offset = start + count
    }
    this.#writeData(type, data, start, count)
    if (this.#queue.length === 0) this.#finish()
    if (
      this.queued <= writeLowWaterMark &&
      (this.#output === 'full' || (this.#output === 'borrowing' && this.queued === 0))
    ) {
      this.#output = 'flowing'
      if (this.#ending === 'no') this.sink.writable?.()
    }
  }

  /** By hand, since this is the hot path: CHANNEL_DATA or CHANNEL_EXTENDED_DATA. */
  #writeData(type: number, data: Buffer, start: number, count: number): void {
    const { transport, log } = this.#host
    const writer = transport.begin()
    if (type === 0) writer.byte(ChannelData.number).uint32(this.remoteId)
    else writer.byte(ChannelExtendedData.number).uint32(this.remoteId).uint32(type)
    writer.uint32(count)
    const at = writer.reserve(count)
    data.copy(writer.buffer, at, start, start + count)
    transport.commit()
    if (!log.debug3) return
    const sent = data.subarray(start, start + count)
    const recipientChannel = this.remoteId
    if (type === 0) transport.trace('out', ChannelData, { recipientChannel, data: sent })
    else transport.trace('out', ChannelExtendedData, { recipientChannel, dataType: type, data: sent })
  }

  consumed(count: number): void {
    if (this.local === 'closed' || this.remote === 'closed') return
    const grant = this.#receiveWindow.take(count)
    // Who sent EOF needs no more window.
    if (grant === 0 || this.remote !== 'open') return
    const { transport, log } = this.#host
    transport.begin().byte(ChannelWindowAdjust.number).uint32(this.remoteId).uint32(grant)
    transport.commit()
    if (log.debug3) transport.trace('out', ChannelWindowAdjust, { recipientChannel: this.remoteId, bytes: grant })
  }

  eof(): void {
    if (this.#ending !== 'no') return
    this.#ending = 'eof'
    this.#finish()
  }

  close(): void {
    this.#ending = this.#ending === 'eof' && this.local === 'open' ? 'eof and close' : 'close'
    this.#finish()
  }

  abort(): void {
    this.#dropQueue()
    this.close()
  }

  /** Sends EOF or CLOSE when it was asked for and nothing is queued before it. */
  #finish(): void {
    // A peer that takes no packet of any size will not take the queue either.
    if (this.#largestSent === 0) this.#dropQueue()
    if (this.#queue.length > 0) return
    const { transport } = this.#host
    const recipientChannel = this.remoteId
    if (this.#ending.startsWith('eof') && this.local === 'open') {
      this.local = 'eof'
      transport.send(ChannelEof, { recipientChannel })
    }
    if (this.#ending.endsWith('close') && this.local !== 'closed') {
      this.local = 'closed'
      transport.send(ChannelClose, { recipientChannel })
    }
  }

  #dropQueue(): void {
    this.#queue.length = 0
    this.#offset = 0
    this.queued = 0
  }

  notify(name: string, write?: (writer: Writer) => void): void {
    if (this.local !== 'closed') this.#sendRequest(name, false, write)
  }

  request(name: string, write?: (writer: Writer) => void): Promise<void> {
    if (this.local === 'closed') return Promise.reject(new RequestError('closed', `${name}: the channel is closed`))
    return this.#awaited.await(name, () => this.#sendRequest(name, true, write))
  }

  #sendRequest(name: string, wantReply: boolean, write?: (writer: Writer) => void): void {
    const payload = write ? encode(write) : noBytes
    const recipientChannel = this.remoteId
    this.#host.transport.send(ChannelRequest, { recipientChannel, request: name, wantReply, payload })
  }

  /** A message 93 to 100 for this channel. @throws ProtocolError */
  receive(number: number, payload: Buffer): void {
    if (this.#heard) {
      this.#heard()
      this.#heard = undefined
    }
    switch (number) {
      case ChannelData.number:
        this.#receiveData(payload, 0, 5)
        break
      case ChannelExtendedData.number:
        if (payload.length < 9) throw truncated()
        this.#receiveData(payload, payload.readUInt32BE(5), 9)
        break
      case ChannelWindowAdjust.number:
        this.#receiveAdjust(payload)
        break
      case ChannelEof.number:
        this.#trace(ChannelEof, payload)
        this.#receiveEof()
        break
      case ChannelClose.number:
        this.#trace(ChannelClose, payload)
        this.end()
        break
      case ChannelRequest.number:
        this.#receiveRequest(payload)
        break
      case ChannelSuccess.number:
        this.#trace(ChannelSuccess, payload)
        this.#awaited.succeed(undefined)
        break
      case ChannelFailure.number:
        this.#trace(ChannelFailure, payload)
        this.#awaited.refuse()
        break
    }
  }

  /** Reads what has no fields but the channel's number. */
  #trace(
    type: typeof ChannelEof | typeof ChannelClose | typeof ChannelSuccess | typeof ChannelFailure,
    payload: Buffer,
  ) {
    this.#host.transport.trace('in', type, type.read(payload))
  }

  /** By hand: CHANNEL_DATA (`type` 0) or CHANNEL_EXTENDED_DATA, the data's length being at `at`. */
  #receiveData(payload: Buffer, type: number, at: number): void {
    const start = at + 4
    if (payload.length < start) throw truncated()
    const length = payload.readUInt32BE(at)
    if (length !== payload.length - start) throw truncated()
    if (this.remote !== 'open') throw new ProtocolError('unexpected-message', 'data after EOF')
    if (length > this.#maximumPacket) throw new ProtocolError('window-exceeded', 'peer sent more than a maximum packet')
    this.#receiveWindow.receive(length)
    this.traffic += length
    const data = payload.subarray(start)
    if (this.#host.log.debug3) {
      const recipientChannel = this.localId
      if (at === 5) this.#host.transport.trace('in', ChannelData, { recipientChannel, data })
      else this.#host.transport.trace('in', ChannelExtendedData, { recipientChannel, dataType: type, data })
    }
    // After our CLOSE nobody listens; what still arrives was on its way.
    if (length === 0 || this.local === 'closed') return
    if (at === 5) this.sink.data(data)
    else if (this.sink.extendedData) this.sink.extendedData(type, data)
    else this.consumed(length)
  }

  #receiveAdjust(payload: Buffer): void {
    if (payload.length !== 9) throw truncated()
    const bytes = payload.readUInt32BE(5)
    if (this.#host.log.debug3) {
      this.#host.transport.trace('in', ChannelWindowAdjust, { recipientChannel: this.localId, bytes })
    }
    this.#sendWindow.adjust(bytes)
    if (this.#queue.length > 0) this.#host.schedule(this)
  }

  #receiveEof(): void {
    if (this.remote !== 'open') throw new ProtocolError('unexpected-message', 'EOF sent twice')
    this.remote = 'eof'
    if (this.local !== 'closed') this.sink.eof?.()
  }

  #receiveRequest(payload: Buffer): void {
    const request = ChannelRequest.read(payload)
    this.#host.transport.trace('in', ChannelRequest, request)
    this.#host.log.debug1?.(
      `channel ${this.localId}: request ${sanitize(request.request, true)} reply ${Number(request.wantReply)}`,
    )
    // After our CLOSE we may send no reply, and nobody listens.
    if (this.local === 'closed') return
    const reply = request.wantReply ? this.#reply() : () => {}
    if (request.request === endOfWriteRequest) {
      this.#stop()
      reply(true)
    } else if (this.sink.request) {
      this.sink.request(request.request, new Reader(request.payload), reply, request.wantReply)
    } else {
      reply(false)
    }
  }

  #reply(): (success: boolean) => void {
    const answer = this.#replies.take()
    return success =>
      answer(() => {
        if (this.local === 'closed') return
        this.#host.transport.send(success ? ChannelSuccess : ChannelFailure, { recipientChannel: this.remoteId })
      })
  }

  /** The peer reads no more: what is queued would only be thrown away there. */
  #stop(): void {
    if (this.#output === 'stopped') return
    this.#output = 'stopped'
    this.#dropQueue()
    this.#finish()
    this.sink.endOfWrite?.()
  }

  /** The peer sent CLOSE, or (`error`) the connection ended. What is still queued has nobody to read it. */
  end(error?: Error): void {
    if (this.remote === 'closed') return
    this.remote = 'closed'
    this.#dropQueue()
    if (error) this.local = 'closed'
    else this.abort()
    this.#receiveWindow.release()
    this.#host.release(this)
    this.#awaited.abandon(error ? 'the connection ended' : 'the channel closed before the answer')
    this.sink.closed?.(error)
  }
}

function truncated(): ProtocolError {
  return new ProtocolError('malformed-message', 'channel message of a wrong length')
}
