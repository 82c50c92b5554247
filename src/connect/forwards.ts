import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Channel, ChannelSink } from '../../lib/connection/channel.ts'
import type { ChannelAcceptor, ChannelOpening, Connection } from '../../lib/connection/connection.ts'
import { OpenFailureReason } from '../../lib/connection/messages.ts'
import {
  cancelStreamlocalForward,
  requestStreamlocalForward,
} from '../../lib/connection/requests/streamlocal-forward.ts'
import { cancelTcpipForward, requestTcpipForward } from '../../lib/connection/requests/tcpip-forward.ts'
import { ChannelStream } from '../../lib/connection/stream.ts'
import { agentConnect, authAgent } from '../../lib/connection/types/auth-agent.ts'
import { directStreamlocal } from '../../lib/connection/types/direct-streamlocal.ts'
import { directTcpip } from '../../lib/connection/types/direct-tcpip.ts'
import { forwardedStreamlocal } from '../../lib/connection/types/forwarded-streamlocal.ts'
import { forwardedTcpip } from '../../lib/connection/types/forwarded-tcpip.ts'
import { ChannelOpenError, ConnectionLostError, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { socketSink } from '../net/socket-sink.ts'
import { readSocksRequest } from '../net/socks.ts'
import { listenUnix } from '../net/unix-listener.ts'
import { type Endpoint, type Forward, formatForward } from '../openssh/forwarding.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'
import { openFailure } from './failures.ts'

export interface ForwardsOptions {
  readonly config: SshConfig
  /** The agent's socket for ForwardAgent; undefined when there is none to forward. */
  readonly agentSocket: string | undefined
  readonly log: Log
}

/** Connections through one login, in either direction: LocalForward, RemoteForward, DynamicForward, ForwardAgent. */
export interface Forwards {
  /** For the connection, from its start: channels that the server may open. */
  readonly channelTypes: ReadonlyMap<string, ChannelAcceptor>
  /** Listens here, and has the server listen. @throws ConnectionLostError under ExitOnForwardFailure */
  start(connection: Connection): Promise<void>
  /**
   * One more forwarding, of a connection in use. @returns whether an address is listened on; true for a remote one, as
   * the server is only asked: a refusal is logged
   */
  add(sort: ForwardSort, forward: Forward, connection: Connection): Promise<boolean>
  /** Ends what listens there; open connections stay. @returns whether anything did */
  cancel(sort: ForwardSort, listen: Endpoint, connection: Connection): boolean
  /** What a channel of ours carries, for people. */
  describe(channel: Channel): string | undefined
  /** Resolves once no forwarded connection is open. */
  idle(): Promise<void>
  close(): void
}

export type ForwardSort = 'local' | 'remote' | 'dynamic'

export function createForwards(options: ForwardsOptions): Forwards {
  return new ConnectionForwards(options)
}

/** An end as ssh names it. */
const nameOf = (end: Endpoint): string => ('path' in end ? end.path : `${end.host ?? ''}:${end.port}`)

/** The same with a port in any case, as ssh's log has it. */
function placeOf(end: Endpoint | 'socks', anywhere = ''): string {
  if (end === 'socks') return 'socks:0'
  return 'path' in end ? `${end.path}:-2` : `${end.host ?? anywhere}:${end.port}`
}

/** What is listened for, by the name under which it is cancelled. */
interface Listener {
  readonly sort: ForwardSort
  readonly name: string
  /** What listens here. */
  readonly servers: readonly Server[]
  /** Has the server listen no longer. */
  readonly cancel?: (connection: Connection) => Promise<void>
}

/** As ssh compares: here all ways to say `every address` or `loopback` are one, there the words count. */
function listenerName(sort: ForwardSort, listen: Endpoint): string {
  const everywhere = 'host' in listen && ['', '*', 'localhost'].includes(listen.host ?? '')
  const known = sort !== 'remote' && everywhere ? { ...listen, host: undefined } : listen
  return formatForward({ listen: known, connect: 'socks' }, 'dynamic')
}

class ConnectionForwards implements Forwards {
  readonly channelTypes: ReadonlyMap<string, ChannelAcceptor>
  readonly #options: ForwardsOptions
  #listeners: Listener[] = []
  readonly #descriptions = new WeakMap<Channel, string>()
  readonly #sockets = new Set<Duplex>()
  /** What the server was asked to listen on, by the name that its channels give back. */
  readonly #remote = new Map<string, Forward['connect']>()
  /** Nothing is let through before `start`: a host that is not trusted gets no connection. */
  #state: 'waiting' | 'started' = 'waiting'
  #whenIdle: (() => void) | undefined

  constructor(options: ForwardsOptions) {
    this.#options = options
    const { agentSocket } = options
    const types: [string, ChannelAcceptor][] = [
      [
        forwardedTcpip.name,
        forwardedTcpip.acceptor(({ address, port }, opening) => this.#accept(`${address}:${port}`, opening)),
      ],
      [forwardedStreamlocal.name, forwardedStreamlocal.acceptor(({ path }, opening) => this.#accept(path, opening))],
    ]
    if (agentSocket !== undefined) {
      for (const type of [authAgent, agentConnect])
        types.push([type.name, type.acceptor((_, opening) => this.#acceptAgent(agentSocket, opening))])
    }
    this.channelTypes = new Map(types)
  }

  async start(connection: Connection): Promise<void> {
    this.#state = 'started'
    const { localForward, dynamicForward, remoteForward, exitOnForwardFailure } = this.#options.config
    const here = await Promise.all(
      [...localForward, ...dynamicForward].map(forward => this.#listen(forward, connection)),
    )
    if (exitOnForwardFailure && here.includes(false))
      throw new ConnectionLostError('closed', 'Could not request local forwarding.')
    const there = await Promise.all(remoteForward.map(forward => this.#ask(forward, connection)))
    const failed = remoteForward[there.indexOf(false)]
    if (exitOnForwardFailure && failed) throw new ConnectionLostError('closed', `Error: ${remoteFailure(failed)}`)
  }

  idle(): Promise<void> {
    if (this.#sockets.size === 0) return Promise.resolve()
    this.#options.log.debug1?.('Waiting for forwarded connections to end')
    return new Promise(resolve => {
      this.#whenIdle = resolve
    })
  }

  async add(sort: ForwardSort, forward: Forward, connection: Connection): Promise<boolean> {
    if (sort !== 'remote') return this.#listen(forward, connection)
    void this.#ask(forward, connection)
    return true
  }

  cancel(sort: ForwardSort, listen: Endpoint, connection: Connection): boolean {
    const name = listenerName(sort, listen)
    const ended = this.#listeners.filter(listener => listener.sort === sort && listener.name === name)
    this.#listeners = this.#listeners.filter(listener => !ended.includes(listener))
    for (const { servers, cancel } of ended) {
      for (const server of servers) server.close()
      cancel?.(connection).catch(error => this.#options.log.debug1?.(messageOf(error)))
    }
    return ended.length > 0
  }

  describe(channel: Channel): string | undefined {
    return this.#descriptions.get(channel)
  }

  close(): void {
    for (const { servers } of this.#listeners) for (const server of servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #keep<T extends Duplex>(socket: T): T {
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#sockets.delete(socket)
      if (this.#sockets.size === 0) this.#whenIdle?.()
    })
    return socket
  }

  #described(description: string, sink: ChannelSink): ChannelSink {
    return {
      ...sink,
      opened: channel => {
        this.#descriptions.set(channel, description)
        sink.opened?.(channel)
      },
    }
  }

  // ---- listening here ----

  /** @returns whether at least one address is listened on */
  async #listen({ listen, connect: target }: Forward, connection: Connection): Promise<boolean> {
    const { config, log } = this.#options
    const connected = (socket: Socket): void => {
      this.#keep(socket)
      if (target === 'socks') this.#serveSocks(listen, socket, connection)
      else this.#open({ listen, connect: target }, socket, connection)
    }
    const sort = target === 'socks' ? 'dynamic' : 'local'
    const keep = (servers: readonly Server[]): void => {
      this.#listeners.push({ sort, name: listenerName(sort, listen), servers })
    }
    const here = placeOf(listen, config.gatewayPorts ? '*' : 'LOCALHOST')
    log.debug1?.(`Local connections to ${here} forwarded to remote address ${placeOf(target)}`)
    if ('path' in listen) {
      try {
        const mode = { mask: config.streamLocalBindMask, unlinkFirst: config.streamLocalBindUnlink }
        keep([await listenUnix(listen.path, mode, connected)])
        return true
      } catch (error) {
        log.error(`unix_listener: cannot bind to path ${listen.path}: ${messageOf(error)}`)
        return false
      }
    }
    const addresses = localAddresses(listen.host, config.gatewayPorts)
    const outcomes = await Promise.all(addresses.map(address => this.#listenTcp(address, listen.port, connected)))
    const servers = outcomes.filter(outcome => typeof outcome !== 'string')
    const isListening = servers.length > 0
    for (const [index, problem] of outcomes.entries()) {
      // A machine without IPv6 is no failure.
      if (typeof problem !== 'string' || (isListening && /EAFNOSUPPORT|EADDRNOTAVAIL/.test(problem))) continue
      // As ssh has it, only the last one is an error.
      log[index === outcomes.length - 1 ? 'error' : 'verbose']?.(
        `bind [${addresses[index]}]:${listen.port}: ${problem.replace(/^listen EADDRINUSE.*/, 'Address already in use')}`,
      )
    }
    if (isListening) keep(servers)
    else log.error(`channel_setup_fwd_listener_tcpip: cannot listen to port: ${listen.port}`)
    return isListening
  }

  /** @returns what listens, or what went wrong */
  #listenTcp(host: string, port: number, connected: (socket: Socket) => void): Promise<Server | string> {
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, connected)
    return new Promise(resolve => {
      server.once('error', error => resolve(error.message))
      server.listen({ host, port, ipv6Only: host.includes(':') }, () => resolve(server))
    })
  }

  #open(
    { listen, connect: target }: { listen: Endpoint; connect: Endpoint },
    socket: Socket,
    connection: Connection,
    inner: ChannelSink = socketSink(socket),
  ): void {
    const { log } = this.#options
    const sink = this.#described(describeOpening(listen, target, socket), inner)
    const opening =
      'path' in target
        ? directStreamlocal.open(connection, target, sink)
        : directTcpip.open(
            connection,
            {
              host: target.host ?? '',
              port: target.port,
              originatorAddress: socket.remoteAddress ?? '127.0.0.1',
              originatorPort: socket.remotePort ?? 65535,
            },
            sink,
          )
    opening.catch(error => {
      if (!(error instanceof ChannelOpenError)) throw error
      log.error(`open failed: ${openFailure(error)}`)
      sink.closed?.(error)
      socket.destroySoon()
    })
  }

  #serveSocks(listen: Endpoint, socket: Socket, connection: Connection): void {
    readSocksRequest(socket).then(
      ({ host, port, granted, refused }) => {
        const sink = socketSink(socket)
        this.#open({ listen, connect: { host, port } }, socket, connection, {
          ...sink,
          opened(channel) {
            socket.write(granted)
            sink.opened?.(channel)
          },
          closed(error) {
            // Before it was opened, that is the server's refusal.
            if (error instanceof ChannelOpenError) socket.end(refused)
            else sink.closed?.(error)
          },
        })
      },
      error => {
        this.#options.log.debug1?.(`dynamic request: ${messageOf(error)}`)
        socket.destroy()
      },
    )
  }

  // ---- listening there ----

  /** @returns whether the server listens */
  async #ask(forward: Forward, connection: Connection): Promise<boolean> {
    const { listen, connect: target } = forward
    const { log } = this.#options
    log.debug1?.(
      `Remote connections from ${placeOf(listen, 'LOCALHOST')} forwarded to local address ${placeOf(target)}`,
    )
    const address =
      'path' in listen ? '' : listen.host === undefined ? 'localhost' : listen.host === '*' ? '' : listen.host
    const nameAt = (port: number): string => ('path' in listen ? listen.path : `${address}:${port}`)
    const keepAt = (port: number): Listener => {
      const name = nameAt(port)
      this.#remote.set(name, target)
      const listener: Listener = {
        sort: 'remote',
        name: listenerName('remote', 'path' in listen ? listen : { ...listen, port }),
        servers: [],
        cancel: connection => {
          this.#remote.delete(name)
          if ('path' in listen) return cancelStreamlocalForward(connection, listen.path)
          return cancelTcpipForward(connection, { address, port })
        },
      }
      this.#listeners.push(listener)
      return listener
    }
    const wanted = 'path' in listen ? -1 : listen.port
    // The server may use it at once. What it listens on for another forwarding already, it will refuse.
    const early = wanted !== 0 && !this.#remote.has(nameAt(wanted)) ? keepAt(wanted) : undefined
    try {
      if ('path' in listen) {
        await requestStreamlocalForward(connection, listen.path)
        if (!early) keepAt(wanted)
        return true
      }
      const port = await requestTcpipForward(connection, { address, port: listen.port })
      if (!early) keepAt(port)
      if (listen.port === 0)
        log.info?.(`Allocated port ${port} for remote forward to ${target === 'socks' ? 'SOCKS' : nameOf(target)}`)
      else log.debug1?.(`remote forward success for: listen ${nameOf(listen)}`)
      return true
    } catch (error) {
      if (early) {
        this.#listeners = this.#listeners.filter(listener => listener !== early)
        this.#remote.delete(nameAt(wanted))
      }
      log.debug1?.(messageOf(error))
      log.info?.(`Warning: ${remoteFailure(forward)}`)
      return false
    }
  }

  /** Only what was asked for may come. */
  #accept(name: string, opening: ChannelOpening): void {
    const target = this.#remote.get(name)
    if (target === undefined) {
      this.#options.log.debug1?.(`server opens a connection to ${JSON.stringify(name)}, which was not asked for`)
      opening.reject(OpenFailureReason.administrativelyProhibited, 'not asked for')
    } else if (target === 'socks') this.#serveRemoteSocks(opening)
    else this.#connectTo(target, opening)
  }

  #acceptAgent(path: string, opening: ChannelOpening): void {
    if (this.#state === 'started') this.#connectTo({ path }, opening)
    else opening.reject(OpenFailureReason.administrativelyProhibited, 'not asked for')
  }

  #connectTo(target: Endpoint, opening: ChannelOpening): void {
    const socket = this.#keep(connectHere(target))
    const failed = (error: Error): void => opening.reject(OpenFailureReason.connectFailed, messageOf(error))
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      opening.accept(this.#described(describeEnd(target), socketSink(socket)))
    })
  }

  /** A SOCKS client on the other side: it may go where PermitRemoteOpen lets it. */
  #serveRemoteSocks(opening: ChannelOpening): void {
    const stream = this.#keep(new ChannelStream())
    opening.accept(stream.sink)
    readSocksRequest(stream).then(
      ({ host, port, granted, refused }) => {
        if (!mayOpen(this.#options.config.permitRemoteOpen, host, port)) {
          this.#options.log.info?.(
            `remote connection to ${JSON.stringify(host)} port ${port} refused by PermitRemoteOpen`,
          )
          stream.end(refused)
          return
        }
        const socket = this.#keep(connectHere({ host, port }))
        socket.once('error', () => stream.end(refused))
        socket.once('connect', () => {
          stream.write(granted)
          stream.pipe(socket).pipe(stream)
        })
      },
      error => {
        this.#options.log.debug1?.(`dynamic request: ${messageOf(error)}`)
        stream.destroy()
      },
    )
  }
}

function connectHere(target: Endpoint): Socket {
  const socket =
    'path' in target
      ? connect({ path: target.path, allowHalfOpen: true })
      : connect({ host: target.host ?? 'localhost', port: target.port, allowHalfOpen: true, noDelay: true })
  socket.pause()
  return socket
}

const remoteFailure = ({ listen }: Forward): string =>
  'path' in listen
    ? `remote port forwarding failed for listen path ${listen.path}`
    : `remote port forwarding failed for listen port ${listen.port}`

const describeEnd = (end: Endpoint): string =>
  'path' in end ? `path ${end.path}` : `${end.host ?? ''} port ${end.port}`

/** As ssh's `~#` has it. */
function describeOpening(
  listen: Endpoint,
  target: Endpoint,
  { remoteAddress, remotePort, localAddress }: Socket,
): string {
  const at = 'path' in listen ? `path ${listen.path}` : `port ${listen.port}`
  const to = describeEnd(target)
  if ('path' in listen) return `listening ${at} for ${to}`
  return `listening ${at} for ${to}, connect from ${remoteAddress} port ${remotePort} to ${localAddress} port ${listen.port}`
}

/** Loopback unless the forwarding or GatewayPorts says otherwise. */
function localAddresses(host: string | undefined, gatewayPorts: boolean): readonly string[] {
  if (host === '' || host === '*' || (host === undefined && gatewayPorts)) return ['0.0.0.0', '::']
  return host === undefined || host === 'localhost' ? ['::1', '127.0.0.1'] : [host]
}

/** `host:port` rules; a port may be `*`. */
function mayOpen(rules: readonly string[], host: string, port: number): boolean {
  if (rules.some(rule => rule.toLowerCase() === 'any')) return true
  return rules.some(rule => {
    const [, bracketed, plain, wanted] = /^(?:\[([^\]]*)\]|([^:]*)):(.*)$/.exec(rule) ?? []
    return (bracketed ?? plain) === host && (wanted === '*' || Number(wanted) === port)
  })
}
