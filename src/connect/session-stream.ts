import { type ClientSession, type SessionOptions, startSession } from '../../lib/connection/client-session.ts'
import type { Connection } from '../../lib/connection/connection.ts'
import type { ByteStream, ByteStreamSink } from '../../lib/wire/byte-stream.ts'

/** A program on the other side as one byte stream, for a protocol that it speaks: an SFTP server, `scp -t`. */
export interface SessionStream {
  readonly stream: ByteStream
  /** As `ClientSession.exit`. */
  readonly exit: ClientSession['exit']
}

/**
 * Starts a command or subsystem. What it writes to its stderr goes to `onError`.
 * @throws ChannelOpenError, RequestError
 */
export async function startSessionStream(
  connection: Connection,
  options: SessionOptions,
  onError: (data: Buffer) => void,
): Promise<SessionStream> {
  const early: ((sink: ByteStreamSink) => void)[] = []
  let owner: ByteStreamSink | undefined
  /** The program may speak before its owner listens. */
  const tell = (event: (sink: ByteStreamSink) => void): void => {
    if (owner) event(owner)
    else early.push(event)
  }
  const session = await startSession(connection, options, {
    data: data => tell(sink => sink.data(data)),
    extendedData(_type, data) {
      onError(data)
      session.channel.consumed(data.length)
    },
    eof: () => tell(sink => sink.eof?.()),
    writable: () => owner?.writable?.(),
    closed: error => tell(sink => sink.closed?.(error)),
  })
  const { channel } = session
  const stream: ByteStream = {
    get sink(): ByteStreamSink {
      return owner ?? { data() {} }
    },
    set sink(sink: ByteStreamSink) {
      owner = sink
      for (const event of early.splice(0)) event(sink)
    },
    get queued(): number {
      return channel.queued
    },
    write: data => channel.write(data),
    consumed: count => channel.consumed(count),
    eof: () => channel.eof(),
    close: () => channel.close(),
    abort: () => channel.abort(),
  }
  return { stream, exit: session.exit }
}
