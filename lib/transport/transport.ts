import type { Algorithms } from '../algorithms/index.ts'
import type { SshError } from '../errors.ts'
import type { Certificate } from '../keys/certificate.ts'
import type { PublicKey } from '../keys/public-key.ts'
import type { Signer } from '../keys/signer.ts'
import type { X509Chain } from '../keys/x509/chain.ts'
import type { Log } from '../log.ts'
import type { AnyMessage, Message } from '../wire/message.ts'
import type { Writer } from '../wire/writer.ts'

/** Names chosen for both directions (RFC 4253 §7.1). */
export interface NegotiatedAlgorithms {
  readonly kex: string
  readonly hostKey: string
  readonly clientToServer: { readonly cipher: string; readonly mac: string; readonly compression: string }
  readonly serverToClient: { readonly cipher: string; readonly mac: string; readonly compression: string }
  readonly strict: boolean
}

/** The key that a server showed, its signature over the exchange hash already verified. */
export interface HostKeyProof {
  readonly publicKey: PublicKey
  /**
   * Set when the server showed a certificate: signed by the authority it names, and nothing else is known about it. A
   * verifier that trusts the authority calls `checkCertificate`; any other judges `publicKey` alone.
   */
  readonly certificate?: Certificate
  /** Set when the server showed X.509 certificates. Nothing is known about them but that the first has `publicKey`. */
  readonly x509?: X509Chain
  /** The negotiated host key algorithm. */
  readonly algorithm: string
  /** What proved it, to be shown to others (an agent's session-bind@openssh.com). The transport always sets it. */
  readonly evidence?: HostKeyEvidence
}

/** A host key's signature of an exchange hash, which after the first exchange is the session identifier (RFC 4253 §7.2). */
export interface HostKeyEvidence {
  /** The key or certificate as the server showed it. */
  readonly blob: Buffer
  readonly exchangeHash: Buffer
  /** Encoded: string format, string bytes. */
  readonly signature: Buffer
}

/** A client's judgement of a host key: resolves to accept. @throws HostKeyError to refuse. */
export type HostKeyVerifier = (proof: HostKeyProof) => void | Promise<void>

export interface RekeyLimit {
  /** Bytes sent or received under one set of keys. Default 1 GiB, or less where the cipher asks for it (RFC 4344 §3.2). */
  readonly bytes?: number
  readonly packets?: number
  readonly seconds?: number
}

/** What the layers above and the byte stream below give to a Transport. */
export interface TransportHandlers {
  /**
   * Takes sealed bytes in order, at most once per microtask. Returns false when the stream below is congested; the
   * stream then calls `Transport.outputDrained()`.
   */
  output(chunks: Buffer[]): boolean
  /** The first key exchange is done: `sessionId` and `negotiated` are there. */
  open(): void
  /** A message of layer `service` or `userauth`. While a returned promise is pending, no further packet is taken. */
  authentication(number: number, payload: Buffer): void | Promise<void>
  /** A message of layer `connection` (80..127, after authentication). Returns at once. */
  connection(number: number, payload: Buffer): void
  /** `writable` became true again. */
  writable(): void
  /** Keys were exchanged again. */
  rekeyed?(): void
  /** The end, exactly once: everything that will arrive has arrived. A DISCONNECT by either side is a DisconnectError. */
  closed(error: SshError): void
}

interface CommonOptions {
  readonly algorithms: Algorithms
  /** As in RFC 4253 §4.2: `tssh_0.1.0`; and an optional comment after a space. */
  readonly softwareVersion: string
  readonly versionComment?: string
  readonly rekeyLimit?: RekeyLimit
  readonly log?: Log
  readonly handlers: TransportHandlers
}

export interface ClientTransportOptions extends CommonOptions {
  readonly role: 'client'
  readonly verifyHostKey: HostKeyVerifier
  /** RSA host keys below this many bits are refused (RequiredRSASize, default 1024). */
  readonly requiredRsaBits?: number
}

export interface ServerTransportOptions extends CommonOptions {
  readonly role: 'server'
  /** Plain keys and, as `certifiedSigner`, certificates: each is a Signer of its own. */
  readonly hostKeys: readonly Signer[]
  /** Signature algorithm names for the `server-sig-algs` extension (RFC 8308 §3.1). */
  readonly signatureAlgorithms: readonly string[]
  /** Safe-prime groups for DH group exchange. */
  readonly chooseGroup?: (min: number, preferred: number, max: number) => { p: Buffer; g: Buffer } | undefined
}

export type TransportOptions = ClientTransportOptions | ServerTransportOptions

export type TransportPhase = 'identification' | 'key-exchange' | 'open' | 'closed'

/**
 * RFC 4253: bytes in, messages out, bytes out. Owns keys, sequence numbers, rekeying and the legality of messages.
 * It never opens, reads or awaits a socket. `createTransport` makes one and sends our identification at once.
 */
export interface Transport {
  readonly role: 'client' | 'server'
  readonly phase: TransportPhase
  /** H of the first key exchange, for ever (RFC 4253 §7.2). @throws UsageError before `open`. */
  readonly sessionId: Buffer
  readonly negotiated: NegotiatedAlgorithms
  /** The peer's identification without CR LF; '' until it came. */
  readonly peerIdentification: string
  readonly ourIdentification: string
  /** The host key of this connection (client: verified; server: ours), for `publickey-hostbound-v00@openssh.com`. */
  readonly hostKey: Buffer
  /** Extensions the peer announced by EXT_INFO (RFC 8308): name to value. */
  readonly peerExtensions: ReadonlyMap<string, Buffer>
  /** False while a key exchange runs, the output batch exceeds its bound, or the stream below is congested. */
  readonly writable: boolean
  /** Bytes sealed and opened so far, packets and rekeys: for statistics (~I) and logs. */
  readonly statistics: { bytesIn: number; bytesOut: number; packetsIn: number; packetsOut: number; rekeys: number }

  /**
   * Takes bytes from the stream, whose memory may be used again afterwards. A returned promise asks the stream to pause
   * until it settles; it never rejects.
   */
  receive(chunk: Buffer): Promise<void> | undefined
  /** The stream below ended (no error) or failed. */
  ended(error?: Error): void
  outputDrained(): void

  /** Sends a message; messages above 49 wait in a bounded queue while keys are exchanged. */
  send<T>(message: Message<T>, value: T): void
  /**
   * The hot path: `begin()` gives a Writer to which the caller appends one whole payload (number first) and then calls
   * `commit()`, before anything else is sent.
   */
  begin(): Writer
  commit(): void
  /** Answers with UNIMPLEMENTED for the packet being handled (RFC 4253 §11.4). */
  unimplemented(): void
  /** From now on `connection` messages are legal, `userauth` ones are not, and delayed compression runs. */
  authenticated(): void
  rekey(): void
  /** Sends DISCONNECT, flushes, and closes. Later calls do nothing. */
  disconnect(reason: number, description: string): void
  /** Ends with an error: DISCONNECT with the reason that fits its class and code, then `closed(error)`. */
  fail(error: SshError): void
  /** Logs a message at debug3 by its name and fields, secrets left out. For layers that read messages themselves. */
  trace(direction: 'in' | 'out', message: AnyMessage, value: unknown): void
}
