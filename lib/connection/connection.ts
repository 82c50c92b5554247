import type { SshError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Transport } from '../transport/transport.ts'
import type { Reader } from '../wire/reader.ts'
import type { Writer } from '../wire/writer.ts'
import type { Channel, ChannelSink } from './channel.ts'

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
  /** Opens a channel. @throws ChannelOpenError */
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
