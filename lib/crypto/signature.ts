import { createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from 'node:crypto'
import {
  type DsaPrivate,
  type DsaPublic,
  dsaPrivateKeyObject,
  dsaPrivateNumbers,
  dsaPublicKeyObject,
  dsaPublicNumbers,
  generateDsa,
} from './dsa.ts'
import { newEcKey, newEdwardsKey, newRsaKey } from './generate-key.ts'
import type {
  EcdsaCurve,
  EcdsaPrivate,
  EdwardsCurve,
  EdwardsPrivate,
  RsaPrivate,
  RsaPublic,
  SigningKey,
  Verifier,
} from './key-numbers.ts'
import { ecdsaKeyObject, ecdsaScalar, edwardsKeyObject, edwardsSeed, rsaKeyObject, rsaNumbers } from './private-der.ts'

export type * from './key-numbers.ts'

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

const edwardsJwk = { ed25519: 'Ed25519', ed448: 'Ed448' } as const
/** Bytes of a public value and of a seed; a signature has twice as many. */
export const edwardsLength = { ed25519: 32, ed448: 57 } as const

/** Ed25519 and Ed448 (RFC 8032). OpenSSL refuses S >= L. @throws when not a key */
export const edwardsVerifier = (curve: EdwardsCurve, publicValue: Buffer): Verifier => {
  if (publicValue.length !== edwardsLength[curve]) throw new RangeError(`${curve} key of the wrong length`)
  // OpenSSL's key is larger than ours, and most are verified with once, or never: it is not kept.
  return (hash, data, signature) => {
    const key = { kty: 'OKP', crv: edwardsJwk[curve], x: base64url(publicValue) }
    return verifier(createPublicKey({ key, format: 'jwk' }))(hash, data, signature)
  }
}

export const edwardsSigner = (curve: EdwardsCurve, { seed }: Pick<EdwardsPrivate, 'seed'>): SigningKey =>
  signer(edwardsKeyObject(curve, seed))

/** The public value that belongs to a seed. */
export const edwardsPublicValue = (curve: EdwardsCurve, seed: Buffer): Buffer =>
  fromBase64url(createPublicKey(edwardsKeyObject(curve, seed)).export({ format: 'jwk' }).x)

const jwkCurve = { nistp256: 'P-256', nistp384: 'P-384', nistp521: 'P-521', secp256k1: 'secp256k1' } as const
/** OpenSSL's names of the same curves. */
const curveNames: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1', 'secp256k1']
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

export const ecdsaSigner = (numbers: EcdsaPrivate): SigningKey => signer(ecdsaKeyObject(numbers), 'ieee-p1363')

/** RSASSA-PKCS1-v1_5 (RFC 8332). A signature with its leading zeros cut off is taken, as OpenSSH takes it. */
export function rsaVerifier({ n, e }: RsaPublic): Verifier {
  const check = verifier(createPublicKey({ key: { kty: 'RSA', n: base64url(n), e: base64url(e) }, format: 'jwk' }))
  return (hash, data, signature) => {
    if (signature.length > n.length) return false
    return check(hash, data, Buffer.concat([Buffer.alloc(n.length - signature.length), signature]))
  }
}

export const rsaSigner = (numbers: RsaPrivate): SigningKey => signer(rsaKeyObject(numbers))

/** A private key of a kind that OpenSSL knows, as numbers. */
export type PrivateNumbers =
  | ({ readonly kind: EdwardsCurve } & EdwardsPrivate)
  | ({ readonly kind: 'ecdsa' } & EcdsaPrivate)
  | ({ readonly kind: 'rsa' } & RsaPrivate)
  | ({ readonly kind: 'dsa' } & DsaPrivate)

/** Makes a new key. RSA takes its size in bits. */
export function generatePrivateNumbers(kind: EdwardsCurve | EcdsaCurve | 'rsa' | 'dsa', bits = 3072): PrivateNumbers {
  switch (kind) {
    case 'ed25519':
    case 'ed448':
      return numbersOf(newEdwardsKey(kind))!
    case 'dsa':
      return { kind: 'dsa', ...generateDsa() }
    case 'rsa':
      return numbersOf(newRsaKey(bits))!
    default:
      return numbersOf(newEcKey(jwkCurve[kind]))!
  }
}

/** The public half as numbers. */
export type PublicNumbers =
  | { readonly kind: EdwardsCurve; readonly publicValue: Buffer }
  | { readonly kind: 'ecdsa'; readonly curve: EcdsaCurve; readonly point: Buffer }
  | ({ readonly kind: 'rsa' } & RsaPublic)
  | ({ readonly kind: 'dsa' } & DsaPublic)

function publicJwk(numbers: Exclude<PublicNumbers, { kind: 'dsa' }>): JsonWebKey {
  switch (numbers.kind) {
    case 'rsa':
      return { kty: 'RSA', n: base64url(numbers.n), e: base64url(numbers.e) }
    case 'ecdsa':
      return ecJwk(numbers.curve, numbers.point)
    default:
      return { kty: 'OKP', crv: edwardsJwk[numbers.kind], x: base64url(numbers.publicValue) }
  }
}

/** OpenSSL's form of a public key. @throws when OpenSSL does not take the numbers */
export const publicKeyObject = (numbers: PublicNumbers): KeyObject =>
  numbers.kind === 'dsa' ? dsaPublicKeyObject(numbers) : createPublicKey({ key: publicJwk(numbers), format: 'jwk' })

/** OpenSSL's form of a private key. @throws when OpenSSL does not take the numbers */
export function privateKeyObject(numbers: PrivateNumbers): KeyObject {
  switch (numbers.kind) {
    case 'dsa':
      return dsaPrivateKeyObject(numbers)
    case 'rsa':
      return rsaKeyObject(numbers)
    case 'ecdsa':
      return ecdsaKeyObject(numbers)
    default:
      return edwardsKeyObject(numbers.kind, numbers.seed)
  }
}

/** Kinds that OpenSSL has and SSH too; of others, and of other curves, there is no JWK. */
const knownKinds: readonly (string | undefined)[] = ['rsa', 'ec', 'ed25519', 'ed448']

/** The numbers of a public key; undefined for a kind that SSH does not have. */
export function publicNumbersOf(key: KeyObject): PublicNumbers | undefined {
  if (key.asymmetricKeyType === 'dsa') return { kind: 'dsa', ...dsaPublicNumbers(key) }
  if (!knownKinds.includes(key.asymmetricKeyType)) return undefined
  if (key.asymmetricKeyType === 'ec' && !curveNames.includes(key.asymmetricKeyDetails?.namedCurve)) return undefined
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

/** The numbers of a private key; undefined for a kind that SSH does not have. */
export function numbersOf(key: KeyObject): PrivateNumbers | undefined {
  if (key.asymmetricKeyType === 'dsa') return { kind: 'dsa', ...dsaPrivateNumbers(key) }
  const half = publicNumbersOf(createPublicKey(key))
  if (!half || half.kind === 'dsa') return undefined
  switch (half.kind) {
    case 'rsa':
      return { kind: 'rsa', ...rsaNumbers(key) }
    case 'ecdsa':
      return { ...half, scalar: ecdsaScalar(key) }
    default:
      return { ...half, seed: edwardsSeed(key) }
  }
}
