/**
 * Transports of plain messages, without keys or bytes in between: two connection layers joined by a function. Messages
 * wait in a list until the test lets them through, so that it decides the order of everything.
 */

import type { Connection, ConnectionOptions } from '../../lib/connection/connection.ts'
import { createConnection } from '../../lib/connection/connection.ts'
import { ConnectionLostError, type SshError } from '../../lib/errors.ts'
import type { NegotiatedAlgorithms, Transport } from '../../lib/transport/transport.ts'
import type { AnyMessage, Message } from '../../lib/wire/message.ts'
import { Writer } from '../../lib/wire/writer.ts'

export class FakeTransport implements Transport {
  readonly role: 'client' | 'server'
  phase: Transport['phase'] = 'open'
  readonly sessionId = Buffer.alloc(32, 7)
  negotiated: NegotiatedAlgorithms = {
    kex: 'none',
    hostKey: 'ssh-ed25519',
    clientToServer: { cipher: 'none', mac: 'none', compression: 'none' },
    serverToClient: { cipher: 'none', mac: 'none', compression: 'none' },
    strict: true,
  }
  peerIdentification = 'SSH-2.0-OpenSSH_9.9'
  readonly ourIdentification = 'SSH-2.0-tssh_0.1.0'
  readonly hostKey = Buffer.alloc(0)
  readonly peerExtensions = new Map<string, Buffer>()
  readonly statistics = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, rekeys: 0 }

  /** Whole payloads that were sent and that the other side did not get yet. */
  readonly outbox: Buffer[] = []
  /** Payloads ever sent, by number, when a test sets it. */
  sent: Buffer[] | undefined
  /** Messages that were answered with UNIMPLEMENTED. */
  unimplementedCount = 0
  /** What `fail` was called with. */
  failure: SshError | undefined
  /** Lines of `trace`. */
  readonly traced: string[] = []
  connection: Connection | undefined

  #writable = true
  #disconnectReason: number | undefined
  readonly #writer = new Writer()

  constructor(role: 'client' | 'server') {
    this.role = role
  }

  get writable(): boolean {
    return this.#writable && this.phase === 'open'
  }

  set writable(value: boolean) {
    this.#writable = value
    if (value) this.connection?.writable()
  }

  get disconnectReason(): number | undefined {
    return this.#disconnectReason
  }

  send<T>(message: Message<T>, value: T): void {
    message.write(this.begin(), value)
    this.commit()
  }

  begin(): Writer {
    return this.#writer.reset()
  }

  commit(): void {
    if (this.phase !== 'open') return
    const payload = this.#writer.copy()
    this.statistics.packetsOut++
    this.outbox.push(payload)
    this.sent?.push(payload)
  }

  /** Hands a payload to the connection of this side. */
  deliver(payload: Buffer): void {
    if (this.phase !== 'open') return
    this.statistics.packetsIn++
    this.connection!.receive(payload[0]!, payload)
  }

  unimplemented(): void {
    this.unimplementedCount++
  }

  trace(direction: 'in' | 'out', message: AnyMessage, value: unknown): void {
    this.traced.push(`${direction} ${message.describe(value)}`)
  }

  fail(error: SshError): void {
    if (this.phase === 'closed') return
    this.failure = error
    this.end(error)
  }

  end(error: SshError = new ConnectionLostError('closed', 'the link was cut')): void {
    if (this.phase === 'closed') return
    this.phase = 'closed'
    this.connection!.closed(error)
  }

  disconnect(reason: number, description: string): void {
    this.#disconnectReason = reason
    this.end(new ConnectionLostError('closed', description))
  }

  receive(): undefined {}
  ended(): void {}
  outputDrained(): void {}
  authenticated(): void {}
  rekey(): void {}
}

/** Two connections and the link between them. */
export interface FakePair {
  readonly client: Connection
  readonly server: Connection
  readonly clientTransport: FakeTransport
  readonly serverTransport: FakeTransport
  /** Lets one message through. False when there was none. */
  step(from: 'client' | 'server'): boolean
  /** Lets messages through until there are none. Returns how many there were. */
  pump(): number
  /** `pump`, and whatever promises make of it, until nothing more happens. */
  settle(): Promise<void>
}

export function fakePair(clientOptions: ConnectionOptions = {}, serverOptions: ConnectionOptions = {}): FakePair {
  const clientTransport = new FakeTransport('client')
  const serverTransport = new FakeTransport('server')
  const client = createConnection(clientTransport, clientOptions)
  const server = createConnection(serverTransport, serverOptions)
  clientTransport.connection = client
  serverTransport.connection = server

  const step = (from: 'client' | 'server'): boolean => {
    const [source, target] = from === 'client' ? [clientTransport, serverTransport] : [serverTransport, clientTransport]
    const payload = source.outbox.shift()
    if (payload) target.deliver(payload)
    return payload !== undefined
  }
  const pump = (): number => {
    let count = 0
    for (;;) {
      const moved = Number(step('client')) + Number(step('server'))
      if (moved === 0) return count
      count += moved
    }
  }
  const settle = async (): Promise<void> => {
    let quiet = 0
    while (quiet < 3) {
      quiet = pump() === 0 ? quiet + 1 : 0
      await new Promise(resolve => setImmediate(resolve))
    }
  }
  return { client, server, clientTransport, serverTransport, step, pump, settle }
}
