import { RequestError } from '../../errors.ts'
import type { Connection, GlobalRequestHandler } from '../connection.ts'

export const keepaliveName = 'keepalive@openssh.com'

export interface KeepaliveOptions {
  /** Seconds of silence after which the peer is asked whether it is there (ServerAliveInterval). 0: never. */
  readonly intervalSeconds: number
  /** Questions in a row without any answer after which it counts as dead (ServerAliveCountMax). */
  readonly countMax: number
}

/**
 * Asks a silent peer whether it is still there, and calls `onDead` once when it is not. Any packet is an answer.
 * Returns how to stop; it stops by itself when the connection ends.
 */
export function startKeepalive(connection: Connection, options: KeepaliveOptions, onDead: () => void): () => void {
  const { transport } = connection
  let packetsSeen = transport.statistics.packetsIn
  let unanswered = 0
  const heard = (): void => {
    packetsSeen = transport.statistics.packetsIn
    unanswered = 0
  }
  const ask = (): void => {
    unanswered++
    // A refusal answers as well as a success. The answer is no traffic, or every second question would be left out.
    connection.globalRequest(keepaliveName).then(heard, error => {
      if (error instanceof RequestError && error.code === 'refused') heard()
    })
  }
  const tick = (): void => {
    if (transport.phase === 'closed') {
      stop()
    } else if (transport.statistics.packetsIn !== packetsSeen) {
      heard()
    } else if (unanswered < options.countMax) {
      ask()
    } else {
      stop()
      onDead()
    }
  }
  const timer = options.intervalSeconds > 0 ? setInterval(tick, options.intervalSeconds * 1000) : undefined
  const stop = (): void => clearInterval(timer)
  return stop
}

/** The other side: any answer will do. An entry for `ConnectionOptions.globalRequests`. */
export const answerKeepalive: GlobalRequestHandler = (_, reply) => reply(true)
