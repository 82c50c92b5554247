import type { HashName } from './hash.ts'

/** The numbers of keys, and what is done with them. */

/** What checks signatures under a public key. Malformed signatures are false. */
export type Verifier = (hash: HashName | undefined, data: Buffer, signature: Buffer) => boolean
/** What signs with a private key. */
export type SigningKey = (hash: HashName | undefined, data: Buffer) => Buffer

export type EdwardsCurve = 'ed25519' | 'ed448'

export interface EdwardsPrivate {
  readonly seed: Buffer
  readonly publicValue: Buffer
}

export type EcdsaCurve = 'nistp256' | 'nistp384' | 'nistp521' | 'secp256k1'

export interface EcdsaPrivate {
  readonly curve: EcdsaCurve
  readonly point: Buffer
  /** Fixed length, big-endian. */
  readonly scalar: Buffer
}

/** Magnitudes, big-endian, without leading zeros. */
export interface RsaPublic {
  readonly n: Buffer
  readonly e: Buffer
}

export interface RsaPrivate extends RsaPublic {
  readonly d: Buffer
  readonly p: Buffer
  readonly q: Buffer
  /** The inverse of q modulo p. */
  readonly iqmp: Buffer
}
