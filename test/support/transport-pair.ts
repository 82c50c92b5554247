import type { SshError } from '../../lib/errors.ts'
import type { Signer } from '../../lib/keys/signer.ts'
import { createTransport } from '../../lib/transport/ssh-transport.ts'
import type {
  ClientTransportOptions,
  ServerTransportOptions,
  Transport,
  TransportHandlers,
} from '../../lib/transport/transport.ts'
import { ed25519Signer, localAlgorithms } from './local-algorithms.ts'

/** Cuts what one side sends into the chunks that the other side receives. */
export type Chunking = (bytes: Buffer) => Buffer[]

export const whole: Chunking = bytes => [bytes]
export const single: Chunking = bytes => pieces(bytes, () => 1)
/** Pieces of changing odd sizes, so that packets straddle them in every way. */
export const straddling: Chunking = bytes => {
  let turn = 0
  return pieces(bytes, () => [7, 1, 61, 3, 1021][turn++ % 5]!)
}

function pieces(bytes: Buffer, next: () => number): Buffer[] {
  const result: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + next())
    result.push(bytes.subarray(at, end))
    at = end
  }
  return result
}

/** One side: its transport, and everything that its handlers were told. */
export interface Side {
  transport: Transport
  readonly events: string[]
  /** Messages of the layers service, userauth and connection. */
  readonly received: { number: number; payload: Buffer }[]
  error: SshError | undefined
  readonly opened: Promise<void>
  readonly closed: Promise<SshError>
  /** All bytes it sent. */
  sent: number
}

export interface PairOptions {
  chunking?: Chunking
  client?: Partial<ClientTransportOptions>
  server?: Partial<ServerTransportOptions>
  /** Handlers that replace the recording ones. */
  clientHandlers?: Partial<TransportHandlers>
  serverHandlers?: Partial<TransportHandlers>
  hostKey?: Signer
  /** What `output` answers: false while the stream below a side is congested. Its bytes are delivered all the same. */
  flowing?: (from: 'client' | 'server') => boolean
  /** Sees, and may change or drop, what is on its way. */
  tamper?: (from: 'client' | 'server', bytes: Buffer) => Buffer
}

export interface Pair {
  client: Side
  server: Side
  /** Both have finished the first key exchange. */
  opened: Promise<unknown>
  /** Declares both sides authenticated. */
  authenticate(): void
}

/** Bytes on their way from one side to the other, delivered in order and never while the receiver asks for a pause. */
export class Wire {
  private readonly chunking: Chunking
  private readonly receiver: () => Transport
  private readonly pending: Buffer[] = []
  private busy = false
  /** While true, nothing is delivered. */
  stopped = false

  constructor(chunking: Chunking, receiver: () => Transport) {
    this.chunking = chunking
    this.receiver = receiver
  }

  write(chunks: Buffer[]): void {
    this.pending.push(...chunks)
    void this.deliver()
  }

  async deliver(): Promise<void> {
    if (this.busy) return
    this.busy = true
    await Promise.resolve()
    while (this.pending.length > 0 && !this.stopped) {
      const bytes = this.pending.length === 1 ? this.pending[0]! : Buffer.concat(this.pending)
      this.pending.length = 0
      for (const chunk of this.chunking(bytes)) {
        const room = Buffer.from(chunk)
        const pause = this.receiver().receive(room)
        // As the room that a socket is read into is used again.
        room.fill(0xee)
        if (pause) await pause
      }
    }
    this.busy = false
  }
}

export function recordingSide(output: (chunks: Buffer[]) => boolean, override: Partial<TransportHandlers> = {}) {
  let resolveOpened = (): void => undefined
  let resolveClosed = (_error: SshError): void => undefined
  const side: Omit<Side, 'transport'> & { transport?: Transport } = {
    events: [],
    received: [],
    error: undefined,
    opened: new Promise(resolve => {
      resolveOpened = resolve
    }),
    closed: new Promise(resolve => {
      resolveClosed = resolve
    }),
    sent: 0,
  }
  const handlers: TransportHandlers = {
    output(chunks) {
      for (const chunk of chunks) side.sent += chunk.length
      return output(chunks)
    },
    open() {
      side.events.push('open')
      resolveOpened()
    },
    authentication(number, payload) {
      side.events.push(`authentication ${number}`)
      side.received.push({ number, payload })
    },
    connection(number, payload) {
      side.received.push({ number, payload })
    },
    writable: () => side.events.push('writable'),
    rekeyed: () => side.events.push('rekeyed'),
    closed(error) {
      side.events.push('closed')
      side.error = error
      resolveClosed(error)
    },
    ...override,
  }
  return { side: side as Side, handlers }
}

/** Two transports joined by a function. */
export function transportPair(options: PairOptions = {}): Pair {
  const { chunking = whole, tamper = (_from, bytes) => bytes } = options
  const toServer = new Wire(chunking, () => server.side.transport)
  const toClient = new Wire(chunking, () => client.side.transport)
  const join = (from: 'client' | 'server', wire: Wire) => (chunks: Buffer[]) => {
    wire.write(chunks.map(chunk => tamper(from, chunk)))
    return options.flowing?.(from) ?? true
  }
  const client = recordingSide(join('client', toServer), options.clientHandlers)
  const server = recordingSide(join('server', toClient), options.serverHandlers)
  client.side.transport = createTransport({
    role: 'client',
    algorithms: localAlgorithms,
    softwareVersion: 'test_client',
    verifyHostKey: () => undefined,
    ...options.client,
    handlers: client.handlers,
  })
  server.side.transport = createTransport({
    role: 'server',
    algorithms: localAlgorithms,
    softwareVersion: 'test_server',
    hostKeys: [options.hostKey ?? ed25519Signer()],
    signatureAlgorithms: ['ssh-ed25519', 'rsa-sha2-512'],
    ...options.server,
    handlers: server.handlers,
  })
  return {
    client: client.side,
    server: server.side,
    opened: Promise.all([
      Promise.race([client.side.opened, client.side.closed]),
      Promise.race([server.side.opened, server.side.closed]),
    ]),
    authenticate() {
      client.side.transport.authenticated()
      server.side.transport.authenticated()
    },
  }
}

/** Waits, without a pause, until `condition` holds; after five seconds it fails. */
export async function until(condition: () => boolean): Promise<void> {
  for (const end = Date.now() + 5000; !condition(); ) {
    if (Date.now() > end) throw new Error(`never came true: ${condition}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}
