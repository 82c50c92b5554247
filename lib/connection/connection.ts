import { ChannelOpenError, ProtocolError, RequestError, type SshError, sanitize, UsageError } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import type { Transport } from '../transport/transport.ts'
import { Reader } from '../wire/reader.ts'
import { encode, type Writer } from '../wire/writer.ts'
import {
  type Channel,
  type ChannelHost,
  type ChannelParameters,
  type ChannelSink,
  ConnectionChannel,
} from './channel.ts'
import {
  ChannelFailure,
  ChannelOpen,
  ChannelOpenConfirmation,
  ChannelOpenFailure,
  ChannelWindowAdjust,
  GlobalRequest,
  OpenFailureReason,
  RequestFailure,
  RequestSuccess,
} from './messages.ts'
import { AwaitedReplies, ReplyQueue } from './replies.ts'
import { type PacketSource, Scheduler } from './scheduler.ts'
import { defaultMaximumPacket, defaultWindow, Growth, ReceiveWindow } from './window.ts'

/** A channel that the peer wants to open. Exactly one of `accept` and `reject` is called, now or later. */
export interface ChannelOpening {
  readonly type: string
  /** What follows the fixed fields of CHANNEL_OPEN. */
  readonly payload: Reader
  accept(sink: ChannelSink, write?: (writer: Writer) => void): Channel
  /** `reason` of RFC 4254 §5.1. */
  reject(reason: number, description: string): void
}

export type ChannelAcceptor = (opening: ChannelOpening, connection: Connection) => void

/** Answers a global request of the peer. Call `reply` exactly once; answers go out in the order of the requests. */
export type GlobalRequestHandler = (
  payload: Reader,
  reply: (success: boolean, write?: (writer: Writer) => void) => void,
  connection: Connection,
) => void

export interface ConnectionOptions {
  readonly log?: Log
  /** Channel types this side accepts, by name; others get UNKNOWN_CHANNEL_TYPE. */
  readonly channelTypes?: ReadonlyMap<string, ChannelAcceptor>
  /** Global requests this side answers, by name; others get REQUEST_FAILURE. */
  readonly globalRequests?: ReadonlyMap<string, GlobalRequestHandler>
  /** Asked when the peer first wants something, in place of the two above. */
  services?(): Pick<ConnectionOptions, 'channelTypes' | 'globalRequests'>
  /** Bytes that a peer may send before a reader takes them, per channel at first. Default 2 MiB, grows to 16 MiB. */
  readonly window?: number
  /** Largest data packet we take, in bytes. Default 32 KiB. */
  readonly maximumPacket?: number
  /** Open channels at once. Default 1024. */
  readonly maxChannels?: number
}

export interface OpenChannelOptions {
  readonly write?: (writer: Writer) => void
  readonly window?: number
  readonly maximumPacket?: number
}

/** RFC 4254: channels and global requests over one authenticated Transport. It does not know which side it is. */
export interface Connection {
  readonly transport: Transport
  readonly channels: ReadonlyMap<number, Channel>
  /** Opens a channel. `sink.opened` is called before the promise resolves. @throws ChannelOpenError */
  openChannel(type: string, sink: ChannelSink, options?: OpenChannelOptions): Promise<Channel>
  /** GLOBAL_REQUEST with a reply; answers come in order. @throws RequestError when refused or closed first. */
  globalRequest(name: string, write?: (writer: Writer) => void): Promise<Reader>
  /** GLOBAL_REQUEST without a reply. */
  globalNotify(name: string, write?: (writer: Writer) => void): void
  /** From the Transport: a message 80..127. */
  receive(number: number, payload: Buffer): void
  /** From the Transport: it can take more. */
  writable(): void
  /** From the Transport: the end. All channels are told. */
  closed(error: SshError): void
}

/** Open channels at once, those still being opened by either side included. */
const defaultMaxChannels = 1024

const noBytes = Buffer.alloc(0)

/** Makes the connection layer over an authenticated Transport, whose handlers then call `receive`, `writable` and `closed`. */
export function createConnection(transport: Transport, options: ConnectionOptions = {}): Connection {
  return new EngineConnection(transport, options)
}

/** A channel of ours that the peer did not confirm yet. */
interface PendingOpen {
  readonly type: string
  readonly window: number
  readonly maximumPacket: number
  readonly sink: ChannelSink
  /** When it was sent. */
  readonly since: number
  resolve(channel: Channel): void
  reject(error: ChannelOpenError): void
}

class EngineConnection implements Connection, ChannelHost {
  readonly transport: Transport
  readonly log: Log
  readonly channels = new Map<number, ConnectionChannel>()
  readonly #options: ConnectionOptions
  #services: Pick<ConnectionOptions, 'channelTypes' | 'globalRequests'> | undefined

  // Most connections are idle: what they do not use they do not have.
  #lateScheduler: Scheduler | undefined
  #lateGrowth: Growth | undefined
  #lateReplies: ReplyQueue | undefined
  #lateAwaited: AwaitedReplies<Reader> | undefined
  #lateOpening: Map<number, PendingOpen> | undefined
  /** Channels that the peer asked for and that nobody accepted or rejected yet. */
  #offered = 0
  readonly #freeIds: number[] = []
  #nextId = 0
  #end: SshError | undefined

  constructor(transport: Transport, options: ConnectionOptions) {
    this.transport = transport
    this.log = options.log ?? silentLog
    this.#options = options
  }

  get #accepted(): Pick<ConnectionOptions, 'channelTypes' | 'globalRequests'> {
    this.#services ??= this.#options.services?.() ?? this.#options
    return this.#services
  }

  get #window(): number {
    return this.#options.window ?? defaultWindow
  }

  get #maximumPacket(): number {
    return this.#options.maximumPacket ?? defaultMaximumPacket
  }

  get #maxChannels(): number {
    return this.#options.maxChannels ?? defaultMaxChannels
  }

  get #scheduler(): Scheduler {
    this.#lateScheduler ??= new Scheduler(() => this.#end === undefined && this.transport.writable)
    return this.#lateScheduler
  }

  get #growth(): Growth {
    this.#lateGrowth ??= new Growth()
    return this.#lateGrowth
  }

  get #replies(): ReplyQueue {
    this.#lateReplies ??= new ReplyQueue()
    return this.#lateReplies
  }

  get #awaited(): AwaitedReplies<Reader> {
    this.#lateAwaited ??= new AwaitedReplies()
    return this.#lateAwaited
  }

  get #opening(): Map<number, PendingOpen> {
    this.#lateOpening ??= new Map()
    return this.#lateOpening
  }

  openChannel(type: string, sink: ChannelSink, options: OpenChannelOptions = {}): Promise<Channel> {
    if (this.#end) return Promise.reject(new ChannelOpenError('closed', 0, 'the connection is closed'))
    if (this.#isFull) {
      const reason = OpenFailureReason.resourceShortage
      return Promise.reject(new ChannelOpenError('refused', reason, 'too many channels are open'))
    }
    const senderChannel = this.#takeId()
    const { window = this.#window, maximumPacket = this.#maximumPacket } = options
    return new Promise((resolve, reject) => {
      const since = this.#growth.now()
      this.#opening.set(senderChannel, { type, window, maximumPacket, sink, since, resolve, reject })
      const payload = options.write ? encode(options.write) : noBytes
      this.transport.send(ChannelOpen, { type, senderChannel, initialWindow: window, maximumPacket, payload })
    })
  }

  globalRequest(name: string, write?: (writer: Writer) => void): Promise<Reader> {
    if (this.#end) return Promise.reject(new RequestError('closed', `${name}: the connection is closed`))
    return this.#awaited.await(name, () => this.#sendGlobalRequest(name, true, write))
  }

  globalNotify(name: string, write?: (writer: Writer) => void): void {
    if (!this.#end) this.#sendGlobalRequest(name, false, write)
  }

  #sendGlobalRequest(request: string, wantReply: boolean, write?: (writer: Writer) => void): void {
    const payload = write ? encode(write) : noBytes
    this.transport.send(GlobalRequest, { request, wantReply, payload })
  }

  writable(): void {
    this.#lateScheduler?.run()
  }

  closed(error: SshError): void {
    if (this.#end) return
    this.#end = error
    this.#lateScheduler?.clear()
    for (const pending of this.#lateOpening?.values() ?? []) {
      pending.reject(new ChannelOpenError('closed', 0, `the connection ended: ${error.message}`))
    }
    this.#lateOpening?.clear()
    this.#lateAwaited?.abandon(`the connection ended: ${error.message}`)
    for (const channel of [...this.channels.values()]) channel.end(error)
  }

  receive(number: number, payload: Buffer): void {
    if (this.#end) return
    try {
      this.#dispatch(number, payload)
    } catch (error) {
      // What the peer did wrong ends the connection; any other error is a bug of ours, or of a sink, and must be seen.
      if (!(error instanceof ProtocolError)) throw error
      this.transport.fail(error)
    }
  }

  #dispatch(number: number, payload: Buffer): void {
    switch (number) {
      case GlobalRequest.number:
        this.#receiveGlobalRequest(payload)
        break
      case RequestSuccess.number: {
        const answer = RequestSuccess.read(payload)
        this.transport.trace('in', RequestSuccess, answer)
        this.#awaited.succeed(new Reader(answer.payload))
        break
      }
      case RequestFailure.number:
        this.transport.trace('in', RequestFailure, RequestFailure.read(payload))
        this.#awaited.refuse()
        break
      case ChannelOpen.number:
        this.#receiveOpen(payload)
        break
      case ChannelOpenConfirmation.number:
        this.#receiveConfirmation(payload)
        break
      case ChannelOpenFailure.number:
        this.#receiveOpenFailure(payload)
        break
      default:
        if (number >= ChannelWindowAdjust.number && number <= ChannelFailure.number) this.#toChannel(number, payload)
        else this.transport.unimplemented()
    }
  }

  #toChannel(number: number, payload: Buffer): void {
    if (payload.length < 5) throw new ProtocolError('malformed-message', 'channel message without a channel')
    const channel = this.channels.get(payload.readUInt32BE(1))
    if (channel) channel.receive(number, payload)
    // Some peers still adjust the window of a channel that they closed: harmless, and OpenSSH lets it pass too.
    else if (number !== ChannelWindowAdjust.number) throw unknownChannel()
  }

  #receiveGlobalRequest(payload: Buffer): void {
    const request = GlobalRequest.read(payload)
    this.transport.trace('in', GlobalRequest, request)
    this.log.debug1?.(`global request ${sanitize(request.request, true)} reply ${Number(request.wantReply)}`)
    const reply = request.wantReply ? this.#reply() : () => {}
    const handler = this.#accepted.globalRequests?.get(request.request)
    if (handler) handler(new Reader(request.payload), reply, this)
    else reply(false)
  }

  #reply(): (success: boolean, write?: (writer: Writer) => void) => void {
    const answer = this.#replies.take()
    return (success, write) =>
      answer(() => {
        if (this.#end) return
        if (success) this.transport.send(RequestSuccess, { payload: write ? encode(write) : noBytes })
        else this.transport.send(RequestFailure, {})
      })
  }

  #receiveOpen(payload: Buffer): void {
    const open = ChannelOpen.read(payload)
    this.transport.trace('in', ChannelOpen, open)
    this.log.debug1?.(`peer opens channel ${open.senderChannel} of type ${sanitize(open.type, true)}`)
    const acceptor = this.#accepted.channelTypes?.get(open.type)
    if (!acceptor) {
      this.#refuse(open.senderChannel, OpenFailureReason.unknownChannelType, 'unknown channel type')
    } else if (this.#isFull) {
      this.#refuse(open.senderChannel, OpenFailureReason.resourceShortage, 'too many channels are open')
    } else {
      this.#offered++
      acceptor(this.#offer(open), this)
    }
  }

  /** What the acceptor gets. `settle` frees the place that the opening takes. */
  #offer(open: { type: string; senderChannel: number; initialWindow: number; maximumPacket: number; payload: Buffer }) {
    let state: 'offered' | 'settled' = 'offered'
    const settle = () => {
      if (state === 'settled') throw new UsageError('the channel was accepted or rejected before')
      state = 'settled'
      this.#offered--
    }
    const opening: ChannelOpening = {
      type: open.type,
      payload: new Reader(open.payload),
      accept: (sink, write) => {
        settle()
        return this.#accept(open, sink, write)
      },
      reject: (reason, description) => {
        settle()
        if (!this.#end) this.#refuse(open.senderChannel, reason, description)
      },
    }
    return opening
  }

  #accept(
    open: { type: string; senderChannel: number; initialWindow: number; maximumPacket: number },
    sink: ChannelSink,
    write?: (writer: Writer) => void,
  ): Channel {
    const senderChannel = this.#takeId()
    const since = this.#growth.now()
    const channel = this.#addChannel(
      {
        type: open.type,
        localId: senderChannel,
        remoteId: open.senderChannel,
        window: new ReceiveWindow(this.#window, this.#maximumPacket, this.#growth),
        maximumPacket: this.#maximumPacket,
        remoteWindow: open.initialWindow,
        remoteMaximumPacket: open.maximumPacket,
        // Who opens a channel uses it as soon as it may.
        heard: () => this.#growth.sample(since),
      },
      sink,
    )
    const end = this.#end
    if (end) {
      // The connection ended while the acceptor made up its mind: its owner hears of it as of any other end.
      queueMicrotask(() => channel.end(end))
      return channel
    }
    this.transport.send(ChannelOpenConfirmation, {
      recipientChannel: open.senderChannel,
      senderChannel,
      initialWindow: this.#window,
      maximumPacket: this.#maximumPacket,
      payload: write ? encode(write) : noBytes,
    })
    sink.opened?.(channel)
    return channel
  }

  #refuse(recipientChannel: number, reason: number, description: string): void {
    this.transport.send(ChannelOpenFailure, { recipientChannel, reason, description, language: '' })
  }

  #receiveConfirmation(payload: Buffer): void {
    const confirmation = ChannelOpenConfirmation.read(payload)
    this.transport.trace('in', ChannelOpenConfirmation, confirmation)
    const pending = this.#takeOpening(confirmation.recipientChannel)
    this.#growth.sample(pending.since)
    const channel = this.#addChannel(
      {
        type: pending.type,
        localId: confirmation.recipientChannel,
        remoteId: confirmation.senderChannel,
        window: new ReceiveWindow(pending.window, pending.maximumPacket, this.#growth),
        maximumPacket: pending.maximumPacket,
        remoteWindow: confirmation.initialWindow,
        remoteMaximumPacket: confirmation.maximumPacket,
      },
      pending.sink,
    )
    pending.sink.opened?.(channel)
    pending.resolve(channel)
  }

  #receiveOpenFailure(payload: Buffer): void {
    const failure = ChannelOpenFailure.read(payload)
    this.transport.trace('in', ChannelOpenFailure, failure)
    const pending = this.#takeOpening(failure.recipientChannel)
    this.#freeIds.push(failure.recipientChannel)
    pending.reject(new ChannelOpenError('refused', failure.reason, sanitize(failure.description, true)))
  }

  #takeOpening(id: number): PendingOpen {
    const pending = this.#opening.get(id)
    if (!pending) throw unknownChannel()
    this.#opening.delete(id)
    return pending
  }

  #addChannel(parameters: ChannelParameters, sink: ChannelSink): ConnectionChannel {
    const channel = new ConnectionChannel(this, parameters, sink)
    this.channels.set(channel.localId, channel)
    return channel
  }

  schedule(source: PacketSource): void {
    this.#scheduler.add(source)
  }

  release(channel: ConnectionChannel): void {
    this.channels.delete(channel.localId)
    this.#freeIds.push(channel.localId)
  }

  get #isFull(): boolean {
    return this.channels.size + this.#opening.size + this.#offered >= this.#maxChannels
  }

  /** An id whose earlier channel, if there was one, was closed by both sides: nothing more can arrive for that one. */
  #takeId(): number {
    return this.#freeIds.shift() ?? this.#nextId++
  }
}

function unknownChannel(): ProtocolError {
  return new ProtocolError('unexpected-message', 'message for a channel that is not open')
}
