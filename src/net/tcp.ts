import type { LookupAddress } from 'node:dns'
import { lookup } from 'node:dns/promises'
import { connect, isIP, type Socket } from 'node:net'
import { ConnectionLostError, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { systemErrorText } from '../openssh/system-error.ts'
import { LargeReads, setLargeReads } from './large-reads.ts'

export interface TcpOptions {
  readonly host: string
  readonly port: number
  /** `any` tries every address that the name has, in the resolver's order. */
  readonly family: 'any' | 'inet' | 'inet6'
  /** For each address, in seconds. */
  readonly connectTimeout?: number
  readonly keepAlive: boolean
  /** How often all addresses are tried, a second apart. Default 1. */
  readonly attempts?: number
  readonly bindAddress?: string
  /** The socket's bytes come through `largeReadsOf` it, and not as `data`. */
  readonly largeReads?: boolean
  readonly log?: Log
}

/** gai_strerror(3)'s words. */
const reasons: Readonly<Record<string, string>> = {
  ENOTFOUND: 'Name or service not known',
  EAI_ADDRFAMILY: 'Address family for hostname not supported',
  EAI_AGAIN: 'Temporary failure in name resolution',
}

/** EAI_NODATA, which Node's code does not tell from a name that is not there. */
const noData = -3007

/** What went wrong, in the system's words. */
export const reasonOf = (error: unknown): string => {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (error instanceof Error && 'errno' in error && error.errno === noData) return 'No address associated with hostname'
  return reasons[code] ?? systemErrorText(error) ?? messageOf(error)
}

/** An address family as `lookup` of Node names it. */
const lookupFamily = (family: TcpOptions['family']): 0 | 4 | 6 => (({ any: 0, inet: 4, inet6: 6 }) as const)[family]

/** The addresses of a host, of one family where one is wanted. @throws the resolver's error */
export async function addressesOf(host: string, family: TcpOptions['family']): Promise<LookupAddress[]> {
  const numeric = isIP(host)
  const addresses = numeric
    ? [{ address: host, family: numeric }]
    : await lookup(host, { all: true, family: lookupFamily(family) })
  // A numeric address is what it is, whatever family was asked for.
  const fitting = addresses.filter(address => family === 'any' || address.family === lookupFamily(family))
  if (fitting.length > 0) return fitting
  throw Object.assign(new Error('getaddrinfo EAI_ADDRFAMILY'), { code: 'EAI_ADDRFAMILY', syscall: 'getaddrinfo' })
}

/** Connects to a host by name, one address after another. @throws ConnectionLostError in ssh's words, without `ssh: ` */
export async function connectTcp(options: TcpOptions): Promise<Socket> {
  const { host, port, family, log } = options
  const addresses = await addressesOf(host, family).catch(error => {
    throw new ConnectionLostError('closed', `Could not resolve hostname ${host}: ${reasonOf(error)}`, {
      cause: error,
    })
  })
  let failure: unknown
  for (let attempt = 0; attempt < (options.attempts ?? 1); attempt++) {
    if (attempt > 0) {
      await new Promise(resolve => setTimeout(resolve, pauseBetweenAttempts))
      log?.debug1?.('Trying again...')
    }
    for (const { address, family: kind } of addresses) {
      if (!fitsLocalAddress(options.bindAddress, kind)) continue
      log?.debug1?.(`Connecting to ${host} [${address}] port ${port}.`)
      try {
        const socket = await connectTo(address, options)
        log?.debug1?.('Connection established.')
        return socket
      } catch (error) {
        failure = error
        if (error instanceof Error && 'syscall' in error && error.syscall === 'bind') {
          log?.error(`bind ${options.bindAddress}: ${reasonOf(error)}`)
          failure = new Error('failure')
        }
        log?.debug1?.(`connect to address ${address} port ${port}: ${reasonOf(error)}`)
      }
    }
  }
  throw new ConnectionLostError('closed', `connect to host ${host} port ${port}: ${reasonOf(failure)}`, {
    cause: failure,
  })
}

/** Milliseconds. */
const pauseBetweenAttempts = 1000

/** An address of one kind cannot be bound for a connection of the other; a name fits as it resolves. */
const fitsLocalAddress = (bindAddress: string | undefined, family: number): boolean => {
  const kind = bindAddress === undefined ? 0 : isIP(bindAddress)
  return kind === 0 || kind === family
}

function connectTo(
  address: string,
  { port, connectTimeout, keepAlive, bindAddress, largeReads }: TcpOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const reads = largeReads ? new LargeReads() : undefined
    const socket = connect({
      host: address,
      port,
      noDelay: true,
      keepAlive,
      ...(bindAddress && { localAddress: bindAddress }),
      ...(reads && { onread: reads.options }),
    })
    if (reads) setLargeReads(socket, reads)
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
