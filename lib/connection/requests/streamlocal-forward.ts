import type { Reader } from '../../wire/reader.ts'
import type { Connection, GlobalRequestHandler } from '../connection.ts'
import { checkedText } from '../types/channel-type.ts'

export const streamlocalForwardName = 'streamlocal-forward@openssh.com'
export const cancelStreamlocalForwardName = 'cancel-streamlocal-forward@openssh.com'

function readPath(payload: Reader): string {
  const path = checkedText(payload.text())
  payload.finish()
  return path
}

/** Asks the server to listen on a Unix domain socket (PROTOCOL §2.4). @throws RequestError */
export async function requestStreamlocalForward(connection: Connection, path: string): Promise<void> {
  await connection.globalRequest(streamlocalForwardName, writer => writer.text(path))
}

/** Asks the server to listen there no longer. @throws RequestError */
export async function cancelStreamlocalForward(connection: Connection, path: string): Promise<void> {
  await connection.globalRequest(cancelStreamlocalForwardName, writer => writer.text(path))
}

/** What a server does about `streamlocal-forward@openssh.com`; a rejection refuses the request. */
export interface StreamlocalForwardListener {
  listen(path: string, connection: Connection): Promise<void>
  /** Stops a listener of this connection. */
  cancel(path: string, connection: Connection): Promise<void>
}

/** A server's entries for `ConnectionOptions.globalRequests`. */
export function streamlocalForwardHandlers(listener: StreamlocalForwardListener): [string, GlobalRequestHandler][] {
  const handler =
    (action: 'listen' | 'cancel'): GlobalRequestHandler =>
    (payload, reply, connection) => {
      listener[action](readPath(payload), connection).then(
        () => reply(true),
        () => reply(false),
      )
    }
  return [
    [streamlocalForwardName, handler('listen')],
    [cancelStreamlocalForwardName, handler('cancel')],
  ]
}
