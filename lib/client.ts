import { type Connection, type ConnectionOptions, createConnection } from './connection/connection.ts'
import { deferred, type Engine } from './engine.ts'
import { AuthenticationError, SshError } from './errors.ts'
import type { Log } from './log.ts'
import { createTransport } from './transport/ssh-transport.ts'
import type { ClientTransportOptions, Transport } from './transport/transport.ts'
import { type ClientAuthentication, createClientAuthenticator } from './userauth/client.ts'
import type { Credentials } from './userauth/credentials.ts'

export interface ClientOptions {
  readonly transport: Omit<ClientTransportOptions, 'role' | 'handlers' | 'log'>
  readonly credentials: Credentials
  readonly connection?: Omit<ConnectionOptions, 'log'>
  readonly log?: Log
  /** Takes bytes for the stream below; false when it is congested, until `outputDrained` is called. */
  output(chunks: Buffer[]): boolean
}

/** A client's whole engine: Transport, user authentication and Connection, over any byte stream. */
export interface Client extends Engine {
  readonly transport: Transport
  readonly connection: Connection
  /** The first key exchange is done and the host accepted. Rejects when it cannot be. */
  readonly keyExchange: Promise<void>
  /** @throws AuthenticationError, or what ended the connection first */
  readonly authentication: Promise<ClientAuthentication>
  /** Why it ended. Never rejects. */
  readonly closed: Promise<SshError>
}

/** What the server is told when no method was left or a credential could not be had; a local error is not its business. */
const asAuthenticationError = (error: unknown): SshError =>
  error instanceof SshError ? error : new AuthenticationError('cancelled', 'authentication cancelled')

/** Starts a client: our identification goes out at once. */
export function openClient({
  transport: options,
  credentials,
  connection: connectionOptions,
  log,
  output,
}: ClientOptions): Client {
  const authenticator = createClientAuthenticator(credentials, log)
  const keyExchange = deferred<void>()
  const authentication = deferred<ClientAuthentication>()
  const closed = deferred<SshError>()
  let connection: Connection | undefined
  const transport = createTransport({
    ...options,
    ...(log && { log }),
    role: 'client',
    handlers: {
      output,
      open() {
        keyExchange.resolve()
        authenticator.run(transport).then(authentication.resolve, error => {
          authentication.reject(error)
          if (transport.phase !== 'closed') transport.fail(asAuthenticationError(error))
        })
      },
      authentication: (number, payload) => authenticator.receive(number, payload),
      connection: (number, payload) => connection?.receive(number, payload),
      writable: () => connection?.writable(),
      closed(error) {
        authenticator.closed(error)
        connection?.closed(error)
        keyExchange.reject(error)
        authentication.reject(error)
        closed.resolve(error)
      },
    },
  })
  connection = createConnection(transport, { ...connectionOptions, ...(log && { log }) })
  return {
    transport,
    connection,
    keyExchange: keyExchange.promise,
    authentication: authentication.promise,
    closed: closed.promise,
    receive: chunk => transport.receive(chunk),
    ended: error => transport.ended(error),
    outputDrained: () => transport.outputDrained(),
  }
}
