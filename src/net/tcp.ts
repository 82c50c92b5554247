import { lookup } from 'node:dns/promises'
import { connect, type Socket } from 'node:net'
import { ConnectionLostError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'

export interface TcpOptions {
  readonly host: string
  readonly port: number
  /** `any` tries every address that the name has, in the resolver's order. */
  readonly family: 'any' | 'inet' | 'inet6'
  /** For each address, in seconds. */
  readonly connectTimeout?: number
  readonly keepAlive: boolean
  readonly bindAddress?: string
  readonly log?: Log
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ETIMEDOUT: 'Connection timed out',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ECONNRESET: 'Connection reset by peer',
  EADDRNOTAVAIL: 'Cannot assign requested address',
  EACCES: 'Permission denied',
  ENOTFOUND: 'Name or service not known',
  EAI_AGAIN: 'Temporary failure in name resolution',
}

const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  return reasons[code] ?? (error instanceof Error ? error.message : String(error))
}

/** Connects to a host by name, one address after another. @throws ConnectionLostError in ssh's words, without `ssh: ` */
export async function connectTcp(options: TcpOptions): Promise<Socket> {
  const { host, port, family, log } = options
  const addresses = await lookup(host, { all: true, family: family === 'any' ? 0 : family === 'inet' ? 4 : 6 }).catch(
    error => {
      throw new ConnectionLostError('closed', `Could not resolve hostname ${host}: ${reasonOf(error)}`, {
        cause: error,
      })
    },
  )
  let failure: unknown
  for (const { address } of addresses) {
    log?.debug1?.(`Connecting to ${host} [${address}] port ${port}.`)
    try {
      const socket = await connectTo(address, options)
      log?.debug1?.('Connection established.')
      return socket
    } catch (error) {
      failure = error
      log?.debug1?.(`connect to address ${address} port ${port}: ${reasonOf(error)}`)
    }
  }
  throw new ConnectionLostError('closed', `connect to host ${host} port ${port}: ${reasonOf(failure)}`, {
    cause: failure,
  })
}

function connectTo(address: string, { port, connectTimeout, keepAlive, bindAddress }: TcpOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: address,
      port,
      noDelay: true,
      keepAlive,
      ...(bindAddress && { localAddress: bindAddress }),
    })
    const timer = connectTimeout
      ? setTimeout(
          () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
          connectTimeout * 1000,
        )
      : undefined
    socket.once('error', reject)
    socket.once('connect', () => {
      clearTimeout(timer)
      socket.off('error', reject)
      resolve(socket)
    })
    socket.once('close', () => clearTimeout(timer))
  })
}
