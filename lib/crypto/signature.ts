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

export type EdwardsCurve = 'ed25519' | 'ed448'
const edwardsJwk = { ed25519: 'Ed25519', ed448: 'Ed448' } as const
/** Bytes of a public value and of a seed; a signature has twice as many. */
export const edwardsLength = { ed25519: 32, ed448: 57 } as const

/** Ed25519 and Ed448 (RFC 8032). OpenSSL refuses S >= L. @throws when not a key */
export const edwardsVerifier = (curve: EdwardsCurve, publicValue: Buffer): Verifier =>
  verifier(createPublicKey({ key: { kty: 'OKP', crv: edwardsJwk[curve], x: base64url(publicValue) }, format: 'jwk' }))

export interface EdwardsPrivate {
  readonly seed: Buffer
  readonly publicValue: Buffer
}

export const edwardsSigner = (curve: EdwardsCurve, { seed, publicValue }: EdwardsPrivate): SigningKey =>
  signer(
    createPrivateKey({
      key: { kty: 'OKP', crv: edwardsJwk[curve], x: base64url(publicValue), d: base64url(seed) },
      format: 'jwk',
    }),
  )

/** What stands before the seed in PKCS#8 (RFC 8410 §7). */
const edwardsPkcs8Prefix = {
  ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  ed448: Buffer.from('3047020100300506032b6571043b0439', 'hex'),
} as const

/** The public value that belongs to a seed. */
export function edwardsPublicValue(curve: EdwardsCurve, seed: Buffer): Buffer {
  const key = createPrivateKey({ key: Buffer.concat([edwardsPkcs8Prefix[curve], seed]), format: 'der', type: 'pkcs8' })
  return fromBase64url(createPublicKey(key).export({ format: 'jwk' }).x)
}

export type EcdsaCurve = 'nistp256' | 'nistp384' | 'nistp521' | 'secp256k1'
const jwkCurve = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521', secp256k1: 'secp256k1' } as const
/** Bytes of a coordinate, and of r and s. */
export const coordinateLength = { nistp256: 32, nistp384: 48, nistp521: 66, secp256k1: 32 } as const

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

export const rsaSigner = (numbers: RsaPrivate): SigningKey => signer(rsaKeyObject(numbers))

function rsaKeyObject({ n, e, d, p, q, iqmp }: RsaPrivate): KeyObject {
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
  return createPrivateKey({ key, format: 'jwk' })
}

/** A private key of a kind that OpenSSL knows, as numbers. */
export type PrivateNumbers =
  | ({ readonly kind: EdwardsCurve } & EdwardsPrivate)
  | ({ readonly kind: 'ecdsa' } & EcdsaPrivate)
  | ({ readonly kind: 'rsa' } & RsaPrivate)

/** Makes a new key. RSA takes its size in bits. */
export function generatePrivateNumbers(kind: EdwardsCurve | EcdsaCurve | 'rsa', bits = 3072): PrivateNumbers {
  switch (kind) {
    case 'ed25519':
      return numbersOf(generateKeyPairSync('ed25519').privateKey)!
    case 'ed448':
      return numbersOf(generateKeyPairSync('ed448').privateKey)!
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

/** The numbers of a public key in SubjectPublicKeyInfo or PKCS#1 PEM. @throws what OpenSSL says when the text is no key */
export const parsePublicPem = (text: string): PublicNumbers | undefined =>
  publicNumbersOf(createPublicKey({ key: text, format: 'pem' }))

/** The public half as numbers. */
export type PublicNumbers =
  | { readonly kind: EdwardsCurve; readonly publicValue: Buffer }
  | { readonly kind: 'ecdsa'; readonly curve: EcdsaCurve; readonly point: Buffer }
  | ({ readonly kind: 'rsa' } & RsaPublic)

export type PemForm = 'pkcs8' | 'traditional'

/** PEM text of a private key; `traditional` is PKCS#1 or SEC1. Encrypted with AES-128-CBC when there is a passphrase. */
export function formatPem(numbers: PrivateNumbers, form: PemForm, passphrase?: string | Buffer): string {
  const type = form === 'pkcs8' || numbers.kind.startsWith('ed') ? 'pkcs8' : numbers.kind === 'rsa' ? 'pkcs1' : 'sec1'
  const protection = passphrase?.length ? { cipher: 'aes-128-cbc', passphrase } : {}
  return keyObjectOf(numbers)
    .export({ format: 'pem', type: type as 'pkcs8', ...protection })
    .toString()
}

/** PEM text of a public key: SubjectPublicKeyInfo, or for RSA its own PKCS#1 form. */
export function formatPublicPem(numbers: PublicNumbers, form: PemForm): string {
  const type = form === 'traditional' && numbers.kind === 'rsa' ? 'pkcs1' : 'spki'
  const key = createPublicKey({ key: publicJwk(numbers), format: 'jwk' })
  return key.export({ format: 'pem', type: type as 'spki' }).toString()
}

function publicJwk(numbers: PublicNumbers): JsonWebKey {
  switch (numbers.kind) {
    case 'rsa':
      return { kty: 'RSA', n: base64url(numbers.n), e: base64url(numbers.e) }
    case 'ecdsa':
      return ecJwk(numbers.curve, numbers.point)
    default:
      return { kty: 'OKP', crv: edwardsJwk[numbers.kind], x: base64url(numbers.publicValue) }
  }
}

function keyObjectOf(numbers: PrivateNumbers): KeyObject {
  switch (numbers.kind) {
    case 'rsa':
      return rsaKeyObject(numbers)
    case 'ecdsa':
      return createPrivateKey({ key: { ...publicJwk(numbers), d: base64url(numbers.scalar) }, format: 'jwk' })
    default:
      return createPrivateKey({ key: { ...publicJwk(numbers), d: base64url(numbers.seed) }, format: 'jwk' })
  }
}

function publicNumbersOf(key: KeyObject): PublicNumbers | undefined {
  const jwk = key.export({ format: 'jwk' })
  if (jwk.kty === 'RSA') return { kind: 'rsa', n: fromBase64url(jwk.n), e: fromBase64url(jwk.e) }
  if (jwk.kty === 'OKP') {
    const kind = (['ed25519', 'ed448'] as const).find(name => edwardsJwk[name] === jwk.crv)
    return kind && { kind, publicValue: fromBase64url(jwk.x) }
  }
  const curve = (['nistp256', 'nistp384', 'nistp521', 'secp256k1'] as const).find(name => jwkCurve[name] === jwk.crv)
  if (jwk.kty !== 'EC' || !curve) return undefined
  return { kind: 'ecdsa', curve, point: Buffer.concat([Buffer.of(4), fromBase64url(jwk.x), fromBase64url(jwk.y)]) }
}

function numbersOf(key: KeyObject): PrivateNumbers | undefined {
  const half = publicNumbersOf(key)
  if (!half) return undefined
  const jwk = key.export({ format: 'jwk' })
  const d = fromBase64url(jwk.d)
  switch (half.kind) {
    case 'rsa':
      return { ...half, d, p: fromBase64url(jwk.p), q: fromBase64url(jwk.q), iqmp: fromBase64url(jwk.qi) }
    case 'ecdsa':
      return { ...half, scalar: d }
    default:
      return { ...half, seed: d }
  }
}
