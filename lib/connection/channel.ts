import type { Reader } from '../wire/reader.ts'
import type { Writer } from '../wire/writer.ts'

/** What a channel's owner is told. All return at once; answers come later by calling the channel. */
export interface ChannelSink {
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
  /** Bytes queued that window or transport did not let go yet. */
  readonly queued: number

  /** Queues data (not copied: do not reuse the buffer). False: stop until `sink.writable`. Ignored after `eof`. */
  write(data: Buffer): boolean
  writeExtended(type: number, data: Buffer): boolean
  /** Says that `count` bytes were taken, which lets the window be refilled. */
  consumed(count: number): void
  /** Sends EOF once all queued data went out. */
  eof(): void
  /** Sends CLOSE once all queued data went out. */
  close(): void
  /** Sends CHANNEL_REQUEST without asking for a reply. */
  notify(name: string, write?: (writer: Writer) => void): void
  /** Sends CHANNEL_REQUEST and awaits the answer. @throws RequestError when refused or closed first. */
  request(name: string, write?: (writer: Writer) => void): Promise<void>
}
