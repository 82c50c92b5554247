import { type AddressInfo, createServer, type Server as NetServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Algorithms, defaultServerAlgorithms } from '../../lib/algorithms/index.ts'
import type { ChannelAcceptor, ConnectionOptions, GlobalRequestHandler } from '../../lib/connection/connection.ts'
import { OpenFailureReason } from '../../lib/connection/messages.ts'
import { announceHostKeys, hostKeysProveName, proveHostKeys } from '../../lib/connection/requests/hostkeys.ts'
import { answerKeepalive, keepaliveName } from '../../lib/connection/requests/keepalive.ts'
import { guardSessions, noMoreSessionsName } from '../../lib/connection/requests/no-more-sessions.ts'
import { isKindred } from '../../lib/connection/requests/peer.ts'
import { acceptSessions, type SessionHandler } from '../../lib/connection/server-session.ts'
import { DisconnectReason, messageOf } from '../../lib/errors.ts'
import { defaultSignatureAlgorithms } from '../../lib/keys/algorithms.ts'
import { isPlainSigner, type Signer } from '../../lib/keys/signer.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { openServer, type ServerLogin } from '../../lib/server.ts'
import type { RekeyLimit, ServerTransportOptions } from '../../lib/transport/transport.ts'
import type { ServerAuthentication, ServerAuthenticationOptions } from '../../lib/userauth/authority.ts'
import { softwareVersion } from '../command/version.ts'
import { accelerated } from '../connect/algorithms.ts'
import { joinStream } from '../net/socket.ts'

const usualAlgorithms = accelerated(defaultServerAlgorithms)

/** Who connected. */
export interface Peer {
  readonly address: string
  readonly port: number
  readonly localAddress: string
  readonly localPort: number
}

/** How one connection is served. */
export interface ServeOptions {
  /** Keys that prove who the server is; the first of a type is used. */
  readonly hostKeys: readonly Signer[]
  /** Who may log in, and how. */
  authentication(peer: Peer): Omit<ServerAuthenticationOptions, 'signatureAlgorithms' | 'authenticated'>
  /**
   * What sessions do, for a user who logged in, and what else that user may open and ask for. A function is called when
   * the client first asks for something.
   */
  session(login: ServerAuthentication, peer: Peer): LoginHandler | (() => LoginHandler)
  /** Default: those of OpenSSH's server. */
  readonly algorithms?: Algorithms
  readonly signatureAlgorithms?: readonly string[]
  readonly rekeyLimit?: RekeyLimit
  /** Groups for Diffie-Hellman group exchange; built-in ones by default. */
  readonly chooseGroup?: NonNullable<ServerTransportOptions['chooseGroup']>
  /** After the version in our identification. */
  readonly versionComment?: string
  /** Seconds until a login must be done; 0 for ever. Default 120. */
  readonly loginGraceTime?: number
  /** Open sessions of one connection. Default 10. */
  readonly maxSessions?: number
  readonly log?: Log
}

/** What a user who logged in may do. */
export interface LoginHandler extends SessionHandler {
  /** Types of channels beside sessions: forwarding. */
  readonly channelTypes?: ReadonlyMap<string, ChannelAcceptor>
  readonly globalRequests?: ReadonlyMap<string, GlobalRequestHandler>
  /** Open sessions of this login, where they are other than those of the server. */
  readonly maxSessions?: number
  /** The connection is over. */
  ended?(): void
}

export interface ListenOptions extends ServeOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string
  /** Default 0: a free one. */
  readonly port?: number
  /** Connections that did not log in yet: from `start` on, `rate` percent and rising are refused, from `full` on, all. */
  readonly maxStartups?: { readonly start: number; readonly rate: number; readonly full: number }
  /** A user logged in. */
  onLogin?(login: ServerLogin, peer: Peer): void
}

export interface SshServer {
  readonly host: string
  readonly port: number
  /** Connections that are open now. */
  readonly connections: number
  /** Takes no more connections and ends the open ones. */
  close(): Promise<void>
}

const defaultLoginGraceTime = 120
const defaultMaxSessions = 10
const defaultMaxStartups = { start: 10, rate: 30, full: 100 }

/**
 * Listens for SSH connections and serves them, all in this process.
 * @throws what the system says when the address cannot be listened on
 */
export async function listen(options: ListenOptions): Promise<SshServer> {
  const { host = '127.0.0.1', port = 0, log = silentLog } = options
  const sockets = new Set<Socket>()
  let unauthenticated = 0
  const server = createServer({ noDelay: true }, socket => {
    socket.on('error', error => log.debug1?.(`connection: ${messageOf(error)}`))
    if (isRefused(unauthenticated, options.maxStartups ?? defaultMaxStartups)) {
      log.info?.(
        `drop connection #${unauthenticated} from [${socket.remoteAddress}]:${socket.remotePort} past MaxStartups`,
      )
      socket.destroy()
      return
    }
    unauthenticated++
    sockets.add(socket)
    const peer = peerOf(socket)
    const { login, closed } = serve(socket, peer, options)
    let counted = true
    const settled = () => {
      if (counted) unauthenticated--
      counted = false
    }
    login.then(outcome => {
      settled()
      options.onLogin?.(outcome, peer)
    }, settled)
    closed.then(settled)
    socket.on('close', () => sockets.delete(socket))
  })
  await started(server, host, port)
  const address = server.address() as AddressInfo
  return {
    host: address.address,
    port: address.port,
    get connections() {
      return sockets.size
    },
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}

const started = (server: NetServer, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })

const peerOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): Peer => ({
  address: remoteAddress ?? 'UNKNOWN',
  port: remotePort ?? 65535,
  localAddress: localAddress ?? 'UNKNOWN',
  localPort: localPort ?? 65535,
})

/** Random early drop, as MaxStartups of sshd_config(5) describes it. */
function isRefused(waiting: number, { start, rate, full }: { start: number; rate: number; full: number }): boolean {
  if (waiting < start) return false
  if (waiting >= full || rate === 100) return true
  const chance = rate + ((100 - rate) * (waiting - start)) / (full - start)
  return Math.random() * 100 < chance
}

/** Serves one connection over a byte stream. */
export function serve(
  stream: Duplex,
  peer: Peer,
  options: ServeOptions,
): { login: Promise<ServerLogin>; closed: Promise<unknown> } {
  const { log = silentLog, loginGraceTime = defaultLoginGraceTime } = options
  const link = joinStream(stream)
  let handler: LoginHandler | undefined
  const engine = openServer({
    transport: {
      algorithms: options.algorithms ?? usualAlgorithms,
      hostKeys: options.hostKeys,
      softwareVersion: softwareVersion(),
      ...(options.versionComment !== undefined && { versionComment: options.versionComment }),
      ...(options.rekeyLimit && { rekeyLimit: options.rekeyLimit }),
      ...(options.chooseGroup && { chooseGroup: options.chooseGroup }),
    },
    authentication: {
      ...options.authentication(peer),
      signatureAlgorithms: options.signatureAlgorithms ?? defaultSignatureAlgorithms,
    },
    connection(login) {
      const given = options.session(login, peer)
      if (typeof given !== 'function') handler = given
      return {
        services() {
          handler ??= typeof given === 'function' ? given() : given
          return servicesOf(handler, options)
        },
      }
    },
    log,
    output: chunks => link.output(chunks),
  })
  link.attach(engine)
  let timer =
    loginGraceTime > 0
      ? setTimeout(() => {
          log.info?.(`Timeout before authentication for connection from ${peer.address} to ${peer.localAddress}`)
          engine.transport.disconnect(DisconnectReason.byApplication, 'Timeout before authentication')
        }, loginGraceTime * 1000)
      : undefined
  const inTime = (): void => {
    clearTimeout(timer)
    timer = undefined
  }
  engine.login.then(({ connection }) => {
    inTime()
    const plain = options.hostKeys.filter(isPlainSigner)
    if (isKindred(connection))
      announceHostKeys(
        connection,
        plain.map(({ blob }) => blob),
      )
  }, inTime)
  engine.closed.then(error => {
    log.debug1?.(`connection from ${peer.address} port ${peer.port} ended: ${error.message}`)
    handler?.ended?.()
    stream.end()
    // A peer that never closes its side must not keep ours.
    setTimeout(() => stream.destroy(), lingerTime).unref()
  })
  return { login: engine.login, closed: engine.closed }
}

/** How long a closed connection may take to send what is left, in milliseconds. */
const lingerTime = 2000

function servicesOf(
  handler: LoginHandler,
  options: ServeOptions,
): Pick<ConnectionOptions, 'channelTypes' | 'globalRequests'> {
  const maxSessions = handler.maxSessions ?? options.maxSessions ?? defaultMaxSessions
  let open = 0
  const accept = acceptSessions({
    ...handler,
    closed(session, error) {
      open--
      handler.closed?.(session, error)
    },
  })
  const guarded = guardSessions((opening, connection) => {
    if (open >= maxSessions) return opening.reject(OpenFailureReason.resourceShortage, 'too many sessions')
    open++
    return accept(opening, connection)
  })
  return {
    channelTypes: new Map([...(handler.channelTypes ?? []), ['session', guarded.accept]]),
    globalRequests: new Map([
      ...(handler.globalRequests ?? []),
      [keepaliveName, answerKeepalive],
      [noMoreSessionsName, guarded.noMoreSessions],
      [hostKeysProveName, proveHostKeys(options.hostKeys)],
    ]),
  }
}
