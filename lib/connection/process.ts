import type { Readable, Writable } from 'node:stream'
import { type ClientSession, type SessionOptions, startSession } from './client-session.ts'
import type { Connection } from './connection.ts'
import { createChannelStreams } from './stream.ts'

/** A session seen as a child process. */
export interface RemoteProcess extends ClientSession {
  /** Ending it sends EOF. */
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
}

/**
 * Starts a program on the other side, with Node streams around it. What is not read holds the program back, so read
 * both outputs or `resume()` them. @throws ChannelOpenError, RequestError
 */
export async function startProcess(connection: Connection, options: SessionOptions): Promise<RemoteProcess> {
  const streams = createChannelStreams()
  const session = await startSession(connection, options, streams.sink)
  return { ...session, stdin: streams.outgoing, stdout: streams.incoming, stderr: streams.incomingError }
}
