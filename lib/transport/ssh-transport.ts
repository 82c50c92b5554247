import { fillPadding, randomBytes } from '../crypto/random.ts'
import { ConnectionLostError, DisconnectError, ProtocolError, type SshError, sanitize, UsageError } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import type { AnyMessage, Message } from '../wire/message.ts'
import { encode, type Writer } from '../wire/writer.ts'
import { admit, isOfExchange, layerOf, type Situation } from './admission.ts'
import { asSshError, farewellOf } from './ending.ts'
import { MessageExchange } from './exchange.ts'
import { extensionsOf, takeExtensions } from './extensions.ts'
import { type Identification, IdentificationReader, identificationLine } from './identification.ts'
import { exchangeAsClient, exchangeAsServer, exchangeError, type KeyExchangeResult } from './key-exchange.ts'
import { isNoisy, logNegotiated, logProposals } from './logging.ts'
import * as messages from './messages.ts'
import { Outbox } from './outbox.ts'
import { type InputKeys, PacketInput, PacketOutput, plainSealer } from './packet.ts'
import { type DirectionAlgorithms, hostKeyAlgorithmsOf, markersOf, negotiate, propose } from './proposal.ts'
import { DirectionLimit } from './rekey-limits.ts'
import { SendQueue } from './send-queue.ts'
import type {
  NegotiatedAlgorithms,
  Transport,
  TransportHandlers,
  TransportOptions,
  TransportPhase,
} from './transport.ts'

/** Smallest RSA host key a client takes, in bits, when the caller says nothing (RequiredRSASize). */
const defaultRequiredRsaBits = 1024
/** Characters shown of a text in DISCONNECT or DEBUG. */
const maxPeerText = 1024
/** What setTimeout can wait, in seconds. */
const maxTimerSeconds = 2_000_000

/** One key exchange, from the first KEXINIT to the peer's NEWKEYS. */
interface RunningExchange {
  readonly ours: messages.KexInitFields
  readonly ourPayload: Buffer
  conversation?: MessageExchange
  /** The peer guessed another method: its next key exchange packet is dropped. */
  ignoreGuess: boolean
  /** Waits for the peer's NEWKEYS. */
  incoming?: { readonly keys: InputKeys; readonly algorithms: DirectionAlgorithms }
}

export class SshTransport implements Transport {
  readonly role: 'client' | 'server'
  readonly ourIdentification: string
  readonly peerExtensions = new Map<string, Buffer>()
  phase: TransportPhase = 'identification'
  peerIdentification = ''

  private readonly options: TransportOptions
  private readonly handlers: TransportHandlers
  private readonly log: Log
  /** Host key algorithm names of our proposal. */
  private readonly hostKeyAlgorithms: readonly string[]
  private readonly identification: IdentificationReader
  private readonly input = new PacketInput()
  private readonly output = new PacketOutput(fillPadding)
  private readonly outbox: Outbox
  private readonly queue = new SendQueue()
  private readonly situation: { -readonly [K in keyof Situation]: Situation[K] }
  private exchange: RunningExchange | undefined
  /** Between our KEXINIT and our NEWKEYS: only messages of the exchange may be sent. */
  private sending: 'free' | 'held' = 'free'
  private peerTakesExtInfo = false
  private current: { in?: DirectionAlgorithms; out?: DirectionAlgorithms } = {}
  private limits: { in: DirectionLimit; out: DirectionLimit }
  private timer: ReturnType<typeof setTimeout> | undefined
  private rekeyWanted = false
  private rekeys = 0
  private wasWritable = false

  private pump: 'resting' | 'running' = 'resting'
  private handlerPending = false
  private resumption: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined
  private endedWith: ConnectionLostError | undefined

  private negotiatedNames: NegotiatedAlgorithms | undefined
  private session: Buffer | undefined
  private hostKeyBlob: Buffer | undefined

  constructor(options: TransportOptions) {
    this.options = options
    this.role = options.role
    this.handlers = options.handlers
    this.log = options.log ?? silentLog
    this.hostKeyAlgorithms = hostKeyAlgorithmsOf(options)
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
    const unlimited = new DirectionLimit(options.rekeyLimit ?? {}, undefined, plainSealer.blockLength)
    this.limits = { in: unlimited, out: unlimited }
    this.outbox = new Outbox(
      chunks => this.handlers.output(chunks),
      () => this.outputFlushed(),
    )
    this.log.debug1?.(`Local version string ${this.ourIdentification}`)
    this.sendRaw(`${this.ourIdentification}\r\n`)
    this.startExchange()
    // After the identification is on its way: the peer's answer takes longer than the preparation.
    if (this.role === 'client') queueMicrotask(() => options.algorithms.kex[0]?.prepare?.())
  }

  get sessionId(): Buffer {
    return this.known(this.session)
  }

  get negotiated(): NegotiatedAlgorithms {
    return this.known(this.negotiatedNames)
  }

  get hostKey(): Buffer {
    return this.known(this.hostKeyBlob)
  }

  private known<T>(value: T | undefined): T {
    if (value === undefined) throw new UsageError('the first key exchange is not done')
    return value
  }

  get writable(): boolean {
    return this.phase === 'open' && this.sending === 'free' && !this.outbox.full
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
    if (this.phase !== 'identification') {
      this.input.push(chunk)
      return this.runPump()
    }
    try {
      const found = this.identification.read(chunk)
      if (!found) return undefined
      this.identified(found.identification)
      this.input.push(found.rest)
    } catch (error) {
      this.fail(asSshError(error))
      return undefined
    }
    return this.runPump()
  }

  private identified({ line, protocolVersion, softwareVersion }: Identification): void {
    this.peerIdentification = line
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

  private outputFlushed(): void {
    if (this.phase === 'closed') return
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
    if (this.situation.exchange === 'running' && !this.exchange?.conversation?.ready) return true
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
        throw this.strictViolation(`unexpected packet type ${number}`)
      case 'unexpected':
        throw new ProtocolError('unexpected-message', `unexpected packet type ${number}`)
    }
    this.checkLimits()
  }

  private strictViolation(what: string): ProtocolError {
    const text = `strict KEX violation: ${what} (seqnr ${this.input.lastSequence})`
    return new ProtocolError('strict-kex-violation', text)
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
        this.processKex(number, payload)
        break
      case 'negotiation':
        this.processKexInit(payload)
        break
      case 'newkeys':
        this.processNewKeys(payload)
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
      this.finish(new DisconnectError('by-peer', reason, sanitize(description.slice(0, maxPeerText))))
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
  private resume(): void {
    if (this.phase !== 'closed') this.runPump()
  }

  // ---- key exchange ----

  rekey(): void {
    // One that runs already gives new keys; before authentication it has to wait.
    if (this.exchange && !this.situation.initial) return
    this.rekeyWanted = true
    this.checkLimits()
  }

  /** Sends our KEXINIT (RFC 4253 §7.1); from now on other messages wait. */
  private startExchange(): void {
    const { initial } = this.situation
    const ours = propose(this.role, this.options.algorithms, this.hostKeyAlgorithms, randomBytes(16), initial)
    this.exchange = { ours, ourPayload: encode(writer => messages.KexInit.write(writer, ours)), ignoreGuess: false }
    this.rekeyWanted = false
    this.situation.exchange = 'offered'
    this.sending = 'held'
    this.wasWritable = false
    this.send(messages.KexInit, ours)
    this.log.debug1?.('SSH2_MSG_KEXINIT sent')
  }

  private processKexInit(payload: Buffer): void {
    this.log.debug1?.('SSH2_MSG_KEXINIT received')
    const { situation } = this
    const theirs = this.read(messages.KexInit, payload)
    if (situation.exchange === 'idle') this.startExchange()
    if (situation.initial) {
      const { extInfo, strict } = markersOf(this.role, theirs)
      this.peerTakesExtInfo = extInfo
      situation.strict = strict
      if (situation.strict) this.log.debug3?.('will use strict KEX ordering')
      if (situation.strict && this.input.lastSequence !== 0) {
        throw this.strictViolation('KEXINIT was not the first packet')
      }
    }
    this.runExchange(this.exchange!, theirs, payload)
  }

  private runExchange(running: RunningExchange, theirs: messages.KexInitFields, theirPayload: Buffer): void {
    const { role, situation, options } = this
    logProposals(this.log, role, running.ours, theirs)
    const negotiation = negotiate(role, options.algorithms, running.ours, theirs, situation.strict)
    this.negotiatedNames = negotiation.names
    logNegotiated(this.log, negotiation.names)
    running.ignoreGuess = negotiation.wrongGuess
    const conversation = new MessageExchange({
      send: (message, value) => this.send(message, value),
      waiting: awaited => {
        this.log.debug1?.(`expecting ${awaited.map(({ name }) => `SSH2_MSG_${name}`).join(' or ')}`)
        this.resume()
      },
      trace: (message, value) => this.trace('in', message, value),
    })
    running.conversation = conversation
    situation.exchange = 'running'
    const client = role === 'client'
    const context = {
      exchange: conversation,
      negotiation,
      clientIdentification: client ? this.ourIdentification : this.peerIdentification,
      serverIdentification: client ? this.peerIdentification : this.ourIdentification,
      clientKexInit: client ? running.ourPayload : theirPayload,
      serverKexInit: client ? theirPayload : running.ourPayload,
      sessionId: this.session,
    }
    const result =
      options.role === 'client'
        ? exchangeAsClient(context, {
            verifyHostKey: options.verifyHostKey,
            requiredRsaBits: options.requiredRsaBits ?? defaultRequiredRsaBits,
            knownHostKey: this.hostKeyBlob,
          })
        : exchangeAsServer(
            context,
            options.hostKeys.find(signer => signer.algorithms.includes(negotiation.names.hostKey))!,
            options.chooseGroup,
          )
    result.then(outcome => this.exchanged(running, outcome)).catch((error: unknown) => this.fail(exchangeError(error)))
  }

  private processKex(number: number, payload: Buffer): void {
    const running = this.exchange!
    if (running.ignoreGuess) running.ignoreGuess = false
    else running.conversation!.deliver(number, payload)
  }

  /** The secret is known and the host key accepted: NEWKEYS goes out, and what follows it is under the new keys. */
  private exchanged(running: RunningExchange, { sessionId, hostKey, keys }: KeyExchangeResult): void {
    if (this.phase === 'closed') return
    this.session = sessionId
    this.hostKeyBlob = hostKey
    const client = this.role === 'client'
    const outgoing = client ? keys.clientToServer : keys.serverToClient
    const incoming = client ? keys.serverToClient : keys.clientToServer
    const { strict, initial, authenticated } = this.situation
    const sealer = outgoing.algorithms.cipher.createSealer(outgoing.cipherKeys)
    const opener = incoming.algorithms.cipher.createOpener(incoming.cipherKeys)
    const hideErrors = incoming.algorithms.cipher.name.endsWith('-cbc') && !opener.lengthApart
    running.incoming = { keys: { opener, hideErrors }, algorithms: incoming.algorithms }

    this.send(messages.NewKeys, {})
    this.log.debug1?.('SSH2_MSG_NEWKEYS sent')
    this.output.setKeys(sealer, strict)
    this.current.out = outgoing.algorithms
    if (authenticated || !outgoing.algorithms.compression.delayed) this.startCompressing()
    this.limits.out = this.directionLimit('out', outgoing.algorithms, sealer.blockLength)

    this.situation.exchange = 'newkeys'
    this.sending = 'free'
    if (initial && this.peerTakesExtInfo) {
      this.log.debug1?.('Sending SSH2_MSG_EXT_INFO')
      this.send(messages.ExtInfo, { extensions: extensionsOf(this.options) })
    }
    this.log.debug1?.('expecting SSH2_MSG_NEWKEYS')
    this.sendQueued()
    this.tellWritable()
    this.resume()
  }

  private processNewKeys(payload: Buffer): void {
    this.read(messages.NewKeys, payload)
    this.log.debug1?.('SSH2_MSG_NEWKEYS received')
    const { situation } = this
    const { keys, algorithms } = this.exchange!.incoming!
    this.input.setKeys(keys, situation.strict)
    this.current.in = algorithms
    if (situation.authenticated || !algorithms.compression.delayed) this.startDecompressing()
    const limit = this.directionLimit('in', algorithms, keys.opener.blockLength)
    this.limits = { in: limit, out: this.limits.out }
    this.exchange = undefined
    situation.exchange = 'idle'
    this.startTimer()
    if (situation.initial) {
      situation.initial = false
      situation.afterNewKeys = true
      this.phase = 'open'
      this.wasWritable = this.writable
      this.handlers.open()
    } else {
      this.rekeys++
      this.handlers.rekeyed?.()
    }
  }

  private directionLimit(way: 'in' | 'out', { cipher }: DirectionAlgorithms, blockLength: number): DirectionLimit {
    const limit = new DirectionLimit(this.options.rekeyLimit ?? {}, cipher, blockLength)
    this.log.debug1?.(`rekey ${way} after ${Math.floor(limit.bytes / blockLength)} blocks`)
    return limit
  }

  private startTimer(): void {
    clearTimeout(this.timer)
    const seconds = this.options.rekeyLimit?.seconds
    if (!seconds) return
    this.timer = setTimeout(() => this.rekey(), Math.min(seconds, maxTimerSeconds) * 1000)
    this.timer.unref()
  }

  /** After each packet in or out: whether it is time for new keys (RFC 4253 §9). */
  private checkLimits(): void {
    const { situation, limits, input, output } = this
    if (this.phase === 'closed') return
    if (!situation.authenticated) {
      if (limits.out.exceeded(output.traffic) || limits.in.exceeded(input.traffic)) {
        this.fail(new ProtocolError('limit-exceeded', 'rekey limit exceeded before authentication completed'))
      }
    } else if (situation.exchange === 'idle') {
      const due = limits.out.reached(output.traffic) || limits.in.reached(input.traffic)
      if (due || this.rekeyWanted) this.startExchange()
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
    if (this.sending === 'held' && !isOfExchange(number)) this.queue.add(payload)
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
    if (!isOfExchange(number)) this.checkLimits()
  }

  private sendQueued(): void {
    while (this.sending === 'free') {
      const item = this.queue.take()
      if (!item) return
      if (item === 'authenticated') {
        this.becomeAuthenticated()
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
    else this.becomeAuthenticated()
  }

  private becomeAuthenticated(): void {
    if (this.situation.authenticated) return
    this.situation.authenticated = true
    if (this.current.out?.compression.delayed) this.startCompressing()
    if (this.current.in?.compression.delayed) this.startDecompressing()
    this.checkLimits()
  }

  private startCompressing(): void {
    this.output.compressor = this.current.out?.compression.createCompressor?.()
  }

  private startDecompressing(): void {
    this.input.decompressor = this.current.in?.compression.createDecompressor?.()
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
    clearTimeout(this.timer)
    this.outbox.handOver()
    this.output.wipe()
    this.queue.clear()
    this.exchange?.conversation?.end(error)
    this.exchange = undefined
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
