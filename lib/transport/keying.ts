import type { PacketOpener } from '../algorithms/cipher.ts'
import { fillPadding } from '../crypto/random.ts'
import { ProtocolError, type SshError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { AnyMessage, Message } from '../wire/message.ts'
import { encode } from '../wire/writer.ts'
import type { Situation } from './admission.ts'
import { MessageExchange } from './exchange.ts'
import { extensionsOf } from './extensions.ts'
import { exchangeAsClient, exchangeAsServer, exchangeError, type KeyExchangeResult } from './key-exchange.ts'
import { logNegotiated, logProposals } from './logging.ts'
import * as messages from './messages.ts'
import { type PacketInput, type PacketOutput, plainSealer } from './packet.ts'
import { type DirectionAlgorithms, hostKeyAlgorithmsOf, markersOf, negotiate, propose } from './proposal.ts'
import { DirectionLimit } from './rekey-limits.ts'
import type { NegotiatedAlgorithms, TransportOptions } from './transport.ts'

/** Smallest RSA host key a client takes, in bits, when the caller says nothing (RequiredRSASize). */
const defaultRequiredRsaBits = 1024
const cookieLength = 16
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
  incoming?: { readonly opener: PacketOpener; readonly algorithms: DirectionAlgorithms }
}

/** What the keys of a connection need of the transport that carries their messages. */
export interface KeyingCarrier {
  readonly input: PacketInput
  readonly output: PacketOutput
  readonly situation: { -readonly [K in keyof Situation]: Situation[K] }
  readonly log: Log
  identifications(): { readonly ours: string; readonly peers: string }
  send<T>(message: Message<T>, value: T): void
  trace(direction: 'in' | 'out', message: AnyMessage, value: unknown): void
  /** Our KEXINIT goes out: other messages wait. */
  holding(): void
  /** Our NEWKEYS is out: they may follow. */
  released(): void
  /** The peer's NEWKEYS came. */
  complete(initial: boolean): void
  /** What held packets back may be over. */
  resume(): void
  fail(error: SshError): void
}

/**
 * The keys of one connection: when they are exchanged, the exchange that runs, and their coming into use in either
 * direction, with compression, which begins anew under each (RFC 4253 §6.2, §7, §9).
 */
export class Keying {
  /** Between our KEXINIT and our NEWKEYS: only messages of the exchange may be sent. */
  sending: 'free' | 'held' = 'free'
  negotiated: NegotiatedAlgorithms | undefined
  sessionId: Buffer | undefined
  hostKey: Buffer | undefined

  private readonly options: TransportOptions
  private readonly carrier: KeyingCarrier
  private readonly log: Log
  private readonly situation: KeyingCarrier['situation']
  private readonly input: PacketInput
  private readonly output: PacketOutput
  private running: RunningExchange | undefined
  private peerTakesExtInfo = false
  private current: { in?: DirectionAlgorithms; out?: DirectionAlgorithms } = {}
  private limits: { in: DirectionLimit; out: DirectionLimit }
  private timer: ReturnType<typeof setTimeout> | undefined
  private rekeyWanted = false
  private ended = false

  constructor(options: TransportOptions, carrier: KeyingCarrier) {
    this.options = options
    this.carrier = carrier
    this.log = carrier.log
    this.situation = carrier.situation
    this.input = carrier.input
    this.output = carrier.output
    const unlimited = new DirectionLimit(options.rekeyLimit ?? {}, undefined, plainSealer.blockLength)
    this.limits = { in: unlimited, out: unlimited }
  }

  /** An exchange runs whose method does not await a message at this moment: packets are held back. */
  get busy(): boolean {
    return this.situation.exchange === 'running' && !this.running?.conversation?.ready
  }

  rekey(): void {
    // One that runs already gives new keys; before authentication it has to wait.
    if (this.running && !this.situation.initial) return
    this.rekeyWanted = true
    this.checkLimits()
  }

  /**
   * Sends our KEXINIT (RFC 4253 §7.1); from now on other messages wait.
   * @throws UsageError when a server has no usable host key
   */
  start(): void {
    const { situation, options, carrier } = this
    const hostKeys = hostKeyAlgorithmsOf(options)
    const ours = propose(options.role, options.algorithms, hostKeys, newCookie(), situation.initial)
    this.running = { ours, ourPayload: encode(writer => messages.KexInit.write(writer, ours)), ignoreGuess: false }
    this.rekeyWanted = false
    situation.exchange = 'offered'
    this.sending = 'held'
    carrier.holding()
    carrier.send(messages.KexInit, ours)
    this.log.debug1?.('SSH2_MSG_KEXINIT sent')
  }

  processKexInit(payload: Buffer): void {
    this.log.debug1?.('SSH2_MSG_KEXINIT received')
    const { situation } = this
    const theirs = this.read(messages.KexInit, payload)
    if (situation.exchange === 'idle') this.start()
    if (situation.initial) {
      const { extInfo, strict } = markersOf(this.options.role, theirs)
      this.peerTakesExtInfo = extInfo
      situation.strict = strict
      if (situation.strict) this.log.debug3?.('will use strict KEX ordering')
      if (situation.strict && this.input.lastSequence !== 0) {
        throw strictViolation('KEXINIT was not the first packet', this.input.lastSequence)
      }
    }
    this.run(this.running!, theirs, payload)
  }

  private run(running: RunningExchange, theirs: messages.KexInitFields, theirPayload: Buffer): void {
    const { situation, options, carrier } = this
    logProposals(this.log, options.role, running.ours, theirs)
    const negotiation = negotiate(options.role, options.algorithms, running.ours, theirs, situation.strict)
    this.negotiated = negotiation.names
    logNegotiated(this.log, negotiation.names)
    running.ignoreGuess = negotiation.wrongGuess
    const conversation = new MessageExchange({
      send: (message, value) => carrier.send(message, value),
      waiting: awaited => {
        this.log.debug1?.(`expecting ${awaited.map(({ name }) => `SSH2_MSG_${name}`).join(' or ')}`)
        carrier.resume()
      },
      trace: (message, value) => {
        carrier.trace('in', message, value)
        this.log.debug1?.(`SSH2_MSG_${message.name} received`)
      },
    })
    running.conversation = conversation
    situation.exchange = 'running'
    const { ours, peers } = carrier.identifications()
    const client = options.role === 'client'
    const context = {
      exchange: conversation,
      negotiation,
      clientIdentification: client ? ours : peers,
      serverIdentification: client ? peers : ours,
      clientKexInit: client ? running.ourPayload : theirPayload,
      serverKexInit: client ? theirPayload : running.ourPayload,
      sessionId: this.sessionId,
    }
    const result =
      options.role === 'client'
        ? exchangeAsClient(context, {
            verifyHostKey: options.verifyHostKey,
            requiredRsaBits: options.requiredRsaBits ?? defaultRequiredRsaBits,
            knownHostKey: this.hostKey,
          })
        : exchangeAsServer(
            context,
            options.hostKeys.find(signer => signer.algorithms.includes(negotiation.names.hostKey))!,
            options.chooseGroup,
          )
    result
      .then(outcome => this.exchanged(running, outcome))
      .catch((error: unknown) => carrier.fail(exchangeError(error)))
  }

  processKex(number: number, payload: Buffer): void {
    const running = this.running!
    if (running.ignoreGuess) running.ignoreGuess = false
    else running.conversation!.deliver(number, payload)
  }

  /** The secret is known and the host key accepted: NEWKEYS goes out, and what follows it is under the new keys. */
  private exchanged(running: RunningExchange, { sessionId, hostKey, keys }: KeyExchangeResult): void {
    if (this.ended) return
    this.sessionId = sessionId
    this.hostKey = hostKey
    const { carrier, options } = this
    const client = options.role === 'client'
    const outgoing = client ? keys.clientToServer : keys.serverToClient
    const incoming = client ? keys.serverToClient : keys.clientToServer
    const { strict, initial, authenticated } = this.situation
    const sealer = outgoing.algorithms.cipher.createSealer(outgoing.cipherKeys)
    const opener = incoming.algorithms.cipher.createOpener(incoming.cipherKeys)
    running.incoming = { opener, algorithms: incoming.algorithms }

    carrier.send(messages.NewKeys, {})
    if (strict) this.log.debug1?.(`resetting send seqnr ${this.output.nextSequence}`)
    this.log.debug1?.('SSH2_MSG_NEWKEYS sent')
    this.output.setKeys(sealer, strict)
    this.current.out = outgoing.algorithms
    if (authenticated || !outgoing.algorithms.compression.delayed) this.startCompressing()
    this.limits.out = this.directionLimit('out', outgoing.algorithms, sealer.blockLength)

    this.situation.exchange = 'newkeys'
    this.sending = 'free'
    if (initial && this.peerTakesExtInfo) {
      this.log.debug1?.('Sending SSH2_MSG_EXT_INFO')
      carrier.send(messages.ExtInfo, { extensions: extensionsOf(options) })
    }
    this.log.debug1?.('expecting SSH2_MSG_NEWKEYS')
    carrier.released()
  }

  processNewKeys(payload: Buffer): void {
    this.read(messages.NewKeys, payload)
    const { situation } = this
    const { initial, strict, authenticated } = situation
    if (strict) this.log.debug1?.(`resetting read seqnr ${this.input.lastSequence + 1}`)
    this.log.debug1?.('SSH2_MSG_NEWKEYS received')
    const { opener, algorithms } = this.running!.incoming!
    this.input.setKeys(opener, strict)
    this.current.in = algorithms
    if (authenticated || !algorithms.compression.delayed) this.startDecompressing()
    this.limits = { in: this.directionLimit('in', algorithms, opener.blockLength), out: this.limits.out }
    this.running = undefined
    situation.exchange = 'idle'
    this.startTimer()
    situation.initial = false
    if (initial) situation.afterNewKeys = true
    this.carrier.complete(initial)
  }

  /** Delayed compression begins, and keys may be exchanged again. */
  authenticated(): void {
    if (this.situation.authenticated) return
    this.situation.authenticated = true
    if (this.current.out?.compression.delayed) this.startCompressing()
    if (this.current.in?.compression.delayed) this.startDecompressing()
    this.checkLimits()
  }

  /** After each packet in or out: whether it is time for new keys (RFC 4253 §9). */
  checkLimits(): void {
    const { situation, limits, input, output } = this
    if (this.ended) return
    if (!situation.authenticated) {
      if (limits.out.exceeded(output.traffic) || limits.in.exceeded(input.traffic)) {
        this.carrier.fail(new ProtocolError('limit-exceeded', 'rekey limit exceeded before authentication completed'))
      }
    } else if (situation.exchange === 'idle') {
      const due = limits.out.reached(output.traffic) || limits.in.reached(input.traffic)
      if (due || this.rekeyWanted) this.start()
    }
  }

  /** The connection ended: nothing is exchanged any more. */
  end(error: SshError): void {
    this.ended = true
    clearTimeout(this.timer)
    this.running?.conversation?.end(error)
    this.running = undefined
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

  private startCompressing(): void {
    this.output.compressor = this.current.out?.compression.createCompressor?.()
  }

  private startDecompressing(): void {
    this.input.decompressor = this.current.in?.compression.createDecompressor?.()
  }

  private read<T>(message: Message<T>, payload: Buffer): T {
    const value = message.read(payload)
    this.carrier.trace('in', message, value)
    return value
  }
}

function newCookie(): Buffer {
  const cookie = Buffer.allocUnsafe(cookieLength)
  fillPadding(cookie, 0, cookieLength)
  return cookie
}

/** What ends a connection whose peer breaks strict key exchange (PROTOCOL §1.9). `sequence` is of the packet. */
export function strictViolation(what: string, sequence: number): ProtocolError {
  return new ProtocolError('strict-kex-violation', `strict KEX violation: ${what} (seqnr ${sequence})`)
}
