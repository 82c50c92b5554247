/** Channels as Node streams: data is acknowledged to the peer only when a reader takes it. */

import { Duplex, Readable, Writable } from 'node:stream'
import { ConnectionLostError } from '../errors.ts'
import type { Channel, ChannelSink } from './channel.ts'
import { HeldData } from './held-data.ts'
import { extendedDataStderr } from './messages.ts'

type Callback = (error?: Error | null) => void

/** Bytes that a stream takes over from the channel ahead of its reader. */
const readAhead = 64 * 1024

/** A channel that is about to be opened. */
class Opening {
  channel: Channel | undefined
  readonly #waiting: ((channel: Channel) => void)[] = []

  opened(channel: Channel): void {
    this.channel = channel
    for (const action of this.#waiting.splice(0)) action(channel)
  }

  /** Now, or as soon as the channel is open. */
  whenOpen(action: (channel: Channel) => void): void {
    if (this.channel) action(this.channel)
    else this.#waiting.push(action)
  }
}

/** Data on its way from a channel into a Readable. What the Readable does not want yet stays within the window. */
class Intake {
  readonly #stream: Readable
  readonly #opening: Opening
  readonly #held = new HeldData()
  #state: 'open' | 'ended' | 'discarding' = 'open'
  #wanted = false

  constructor(stream: Readable, opening: Opening) {
    this.#stream = stream
    this.#opening = opening
  }

  receive(data: Buffer): void {
    if (this.#state === 'discarding') {
      this.#opening.channel?.consumed(data.length)
    } else if (this.#wanted) {
      this.#pass(data)
    } else {
      this.#held.push(0, data)
    }
  }

  end(): void {
    if (this.#state !== 'open') return
    this.#state = 'ended'
    if (this.#held.isEmpty) this.#stream.push(null)
  }

  /** The Readable wants more. */
  read(): void {
    this.#wanted = true
    while (this.#wanted && !this.#held.isEmpty) this.#pass(this.#held.shift()!.data)
    if (this.#state === 'ended' && this.#held.isEmpty) this.#stream.push(null)
  }

  /** Nobody reads any more; the peer may go on all the same. */
  discard(): void {
    this.#state = 'discarding'
    while (!this.#held.isEmpty) this.#opening.channel?.consumed(this.#held.shift()!.data.length)
  }

  #pass(data: Buffer): void {
    this.#wanted = this.#stream.push(data)
    this.#opening.channel?.consumed(data.length)
  }
}

/** Data on its way from a Writable into a channel. */
class Outlet {
  readonly #opening: Opening
  readonly #send: (channel: Channel, data: Buffer) => boolean
  #waiting: Callback | undefined
  #broken: Error | undefined

  constructor(opening: Opening, send: (channel: Channel, data: Buffer) => boolean) {
    this.#opening = opening
    this.#send = send
  }

  write(data: Buffer, callback: Callback): void {
    this.#opening.whenOpen(channel => {
      if (this.#broken) callback(this.#broken)
      else if (this.#send(channel, data)) callback()
      else this.#waiting = callback
    })
  }

  writable(): void {
    this.#settle()
  }

  /** Nothing can be written any more. */
  break(error: Error): void {
    this.#broken ??= error
    this.#settle(this.#broken)
  }

  #settle(error?: Error): void {
    const callback = this.#waiting
    this.#waiting = undefined
    callback?.(error)
  }
}

/** The error of writing to a channel whose peer does not read. */
function brokenPipe(): Error {
  return Object.assign(new Error('the other side of the channel does not read any more'), { code: 'EPIPE' })
}

function destroyed(): Error {
  return new ConnectionLostError('closed', 'the stream was destroyed')
}

class IncomingStream extends Readable {
  readonly intake: Intake

  constructor(opening: Opening) {
    super({ highWaterMark: readAhead })
    this.intake = new Intake(this, opening)
  }

  override _read(): void {
    this.intake.read()
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.intake.discard()
    callback(error)
  }
}

class OutgoingStream extends Writable {
  readonly outlet: Outlet
  readonly #opening: Opening
  readonly #finish: (channel: Channel) => void

  constructor(opening: Opening, send: (channel: Channel, data: Buffer) => boolean, finish: (channel: Channel) => void) {
    super()
    this.outlet = new Outlet(opening, send)
    this.#opening = opening
    this.#finish = finish
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.outlet.write(chunk, callback)
  }

  override _final(callback: Callback): void {
    this.#opening.whenOpen(channel => {
      this.#finish(channel)
      callback()
    })
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.outlet.break(error ?? destroyed())
    callback(error)
  }
}

/** A channel as one-way streams; the channel stays open until its owner closes it. */
export interface ChannelStreams {
  /** What the peer sends. */
  readonly incoming: Readable
  /** What the peer sends as extended data of type 1. */
  readonly incomingError: Readable
  /** Ending it sends EOF. */
  readonly outgoing: Writable
  /** Sent as extended data of type 1. Ending it sends nothing. */
  readonly outgoingError: Writable
  /** To be given to `openChannel`, `accept` or `ServerSession.attach`. */
  readonly sink: ChannelSink
}

/**
 * Makes the streams of a channel that is about to be opened or accepted with their `sink`. When the connection is lost,
 * or the peer reads no more, they are destroyed with that error; nobody has to listen for it.
 */
export function createChannelStreams(): ChannelStreams {
  const opening = new Opening()
  const incoming = new IncomingStream(opening)
  const incomingError = new IncomingStream(opening)
  const outgoing = new OutgoingStream(
    opening,
    (channel, data) => channel.write(data),
    channel => channel.eof(),
  )
  const outgoingError = new OutgoingStream(
    opening,
    (channel, data) => channel.writeExtended(extendedDataStderr, data),
    () => {},
  )
  for (const stream of [incoming, incomingError, outgoing, outgoingError]) stream.on('error', () => {})
  const destroyOutgoing = (error?: Error): void => {
    outgoing.destroy(error)
    outgoingError.destroy(error)
  }
  const endIncoming = (): void => {
    incoming.intake.end()
    incomingError.intake.end()
  }
  const sink: ChannelSink = {
    opened: channel => opening.opened(channel),
    data: data => incoming.intake.receive(data),
    extendedData(type, data) {
      if (type === extendedDataStderr) incomingError.intake.receive(data)
      else opening.channel?.consumed(data.length)
    },
    eof: endIncoming,
    writable() {
      outgoing.outlet.writable()
      outgoingError.outlet.writable()
    },
    endOfWrite: () => destroyOutgoing(brokenPipe()),
    closed(error) {
      endIncoming()
      destroyOutgoing(error)
      if (!error) return
      // What was cut off must not look complete.
      incoming.destroy(error)
      incomingError.destroy(error)
    },
  }
  return { incoming, incomingError, outgoing, outgoingError, sink }
}

/**
 * A channel as a Duplex. Give its `sink` to `openChannel` or `accept`. Ending it sends EOF; once both directions ended,
 * or when it is destroyed, it closes the channel.
 */
export class ChannelStream extends Duplex {
  /** What the peer sends as extended data of type 1. */
  readonly stderr: Readable
  readonly sink: ChannelSink
  readonly #opening = new Opening()
  readonly #intake: Intake
  readonly #outlet: Outlet

  constructor() {
    super({ allowHalfOpen: true, readableHighWaterMark: readAhead })
    const opening = this.#opening
    const stderr = new IncomingStream(opening)
    this.stderr = stderr
    this.#intake = new Intake(this, opening)
    this.#outlet = new Outlet(opening, (channel, data) => channel.write(data))
    const end = (): void => {
      this.#intake.end()
      stderr.intake.end()
    }
    this.sink = {
      opened: channel => {
        opening.opened(channel)
        if (this.destroyed) channel.abort()
      },
      data: data => this.#intake.receive(data),
      extendedData(type, data) {
        if (type === extendedDataStderr) stderr.intake.receive(data)
        else opening.channel?.consumed(data.length)
      },
      eof: end,
      writable: () => this.#outlet.writable(),
      endOfWrite: () => this.#outlet.break(brokenPipe()),
      closed: error => {
        if (error) this.destroy(error)
        end()
        this.#outlet.break(brokenPipe())
        if (!this.writableEnded) this.end()
      },
    }
  }

  /** The channel, once it is open. */
  get channel(): Channel | undefined {
    return this.#opening.channel
  }

  override _read(): void {
    this.#intake.read()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: Callback): void {
    this.#outlet.write(chunk, callback)
  }

  override _final(callback: Callback): void {
    this.#opening.whenOpen(channel => {
      channel.eof()
      callback()
    })
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#intake.discard()
    this.#outlet.break(error ?? destroyed())
    // Who ended properly gets the rest of what is queued to the peer; who gave up does not.
    if (this.writableFinished) this.channel?.close()
    else this.channel?.abort()
    callback(error)
  }
}
