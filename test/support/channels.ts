/** Sinks that write down what they are told. */

import type { Channel, ChannelSink } from '../../lib/connection/channel.ts'
import type { ChannelAcceptor, ChannelOpening } from '../../lib/connection/connection.ts'
import type { Reader } from '../../lib/wire/reader.ts'

export interface RecordedRequest {
  readonly name: string
  readonly payload: Reader
  readonly wantReply: boolean
  reply(success: boolean): void
}

export class RecordingSink implements ChannelSink {
  readonly events: string[] = []
  readonly chunks: Buffer[] = []
  readonly extended: { type: number; data: Buffer }[] = []
  readonly requests: RecordedRequest[] = []
  channel: Channel | undefined
  error: Error | undefined
  /** Bytes delivered that `consume` did not take yet. */
  unread = 0
  readonly #consume: 'at once' | 'by hand'

  constructor(consume: 'at once' | 'by hand' = 'at once') {
    this.#consume = consume
  }

  get received(): Buffer {
    return Buffer.concat(this.chunks)
  }

  consume(count = this.unread): void {
    this.unread -= count
    this.channel!.consumed(count)
  }

  opened(channel: Channel): void {
    this.channel = channel
    this.events.push('opened')
  }

  data(data: Buffer): void {
    this.chunks.push(data)
    this.unread += data.length
    if (this.#consume === 'at once') this.consume()
  }

  extendedData(type: number, data: Buffer): void {
    this.extended.push({ type, data })
    this.unread += data.length
    if (this.#consume === 'at once') this.consume()
  }

  eof(): void {
    this.events.push('eof')
  }

  request(name: string, payload: Reader, reply: (success: boolean) => void, wantReply: boolean): void {
    this.requests.push({ name, payload, reply, wantReply })
  }

  writable(): void {
    this.events.push('writable')
  }

  endOfWrite(): void {
    this.events.push('endOfWrite')
  }

  closed(error?: Error): void {
    this.error = error
    this.events.push('closed')
  }
}

/** Accepts every channel with a sink of its own. */
export function acceptAll(sinks: RecordingSink[], consume: 'at once' | 'by hand' = 'at once'): ChannelAcceptor {
  return opening => {
    const sink = new RecordingSink(consume)
    sinks.push(sink)
    opening.accept(sink)
  }
}

/** Keeps every opening for the test to decide. */
export function keepAll(openings: ChannelOpening[]): ChannelAcceptor {
  return opening => openings.push(opening)
}
