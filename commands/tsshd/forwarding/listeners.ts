import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { resolve } from 'node:path'
import type { ChannelSink } from '../../../lib/connection/channel.ts'
import type { Connection, GlobalRequestHandler } from '../../../lib/connection/connection.ts'
import { streamlocalForwardHandlers } from '../../../lib/connection/requests/streamlocal-forward.ts'
import { type ForwardBinding, tcpipForwardHandlers } from '../../../lib/connection/requests/tcpip-forward.ts'
import { forwardedStreamlocal } from '../../../lib/connection/types/forwarded-streamlocal.ts'
import { forwardedTcpip } from '../../../lib/connection/types/forwarded-tcpip.ts'
import { messageOf, sanitize } from '../../../lib/errors.ts'
import { socketSink } from '../../../src/net/socket-sink.ts'
import { listenUnix } from '../../../src/net/unix-listener.ts'
import type { SshdOptions } from '../../../src/openssh/sshd-config.ts'
import type { ForwardingContext } from './connections.ts'

/** Forwardings of one connection. */
const listenerLimit = 256

export interface ListeningContext extends ForwardingContext {
  readonly options: Pick<
    SshdOptions,
    'gatewayPorts' | 'addressFamily' | 'streamLocalBindMask' | 'streamLocalBindUnlink'
  >
  /** By what the client asked for; each may be several sockets, one per family. */
  readonly listeners: Map<string, readonly Server[]>
}

/** Global requests by which the client has us listen (`ssh -R`). */
export function listeningHandlers(context: ListeningContext): [string, GlobalRequestHandler][] {
  return [
    ...tcpipForwardHandlers({
      listen: (binding, connection) => listenTcp(context, binding, connection),
      cancel: async ({ address, port }) => cancel(context, `${address} ${port}`),
    }),
    ...streamlocalForwardHandlers({
      listen: (path, connection) => listenPath(context, path, connection),
      cancel: async path => cancel(context, path),
    }),
  ]
}

function cancel({ listeners }: ListeningContext, key: string): void {
  const servers = listeners.get(key)
  if (!servers) throw new Error('no such forwarding')
  listeners.delete(key)
  for (const server of servers) server.close()
}

/** Hands a connection to the client, paused until it opens the channel. */
function forward({ sockets }: ListeningContext, socket: Socket, open: (sink: ChannelSink) => Promise<unknown>): void {
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
  open(socketSink(socket)).catch(() => socket.destroy())
}

async function listenTcp(context: ListeningContext, binding: ForwardBinding, connection: Connection): Promise<number> {
  const { rules, peer, log, listeners } = context
  const { address, port } = binding
  const what = `host ${sanitize(address.slice(0, 200), true)} port ${port}`
  if (!rules.tcp.remote || !rules.mayListen(address, port) || listeners.size >= listenerLimit) {
    log.info?.(
      `Received request from ${peer.address} port ${peer.port} to remote forward to ${what}, but the request was denied.`,
    )
    throw new Error('denied')
  }
  const servers: Server[] = []
  let bound = port
  let problem: unknown
  for (const host of bindAddresses(address, context.options)) {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, socket =>
      forward(context, socket, sink =>
        forwardedTcpip.open(
          connection,
          {
            address,
            port: bound,
            originatorAddress: socket.remoteAddress ?? 'UNKNOWN',
            originatorPort: socket.remotePort ?? 0,
          },
          sink,
        ),
      ),
    )
    try {
      await started(server, host, bound)
      // Every family listens on the port that the first one was given.
      bound = (server.address() as AddressInfo).port
      servers.push(server)
    } catch (error) {
      problem = error
    }
  }
  if (servers.length === 0) {
    log.error(`cannot listen to port: ${port}: ${messageOf(problem)}`)
    throw new Error('cannot listen')
  }
  keep(context, `${address} ${bound}`, servers, connection)
  log.debug1?.(`Local forwarding listening on ${what}.`)
  return bound
}

const started = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, ipv6Only: true }, () => {
      server.off('error', reject)
      resolve()
    })
  })

/** Where GatewayPorts lets an address of the client's lead: loopback, everywhere, or the address itself. */
function bindAddresses(
  address: string,
  { gatewayPorts, addressFamily }: ListeningContext['options'],
): readonly string[] {
  const families = (inet: string, inet6: string): string[] => [
    ...(addressFamily === 'inet6' ? [] : [inet]),
    ...(addressFamily === 'inet' ? [] : [inet6]),
  ]
  if (gatewayPorts === 'yes') return families('0.0.0.0', '::')
  if (address === '127.0.0.1' || address === '::1') return [address]
  if (gatewayPorts === 'no' || address === 'localhost') return families('127.0.0.1', '::1')
  return address === '' || address === '*' ? families('0.0.0.0', '::') : [address]
}

async function listenPath(context: ListeningContext, asked: string, connection: Connection): Promise<void> {
  const { rules, peer, log, listeners, options } = context
  const shown = sanitize(asked.slice(0, 200), true)
  if (!rules.streamLocal.remote || listeners.size >= listenerLimit) {
    log.info?.(
      `Received request from ${peer.address} port ${peer.port} to remote forward to path "${shown}", but the request was denied.`,
    )
    throw new Error('denied')
  }
  try {
    const server = await listenUnix(
      resolve('/', asked),
      { mask: options.streamLocalBindMask, unlinkFirst: options.streamLocalBindUnlink },
      socket => forward(context, socket, sink => forwardedStreamlocal.open(connection, { path: asked }, sink)),
    )
    keep(context, asked, [server], connection)
  } catch (error) {
    log.error(`cannot bind to path ${shown}: ${messageOf(error)}`)
    throw error
  }
}

/** The connection may have ended while the listener started. */
function keep(
  { listeners }: ListeningContext,
  key: string,
  servers: readonly Server[],
  { transport }: Connection,
): void {
  if (transport.phase === 'closed') {
    for (const server of servers) server.close()
    throw new Error('the connection ended')
  }
  for (const server of servers) server.on('error', () => {})
  listeners.set(key, [...(listeners.get(key) ?? []), ...servers])
}
