import type { Exchange } from '../wire/exchange.ts'

export type KexHash = 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'

/** What both sides know at the end of a key exchange. */
export interface KexSecret {
  /** K as it enters the exchange hash and the key derivation: already an mpint or a string with its length. */
  readonly sharedSecret: Buffer
  /** What enters the exchange hash between K_S and K, each field with its length (RFC 4253 §8). */
  readonly transcript: Buffer
}

/** A client's outcome, which it checks before it believes: signature by the host key over the exchange hash. */
export interface KexReply extends KexSecret {
  /** K_S, the host key blob. */
  readonly hostKey: Buffer
  readonly signature: Buffer
}

/** A server's half of the proof. */
export interface KexHost {
  /** K_S. */
  readonly hostKey: Buffer
  /** Computes the exchange hash and signs it with the negotiated algorithm. */
  sign(secret: KexSecret): Promise<Buffer>
  /** Safe-prime groups for DH group exchange (RFC 4419): `{ p, g }` magnitudes, or undefined when none fits. */
  chooseGroup?(min: number, preferred: number, max: number): { readonly p: Buffer; readonly g: Buffer } | undefined
}

/** A key exchange method (RFC 4253 §7, §8). Peer values are checked inside it: range, point on curve, small order. */
export interface KexMethod {
  readonly name: string
  readonly hash: KexHash
  /** Starts costly work (key generation, cold code) before the peer's KEXINIT is there. Optional, idempotent. */
  prepare?(): void
  /** `secretBits` is what the longest key to derive asks for: methods whose strength is not fixed follow it. */
  client(exchange: Exchange, secretBits: number): Promise<KexReply>
  server(exchange: Exchange, host: KexHost, secretBits: number): Promise<KexSecret>
}
