import { type Connection, type ConnectionOptions, createConnection } from './connection/connection.ts'
import { deferred, type Engine } from './engine.ts'
import type { SshError } from './errors.ts'
import type { Log } from './log.ts'
import { createTransport } from './transport/ssh-transport.ts'
import type { ServerTransportOptions, Transport } from './transport/transport.ts'
import type { ServerAuthentication, ServerAuthenticationOptions } from './userauth/authority.ts'
import { createServerAuthenticator } from './userauth/server.ts'

export interface ServerOptions {
  readonly transport: Omit<ServerTransportOptions, 'role' | 'handlers' | 'log' | 'signatureAlgorithms'>
  readonly authentication: ServerAuthenticationOptions
  /** What a logged-in user may open and ask for: permissions decide. */
  connection(login: ServerAuthentication): Omit<ConnectionOptions, 'log'>
  readonly log?: Log
  /** Takes bytes for the stream below; false when it is congested, until `outputDrained` is called. */
  output(chunks: Buffer[]): boolean
}

/** A server's whole engine for one client. */
export interface Server extends Engine {
  readonly transport: Transport
  /** The login and its connection. @throws what ended the connection first */
  readonly login: Promise<ServerLogin>
  /** Why it ended. Never rejects. */
  readonly closed: Promise<SshError>
}

export interface ServerLogin {
  readonly authentication: ServerAuthentication
  readonly connection: Connection
}

/** Starts a server's half: our identification goes out at once. */
export function openServer({
  transport: options,
  authentication,
  connection: connectionOptions,
  log,
  output,
}: ServerOptions): Server {
  const login = deferred<ServerLogin>()
  const closed = deferred<SshError>()
  let connection: Connection | undefined
  const authenticator = createServerAuthenticator(
    {
      ...authentication,
      authenticated(outcome) {
        // In the same turn as USERAUTH_SUCCESS, so that the client's first channel finds us ready.
        connection = createConnection(transport, { ...connectionOptions(outcome), ...(log && { log }) })
        login.resolve({ authentication: outcome, connection })
      },
    },
    log,
  )
  const transport = createTransport({
    ...options,
    ...(log && { log }),
    role: 'server',
    signatureAlgorithms: authentication.signatureAlgorithms,
    handlers: {
      output,
      open() {
        authenticator.run(transport).catch(login.reject)
      },
      authentication: (number, payload) => authenticator.receive(number, payload),
      connection: (number, payload) => connection?.receive(number, payload),
      writable: () => connection?.writable(),
      closed(error) {
        authenticator.closed(error)
        connection?.closed(error)
        login.reject(error)
        closed.resolve(error)
      },
    },
  })
  return {
    transport,
    login: login.promise,
    closed: closed.promise,
    receive: chunk => transport.receive(chunk),
    ended: error => transport.ended(error),
    outputDrained: () => transport.outputDrained(),
  }
}
