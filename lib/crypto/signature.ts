import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import type { HashName } from './hash.ts'

/** What checks signatures under a public key. Malformed signatures are false. */
export type Verifier = (hash: HashName | undefined, data: Buffer, signature: Buffer) => boolean
/** What signs with a private key. */
export type SigningKey = (hash: HashName | undefined, data: Buffer) => Buffer

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')
const fromBase64url = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')

function verifier(key: KeyObject, dsaEncoding?: 'ieee-p1363'): Verifier {
  return (hash, data, signature) => {
    try {
      return verify(hash, data, dsaEncoding ? { key, dsaEncoding } : key, signature)
    } catch {
      return false
    }
  }
}

const signer =
  (key: KeyObject, dsaEncoding?: 'ieee-p1363'): SigningKey =>
  (hash, data) =>
    sign(hash, data, dsaEncoding ? { key, dsaEncoding } : key)

/** Ed25519 (RFC 8032): 32-byte public value; signatures of 64 bytes. OpenSSL refuses S >= L. @throws when not a key */
export const ed25519Verifier = (publicValue: Buffer): Verifier =>
  verifier(createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: base64url(publicValue) }, format: 'jwk' }))

export interface Ed25519Private {
  readonly seed: Buffer
  readonly publicValue: Buffer
}

export const ed25519Signer = ({ seed, publicValue }: Ed25519Private): SigningKey =>
  signer(
    createPrivateKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: base64url(publicValue), d: base64url(seed) },
      format: 'jwk',
    }),
  )

const ed25519Pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

/** The public value that belongs to a seed. */
export function ed25519PublicValue(seed: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([ed25519Pkcs8Prefix, seed]), format: 'der', type: 'pkcs8' })
  return fromBase64url(createPublicKey(key).export({ format: 'jwk' }).x)
}

export type EcdsaCurve = 'nistp256' | 'nistp384' | 'nistp521'
const jwkCurve = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521' } as const
/** Bytes of a coordinate, and of r and s. */
export const coordinateLength = { nistp256: 32, nistp384: 48, nistp521: 66 } as const

const ecJwk = (curve: EcdsaCurve, point: Buffer): JsonWebKey => {
  const length = coordinateLength[curve]
  return {
    kty: 'EC',
    crv: jwkCurve[curve],
    x: base64url(point.subarray(1, 1 + length)),
    y: base64url(point.subarray(1 + length)),
  }
}

/** ECDSA over an uncompressed point; signatures are r and s side by side. @throws when the point is not on the curve */
export const ecdsaVerifier = (curve: EcdsaCurve, point: Buffer): Verifier =>
  verifier(createPublicKey({ key: ecJwk(curve, point), format: 'jwk' }), 'ieee-p1363')

export interface EcdsaPrivate {
  readonly curve: EcdsaCurve
  readonly point: Buffer
  /** Fixed length, big-endian. */
  readonly scalar: Buffer
}

export const ecdsaSigner = ({ curve, point, scalar }: EcdsaPrivate): SigningKey =>
  signer(createPrivateKey({ key: { ...ecJwk(curve, point), d: base64url(scalar) }, format: 'jwk' }), 'ieee-p1363')

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

/** RSASSA-PKCS1-v1_5 (RFC 8332). A signature with its leading zeros cut off is taken, as OpenSSH takes it. */
export function rsaVerifier({ n, e }: RsaPublic): Verifier {
  const check = verifier(createPublicKey({ key: { kty: 'RSA', n: base64url(n), e: base64url(e) }, format: 'jwk' }))
  return (hash, data, signature) => {
    if (signature.length > n.length) return false
    return check(hash, data, Buffer.concat([Buffer.alloc(n.length - signature.length), signature]))
  }
}

export function rsaSigner({ n, e, d, p, q, iqmp }: RsaPrivate): SigningKey {
  const exponentModulo = (prime: Buffer): string => {
    const modulus = BigInt(`0x${prime.toString('hex')}`) - 1n
    const hex = (BigInt(`0x${d.toString('hex')}`) % modulus).toString(16)
    return base64url(Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex'))
  }
  const [dp, dq] = [exponentModulo(p), exponentModulo(q)]
  const key = {
    kty: 'RSA',
    n: base64url(n),
    e: base64url(e),
    d: base64url(d),
    p: base64url(p),
    q: base64url(q),
    dp,
    dq,
    qi: base64url(iqmp),
  }
  return signer(createPrivateKey({ key, format: 'jwk' }))
}

/** A private key of a kind that SSH has, as numbers. */
export type PrivateNumbers =
  | ({ readonly kind: 'ed25519' } & Ed25519Private)
  | ({ readonly kind: 'ecdsa' } & EcdsaPrivate)
  | ({ readonly kind: 'rsa' } & RsaPrivate)

/** Makes a new key. RSA takes its size in bits. */
export function generatePrivateNumbers(kind: 'ed25519' | EcdsaCurve | 'rsa', bits = 3072): PrivateNumbers {
  switch (kind) {
    case 'ed25519':
      return numbersOf(generateKeyPairSync('ed25519').privateKey)!
    case 'rsa':
      return numbersOf(generateKeyPairSync('rsa', { modulusLength: bits }).privateKey)!
    default:
      return numbersOf(generateKeyPairSync('ec', { namedCurve: jwkCurve[kind] }).privateKey)!
  }
}

/**
 * The numbers of a PEM private key (PKCS#1, SEC1, PKCS#8, plain or encrypted); undefined for a kind SSH does not have.
 * @throws what OpenSSL says when the text is no key or the passphrase is missing or wrong
 */
export const parsePem = (text: string, passphrase: Buffer | string | undefined): PrivateNumbers | undefined =>
  numbersOf(createPrivateKey({ key: text, format: 'pem', passphrase: passphrase ?? '' }))

function numbersOf(key: KeyObject): PrivateNumbers | undefined {
  const jwk = key.export({ format: 'jwk' })
  if (jwk.kty === 'OKP' && jwk.crv === 'Ed25519') {
    return { kind: 'ed25519', seed: fromBase64url(jwk.d), publicValue: fromBase64url(jwk.x) }
  }
  if (jwk.kty === 'RSA') {
    const [n, e, d] = [fromBase64url(jwk.n), fromBase64url(jwk.e), fromBase64url(jwk.d)]
    return { kind: 'rsa', n, e, d, p: fromBase64url(jwk.p), q: fromBase64url(jwk.q), iqmp: fromBase64url(jwk.qi) }
  }
  const curve = (['nistp256', 'nistp384', 'nistp521'] as const).find(name => jwkCurve[name] === jwk.crv)
  if (jwk.kty !== 'EC' || !curve) return undefined
  const point = Buffer.concat([Buffer.from([4]), fromBase64url(jwk.x), fromBase64url(jwk.y)])
  return { kind: 'ecdsa', curve, point, scalar: fromBase64url(jwk.d) }
}
