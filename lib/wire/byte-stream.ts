/**
 * A pair of byte streams with back pressure: what a protocol inside a channel needs of whatever carries it. A `Channel`
 * is one as it is; `src/net/stdio-stream.ts` makes one of a process's stdin and stdout.
 */
export interface ByteStream {
  /** Set by the owner before the first event arrives. */
  sink: ByteStreamSink
  /** Queues data (not copied: do not reuse the buffer). False: stop until `sink.writable`. */
  write(data: Buffer): boolean
  /** Bytes that were written and are still referred to; undefined where nobody can tell. */
  readonly queued?: number
  /** Says that `count` bytes were taken, which lets the other side send more. */
  consumed(count: number): void
  /** Ends our direction once all queued data went out. */
  eof(): void
  /** Ends both directions once all queued data went out. */
  close(): void
  /** Drops queued data and ends both directions at once. */
  abort(): void
}

/** What the owner of a `ByteStream` is told. All return at once. */
export interface ByteStreamSink {
  /** A view of a buffer that nobody else writes to. Call `consumed(length)` once it is taken. */
  data(data: Buffer): void
  /** The other side sends no more. */
  eof?(): void
  /** `write` may be called again after it returned false. */
  writable?(): void
  /** Nothing comes after this. */
  closed?(error?: Error): void
}
