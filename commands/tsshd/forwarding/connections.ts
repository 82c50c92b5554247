import { connect, type Socket } from 'node:net'
import { resolve } from 'node:path'
import { getSystemErrorMap } from 'node:util'
import type { ChannelAcceptor, ChannelOpening } from '../../../lib/connection/connection.ts'
import { OpenFailureReason } from '../../../lib/connection/messages.ts'
import { directStreamlocal } from '../../../lib/connection/types/direct-streamlocal.ts'
import { directTcpip } from '../../../lib/connection/types/direct-tcpip.ts'
import { tun } from '../../../lib/connection/types/tun.ts'
import { sanitize } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import type { Peer } from '../../../src/api/server.ts'
import { socketSink } from '../../../src/net/socket-sink.ts'
import { isSocketPath } from '../../../src/net/unix-listener.ts'
import type { ForwardingRules } from './rules.ts'

/** What forwarding of one connection needs to know. */
export interface ForwardingContext {
  readonly rules: ForwardingRules
  readonly peer: Peer
  readonly log: Log
  /** Sockets of this connection, all destroyed when it ends. */
  readonly sockets: Set<Socket>
}

const clean = (text: string): string => sanitize(text.slice(0, 200), true)

/** Channels by which the client reaches something from here (`ssh -L`, `-W`, `-D`). */
export function connectionAcceptors(context: ForwardingContext): [string, ChannelAcceptor][] {
  const { rules, peer, log } = context
  const prohibit = (opening: ChannelOpening): void =>
    opening.reject(OpenFailureReason.administrativelyProhibited, 'open failed')
  return [
    [
      directTcpip.name,
      directTcpip.acceptor(({ host, port, originatorAddress, originatorPort }, opening) => {
        const target = `${clean(host)} port ${port}`
        if (!rules.tcp.local) {
          log.info?.(
            `refused local port forward: originator ${clean(originatorAddress)} port ${originatorPort}, target ${target}`,
          )
          prohibit(opening)
        } else if (!rules.mayOpen(host, port)) {
          log.info?.(
            `Received request from ${peer.address} port ${peer.port} to connect to host ${target}, but the request was denied.`,
          )
          prohibit(opening)
        } else {
          // Port 0 is nobody's, and Node would take it for a missing one.
          if (port === 0 || host === '') return opening.reject(OpenFailureReason.connectFailed, 'Connection refused')
          join(context, opening, connect({ host, port, allowHalfOpen: true, noDelay: true }))
        }
      }),
    ],
    [
      directStreamlocal.name,
      directStreamlocal.acceptor(({ path }, opening) => {
        if (!rules.streamLocal.local) {
          log.info?.(`refused streamlocal port forward: target ${clean(path)}`)
          prohibit(opening)
        } else if (!rules.mayOpenPath(path)) {
          log.info?.(`Received request to connect to path ${clean(path)}, but the request was denied.`)
          prohibit(opening)
        } else if (!isSocketPath(resolve('/', path))) {
          opening.reject(OpenFailureReason.connectFailed, 'File name too long')
        } else {
          join(context, opening, connect({ path: resolve('/', path), allowHalfOpen: true }))
        }
      }),
    ],
    [
      tun.name,
      tun.acceptor((_, opening) => {
        log.info?.('refused tunnel device forwarding: not supported by this server')
        prohibit(opening)
      }),
    ],
  ]
}

/** Opens the channel once the socket is connected. */
function join({ sockets, log }: ForwardingContext, opening: ChannelOpening, socket: Socket): void {
  sockets.add(socket)
  socket.pause()
  const failed = (error: NodeJS.ErrnoException): void => {
    const reason = systemMessage(error)
    log.debug1?.(`forwarded connection failed: ${clean(reason)}`)
    opening.reject(OpenFailureReason.connectFailed, reason)
  }
  socket.once('error', failed)
  socket.once('close', () => sockets.delete(socket))
  socket.once('connect', () => {
    socket.off('error', failed)
    opening.accept(socketSink(socket))
  })
}

/** What strerror(3) says, as clients print it. */
function systemMessage(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOTFOUND') return 'Name or service not known'
  const first = error instanceof AggregateError ? (error.errors[0] as NodeJS.ErrnoException) : error
  const text = first.errno === undefined ? undefined : getSystemErrorMap().get(first.errno)?.[1]
  return text ? text[0]!.toUpperCase() + text.slice(1) : 'Connect failed'
}
