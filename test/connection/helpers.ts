import type { Channel } from '../../lib/connection/channel.ts'
import type { ConnectionOptions } from '../../lib/connection/connection.ts'
import type { Message } from '../../lib/wire/message.ts'
import { encode } from '../../lib/wire/writer.ts'
import { acceptAll, RecordingSink } from '../support/channels.ts'
import { type FakePair, fakePair } from '../support/fake-transport.ts'

export interface OpenPair extends FakePair {
  readonly ours: Channel
  readonly theirs: Channel
  readonly ourSink: RecordingSink
  readonly theirSink: RecordingSink
}

export interface OpenPairOptions {
  readonly client?: ConnectionOptions
  readonly server?: ConnectionOptions
  readonly consume?: 'at once' | 'by hand'
}

/** A pair with one open channel: `ours` on the client, `theirs` on the server. */
export function openPair(options: OpenPairOptions = {}): OpenPair {
  const sinks: RecordingSink[] = []
  const channelTypes = new Map([['test', acceptAll(sinks, options.consume)]])
  const pair = fakePair(options.client, { ...options.server, channelTypes })
  const ourSink = new RecordingSink(options.consume)
  void pair.client.openChannel('test', ourSink)
  pair.pump()
  const theirSink = sinks[0]!
  return { ...pair, ours: ourSink.channel!, theirs: theirSink.channel!, ourSink, theirSink }
}

/** The payload of a message, as its Struct writes it. */
export function payloadOf<T>(message: Message<T>, value: T): Buffer {
  return encode(writer => message.write(writer, value))
}

export function bytes(length: number, seed = 1): Buffer {
  const data = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i++) data[i] = (i * 31 + seed * 17 + (i >>> 8)) & 0xff
  return data
}

export const noData = Buffer.alloc(0)
