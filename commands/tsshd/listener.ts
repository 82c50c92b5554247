import { createServer, type Server, type Socket } from 'node:net'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Peer } from '../../src/api/server.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { type Offence, SourceLimits } from './source-limits.ts'

/** Where to listen. */
export interface ListenPlace {
  readonly host: string
  /** 0: a free one. */
  readonly port: number
}

/** A connection that a server hands on. */
export interface Handling {
  /** Resolves when a user logged in. */
  readonly authenticated: Promise<void>
  readonly ended: Promise<Offence | undefined>
}

/** Takes an accepted socket, which is paused. */
export type Handler = (socket: Socket, peer: Peer) => Handling

export interface Listener {
  readonly places: readonly ListenPlace[]
  /** Connections that are open now. */
  readonly open: number
  /** Takes no more connections; those that are open go on. */
  close(): void
  /** Resolves when a first connection came and went. */
  readonly firstEnded: Promise<void>
}

/** What a client is told that may not connect now. */
const refusal = 'Not allowed at this time\r\n'
/** Lines about dropped connections in one second; the rest are counted only. */
const dropLinesPerSecond = 8

/** Listens on every place that can be bound. Places that cannot are logged, and it is an error when none is left. */
export async function openListener(
  places: readonly ListenPlace[],
  options: SshdOptions,
  log: Log,
  handler: Handler,
): Promise<Listener> {
  const limits = new SourceLimits(options)
  const gate = new Gate(limits, log, handler)
  const servers: Server[] = []
  const bound: ListenPlace[] = []
  for (const place of places) {
    const server = createServer({ pauseOnConnect: true, noDelay: true, keepAlive: options.tcpKeepAlive }, socket =>
      gate.accept(socket),
    )
    try {
      const port = await bind(server, place)
      servers.push(server)
      bound.push({ host: place.host, port })
      log.info?.(`Server listening on ${place.host} port ${port}.`)
    } catch (error) {
      log.error(`Bind to port ${place.port} on ${place.host} failed: ${systemErrorText(error) ?? messageOf(error)}.`)
    }
  }
  return {
    places: bound,
    get open() {
      return gate.open
    },
    close() {
      for (const server of servers) server.close()
    },
    firstEnded: gate.firstEnded,
  }
}

/** An IPv6 socket takes IPv6 only, as sshd's: another socket has the IPv4 address. */
const bind = (server: Server, { host, port }: ListenPlace): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, ipv6Only: host.includes(':'), backlog: 128 }, () => {
      server.off('error', reject)
      server.on('error', () => {})
      const address = server.address()
      resolve(address !== null && typeof address === 'object' ? address.port : port)
    })
  })

export const peerOf = ({ remoteAddress, remotePort, localAddress, localPort }: Socket): Peer => ({
  address: remoteAddress ?? 'UNKNOWN',
  port: remotePort ?? 65_535,
  localAddress: localAddress ?? 'UNKNOWN',
  localPort: localPort ?? 65_535,
})

/** Lets connections in or drops them, and remembers who misbehaved. */
class Gate {
  open = 0
  readonly firstEnded: Promise<void>
  readonly #limits: SourceLimits
  readonly #log: Log
  readonly #handler: Handler
  #firstHasEnded: () => void = () => {}
  #dropLines = { second: 0, count: 0 }

  constructor(limits: SourceLimits, log: Log, handler: Handler) {
    this.#limits = limits
    this.#log = log
    this.#handler = handler
    this.firstEnded = new Promise(resolve => {
      this.#firstHasEnded = resolve
    })
  }

  accept(socket: Socket): void {
    socket.on('error', error => this.#log.debug1?.(`connection: ${messageOf(error)}`))
    const peer = peerOf(socket)
    const reason = this.#limits.admit(peer.address)
    if (reason !== undefined) {
      this.#logDrop(peer, reason)
      socket.end(refusal, () => socket.destroy())
      return
    }
    this.open++
    let waiting = true
    const settle = (): void => {
      if (waiting) this.#limits.settled(peer.address)
      waiting = false
    }
    const { authenticated, ended } = this.#handler(socket, peer)
    authenticated.then(settle)
    ended.then(offence => {
      settle()
      this.open--
      this.#punish(peer, offence)
      this.#firstHasEnded()
    })
  }

  #punish({ address }: Peer, offence: Offence | undefined): void {
    const notice = offence && this.#limits.penalise(address, offence)
    if (notice?.level === 'info') this.#log.info?.(notice.text)
    else if (notice) this.#log.verbose?.(notice.text)
  }

  #logDrop({ address, port, localAddress, localPort }: Peer, reason: string): void {
    const second = Math.floor(Date.now() / 1000)
    if (this.#dropLines.second !== second) this.#dropLines = { second, count: 0 }
    if (++this.#dropLines.count > dropLinesPerSecond) return
    this.#log.info?.(
      `drop connection #${this.#limits.waiting} from [${address}]:${port} on [${localAddress}]:${localPort} ${reason}`,
    )
  }
}
