import { fillPadding } from '../crypto/random.ts'
import {
  ConnectionLostError,
  DisconnectError,
  ProtocolError,
  type SshError,
  sanitize,
  UsageError,
  withoutStack,
} from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import type { AnyMessage, Message } from '../wire/message.ts'
import type { Writer } from '../wire/writer.ts'
import { admit, isOfExchange, layerOf, type Situation } from './admission.ts'
import { asSshError, farewellOf } from './ending.ts'
import { takeExtensions } from './extensions.ts'
import { type Identification, IdentificationReader, identificationLine } from './identification.ts'
import { Keying, type KeyingCarrier, strictViolation } from './keying.ts'
import { isNoisy } from './logging.ts'
import * as messages from './messages.ts'
import { Outbox, type OutboxCarrier } from './outbox.ts'
import { PacketInput, PacketOutput } from './packet.ts'
import { SendQueue } from './send-queue.ts'
import type {
  NegotiatedAlgorithms,
  Transport,
  TransportHandlers,
  TransportOptions,
  TransportPhase,
} from './transport.ts'

/** Characters shown of a text in DISCONNECT or DEBUG. */
const maxPeerText = 1024

export class SshTransport implements Transport, KeyingCarrier, OutboxCarrier {
  readonly role: 'client' | 'server'
  readonly ourIdentification: string
  readonly peerExtensions = new Map<string, Buffer>()
  phase: TransportPhase = 'identification'
  peerIdentification = ''

  private readonly handlers: TransportHandlers
  readonly log: Log
  /** Until the peer's identification came. */
  private identification: IdentificationReader | undefined
  readonly input = new PacketInput()
  readonly output = new PacketOutput(fillPadding)
  private readonly outbox: Outbox
  private readonly queue = new SendQueue()
  readonly situation: { -readonly [K in keyof Situation]: Situation[K] }
  private readonly keying: Keying
  private rekeys = 0
  private wasWritable = false

  private pump: 'resting' | 'running' = 'resting'
  private handlerPending = false
  private resumption: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined
  private endedWith: ConnectionLostError | undefined

  constructor(options: TransportOptions) {
    this.role = options.role
    this.handlers = options.handlers
    this.log = options.log ?? silentLog
    this.ourIdentification = identificationLine(options.softwareVersion, options.versionComment)
    this.identification = new IdentificationReader(this.role, line => this.log.debug1?.(`banner line: ${line}`))
    this.situation = {
      role: this.role,
      exchange: 'idle',
      initial: true,
      strict: false,
      authenticated: false,
      afterNewKeys: false,
      extInfoCount: 0,
    }
    this.keying = new Keying(options, this)
    this.outbox = new Outbox(this)
    this.log.debug1?.(`Local version string ${this.ourIdentification}`)
    this.sendRaw(`${this.ourIdentification}\r\n`)
    this.keying.start()
    // After the identification is on its way: the peer's answer takes longer than the preparation.
    if (this.role === 'client') queueMicrotask(() => options.algorithms.kex[0]?.prepare?.())
  }

  get sessionId(): Buffer {
    return this.known(this.keying.sessionId)
  }

  get negotiated(): NegotiatedAlgorithms {
    return this.known(this.keying.negotiated)
  }

  get hostKey(): Buffer {
    return this.known(this.keying.hostKey)
  }

  private known<T>(value: T | undefined): T {
    if (value === undefined) throw new UsageError('the first key exchange is not done')
    return value
  }

  get writable(): boolean {
    return this.phase === 'open' && this.keying.sending === 'free' && !this.outbox.full
  }

  get statistics(): Transport['statistics'] {
    const { input, output, rekeys } = this
    return {
      bytesIn: input.traffic.totalBytes,
      bytesOut: output.traffic.totalBytes,
      packetsIn: input.traffic.totalPackets,
      packetsOut: output.traffic.totalPackets,
      rekeys,
    }
  }

  // ---- bytes in ----

  receive(chunk: Buffer): Promise<void> | undefined {
    if (this.phase === 'closed' || chunk.length === 0) return undefined
    if (!this.identification) return this.take(chunk)
    try {
      const found = this.identification.read(chunk)
      if (!found) return undefined
      this.identified(found.identification)
      return this.take(found.rest)
    } catch (error) {
      this.fail(asSshError(error))
      return undefined
    }
  }

  private take(chunk: Buffer): Promise<void> | undefined {
    this.input.push(chunk)
    const pending = this.runPump()
    this.input.keep()
    return pending
  }

  private identified({ line, protocolVersion, softwareVersion }: Identification): void {
    this.peerIdentification = line
    this.identification = undefined
    this.phase = 'key-exchange'
    const software = sanitize(softwareVersion, true)
    this.log.debug1?.(`Remote protocol version ${protocolVersion}, remote software version ${software}`)
  }

  ended(error?: Error): void {
    if (this.phase === 'closed' || this.endedWith) return
    this.endedWith = error
      ? new ConnectionLostError('reset', error.message, { cause: error })
      : new ConnectionLostError('closed', 'connection closed by the remote host')
    this.runPump()
  }

  outputDrained(): void {
    if (this.phase !== 'closed') this.outbox.drained()
  }

  /** For the outbox. */
  flush(chunks: Buffer[]): boolean {
    return this.handlers.output(chunks)
  }

  outputFlushed(): void {
    if (this.phase === 'closed') return
    // What was just handed over may have filled the stream below: who finds it full is told when it is not any more.
    if (this.outbox.full) this.wasWritable = false
    this.tellWritable()
    if (this.input.pending) this.runPump()
  }

  /** Takes packets until there is none, or until something must settle first: then the promise says when. */
  private runPump(): Promise<void> | undefined {
    if (this.pump === 'running') return undefined
    this.pump = 'running'
    try {
      while (!this.isHeld()) {
        const payload = this.input.next()
        if (!payload) break
        this.dispatch(payload)
      }
    } catch (error) {
      this.fail(asSshError(error))
    }
    this.pump = 'resting'
    if (this.phase === 'closed') return undefined
    if (this.isHeld() && this.input.pending) {
      this.resumption ??= resumption()
      return this.resumption.promise
    }
    this.settle()
    if (this.endedWith) this.finish(this.endedWith)
    return undefined
  }

  private isHeld(): boolean {
    if (this.phase === 'closed' || this.handlerPending) return true
    if (this.keying.busy) return true
    return this.outbox.overflowing && !this.endedWith
  }

  private settle(): void {
    this.resumption?.resolve()
    this.resumption = undefined
  }

  // ---- messages in ----

  private dispatch(payload: Buffer): void {
    const number = payload[0]!
    const { situation } = this
    if (this.log.debug3 && !isNoisy(number)) this.log.debug3(`receive packet: type ${number}`)
    const admission = admit(number, situation)
    situation.afterNewKeys = false
    switch (admission) {
      case 'process':
        this.process(number, payload)
        break
      case 'ignore':
        break
      case 'unimplemented':
        this.unimplemented()
        break
      case 'violation':
        throw strictViolation(`unexpected packet type ${number}`, this.input.lastSequence)
      case 'unexpected':
        throw new ProtocolError('unexpected-message', `unexpected packet type ${number}`)
    }
    this.keying.checkLimits()
  }

  private process(number: number, payload: Buffer): void {
    switch (layerOf(number)) {
      case 'connection':
        this.handlers.connection(number, payload)
        break
      case 'service':
      case 'userauth':
        this.processAuthentication(number, payload)
        break
      case 'kex':
        this.keying.processKex(number, payload)
        break
      case 'negotiation':
        this.keying.processKexInit(payload)
        break
      case 'newkeys':
        this.keying.processNewKeys(payload)
        break
      case 'extension':
        this.processExtInfo(payload)
        break
      case 'ping':
        if (number === messages.Ping.number) this.send(messages.Pong, this.read(messages.Ping, payload))
        break
      case 'always':
        this.processAlways(number, payload)
        break
    }
  }

  private read<T>(message: Message<T>, payload: Buffer): T {
    const value = message.read(payload)
    this.trace('in', message, value)
    return value
  }

  private processAuthentication(number: number, payload: Buffer): void {
    const pending = this.handlers.authentication(number, payload)
    if (!pending) return
    this.handlerPending = true
    pending.then(
      () => {
        this.handlerPending = false
        this.resume()
      },
      (error: unknown) => this.fail(asSshError(error)),
    )
  }

  private processAlways(number: number, payload: Buffer): void {
    if (number === messages.Disconnect.number) {
      const { reason, description } = this.read(messages.Disconnect, payload)
      const text = sanitize(description.slice(0, maxPeerText))
      this.finish(withoutStack(() => new DisconnectError('by-peer', reason, text)))
    } else if (number === messages.Unimplemented.number) {
      const { sequence } = this.read(messages.Unimplemented, payload)
      this.log.debug1?.(`Received SSH2_MSG_UNIMPLEMENTED for ${sequence}`)
    } else if (number === messages.Debug.number) {
      const { alwaysDisplay, text } = this.read(messages.Debug, payload)
      const line = `Remote: ${sanitize(text.slice(0, maxPeerText), true)}`
      if (alwaysDisplay && this.log.info) this.log.info(line)
      else this.log.debug1?.(line)
    }
  }

  private processExtInfo(payload: Buffer): void {
    const { extensions } = this.read(messages.ExtInfo, payload)
    this.log.debug1?.('SSH2_MSG_EXT_INFO received')
    this.situation.extInfoCount++
    takeExtensions(this.role, this.peerExtensions, extensions, this.situation.extInfoCount === 1, this.log)
  }

  /** Goes on after a hold. */
  resume(): void {
    if (this.phase !== 'closed') this.runPump()
  }

  // ---- keys ----

  rekey(): void {
    this.keying.rekey()
  }

  identifications(): { readonly ours: string; readonly peers: string } {
    return { ours: this.ourIdentification, peers: this.peerIdentification }
  }

  /** Our KEXINIT goes out. */
  holding(): void {
    this.wasWritable = false
  }

  /** Our NEWKEYS is out: what waited follows it. */
  released(): void {
    this.sendQueued()
    this.tellWritable()
    this.resume()
  }

  complete(initial: boolean): void {
    if (initial) {
      this.phase = 'open'
      this.wasWritable = this.writable
      this.handlers.open()
    } else {
      this.rekeys++
      this.handlers.rekeyed?.()
    }
  }

  // ---- messages out ----

  send<T>(message: Message<T>, value: T): void {
    if (this.phase === 'closed') return
    this.trace('out', message, value)
    message.write(this.begin(), value)
    this.commit()
  }

  begin(): Writer {
    return this.output.begin()
  }

  commit(): void {
    if (this.phase === 'closed') return
    const payload = this.output.payload()
    const number = payload[0]!
    if (this.log.debug3 && !isNoisy(number)) this.log.debug3(`send packet: type ${number}`)
    if (this.keying.sending === 'held' && !isOfExchange(number)) this.queue.add(payload)
    else this.seal(number)
    if (this.queue.overflown) {
      this.fail(new ProtocolError('limit-exceeded', 'too many messages wait for the end of a key exchange'))
    }
  }

  private seal(number: number): void {
    this.outbox.added(this.output.seal(this.outbox.chunks))
    if (layerOf(number) === 'userauth') this.output.wipe()
    if (this.outbox.full) this.wasWritable = false
    // An exchange must not begin while one of its own messages is being sent.
    if (!isOfExchange(number)) this.keying.checkLimits()
  }

  private sendQueued(): void {
    while (this.keying.sending === 'free') {
      const item = this.queue.take()
      if (!item) return
      if (item === 'authenticated') {
        this.keying.authenticated()
        continue
      }
      this.begin().bytes(item)
      this.seal(item[0]!)
    }
  }

  unimplemented(): void {
    this.send(messages.Unimplemented, { sequence: this.input.lastSequence })
  }

  authenticated(): void {
    // A USERAUTH_SUCCESS that waits for the end of a key exchange must not be compressed itself.
    if (this.role === 'server' && !this.queue.empty) this.queue.addMark('authenticated')
    else this.keying.authenticated()
  }

  private tellWritable(): void {
    if (this.wasWritable || !this.writable) return
    this.wasWritable = true
    this.handlers.writable()
  }

  private sendRaw(text: string): void {
    const bytes = Buffer.from(text, 'latin1')
    this.outbox.chunks.push(bytes)
    this.outbox.added(bytes.length)
  }

  // ---- the end ----

  disconnect(reason: number, description: string): void {
    this.fail(new DisconnectError('by-us', reason, description))
  }

  fail(error: SshError): void {
    if (this.phase === 'closed') return
    const farewell = farewellOf(error)
    if (this.phase === 'identification' && farewell?.plain) {
      if (this.role === 'server') this.sendRaw(`${farewell.plain}\r\n`)
    } else if (farewell) {
      const value = { reason: farewell.reason, description: farewell.description, language: '' }
      this.trace('out', messages.Disconnect, value)
      messages.Disconnect.write(this.begin(), value)
      this.outbox.added(this.output.seal(this.outbox.chunks))
    }
    this.finish(error)
  }

  private finish(error: SshError): void {
    if (this.phase === 'closed') return
    this.phase = 'closed'
    this.outbox.handOver()
    this.output.wipe()
    this.queue.clear()
    this.keying.end(error)
    this.settle()
    this.handlers.closed(error)
  }

  // ---- logs ----

  trace(direction: 'in' | 'out', message: AnyMessage, value: unknown): void {
    this.log.debug3?.(`${direction === 'in' ? '<' : '>'} ${sanitize(message.describe(value), true)}`)
  }
}

function resumption(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined
  const promise = new Promise<void>(settled => {
    resolve = settled
  })
  return { promise, resolve }
}

/**
 * Makes a Transport and sends our identification and KEXINIT at once, without waiting for the peer's.
 * @throws UsageError when the software version is no identification, or a server has no usable host key
 */
export function createTransport(options: TransportOptions): Transport {
  return new SshTransport(options)
}
