import { ProtocolError } from '../../errors.ts'
import type { ChannelAcceptor, Connection, GlobalRequestHandler } from '../connection.ts'
import { isKindred } from './peer.ts'

export const noMoreSessionsName = 'no-more-sessions@openssh.com'

/** Promises the server that no other session will be opened (PROTOCOL §2.2); only to peers that know the request. */
export function sendNoMoreSessions(connection: Connection): void {
  if (isKindred(connection)) connection.globalNotify(noMoreSessionsName)
}

/** A server's half: after the promise, a client that opens a session is taken for an attacker and disconnected. */
export function guardSessions(accept: ChannelAcceptor): {
  accept: ChannelAcceptor
  noMoreSessions: GlobalRequestHandler
} {
  let state: 'open' | 'promised' = 'open'
  return {
    accept(opening, connection) {
      if (state === 'promised') throw new ProtocolError('unexpected-message', 'session opened after no-more-sessions')
      accept(opening, connection)
    },
    noMoreSessions(_, reply) {
      state = 'promised'
      reply(true)
    },
  }
}
