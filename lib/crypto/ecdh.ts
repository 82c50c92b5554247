import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto'

/** One side's key for one agreement. `agree` returns undefined when the peer's public value is not acceptable. */
export interface KeyAgreement {
  readonly publicValue: Buffer
  agree(peer: Buffer): Buffer | undefined
}

/** A Montgomery curve of RFC 7748: its name in a JWK, the length of its keys, and the DER around a private one. */
interface MontgomeryCurve {
  readonly name: 'x25519' | 'x448'
  readonly jwk: 'X25519' | 'X448'
  readonly length: number
  readonly pkcs8Prefix: Buffer
}

const curve25519: MontgomeryCurve = {
  name: 'x25519',
  jwk: 'X25519',
  length: 32,
  pkcs8Prefix: Buffer.from('302e020100300506032b656e04220420', 'hex'),
}

const curve448: MontgomeryCurve = {
  name: 'x448',
  jwk: 'X448',
  length: 56,
  pkcs8Prefix: Buffer.from('3046020100300506032b656f043a0438', 'hex'),
}

/** X25519 (RFC 7748). An all-zero result, from a point of small order, is refused (RFC 8731 §3). */
export const x25519 = (): KeyAgreement => montgomery(curve25519)

/** X448 (RFC 7748), with the same rule. */
export const x448 = (): KeyAgreement => montgomery(curve448)

/** Public keys travel as JWK: OpenSSL takes ten times as long over DER. The job that makes the key writes it too. */
const encoding = { publicKeyEncoding: { format: 'jwk' } }

/** The types of Node do not know this form of its function. */
const generate = generateKeyPairSync as unknown as (
  name: MontgomeryCurve['name'],
  options: typeof encoding,
) => { readonly publicKey: JsonWebKey; readonly privateKey: KeyObject }

function montgomery(curve: MontgomeryCurve): KeyAgreement {
  const { publicKey, privateKey } = generate(curve.name, encoding)
  return {
    publicValue: Buffer.from(publicKey.x!, 'base64url'),
    agree: peer => agreeMontgomery(curve, privateKey, peer),
  }
}

function agreeMontgomery(curve: MontgomeryCurve, privateKey: KeyObject, peer: Buffer): Buffer | undefined {
  if (peer.length !== curve.length) return undefined
  const key = { kty: 'OKP', crv: curve.jwk, x: peer.toString('base64url') }
  const publicKey = createPublicKey({ key, format: 'jwk' })
  try {
    const shared = diffieHellman({ privateKey, publicKey })
    return shared.some(byte => byte !== 0) ? shared : undefined
  } catch {
    // OpenSSL refuses points of small order by itself.
    return undefined
  }
}

function withScalar(curve: MontgomeryCurve, scalar: Buffer, peer: Buffer): Buffer | undefined {
  const key = Buffer.concat([curve.pkcs8Prefix, scalar])
  return agreeMontgomery(curve, createPrivateKey({ key, format: 'der', type: 'pkcs8' }), peer)
}

/** X25519 with a given private scalar, for test vectors. */
export const x25519With = (scalar: Buffer, peer: Buffer): Buffer | undefined => withScalar(curve25519, scalar, peer)
/** X448 with a given private scalar, for test vectors. */
export const x448With = (scalar: Buffer, peer: Buffer): Buffer | undefined => withScalar(curve448, scalar, peer)

/** Curves of RFC 5656: the required ones, and secp256k1 by its object identifier (§10.2). */
export type WeierstrassCurve = 'nistp256' | 'nistp384' | 'nistp521' | '1.3.132.0.10'

const curves: Readonly<Record<WeierstrassCurve, { readonly name: string; readonly pointLength: number }>> = {
  nistp256: { name: 'prime256v1', pointLength: 65 },
  nistp384: { name: 'secp384r1', pointLength: 97 },
  nistp521: { name: 'secp521r1', pointLength: 133 },
  '1.3.132.0.10': { name: 'secp256k1', pointLength: 65 },
}

/** ECDH (RFC 5656 §4), points uncompressed. OpenSSL checks that a point lies on the curve. */
export function ecdh(curve: WeierstrassCurve): KeyAgreement {
  const { name, pointLength } = curves[curve]
  const key = createECDH(name)
  const publicValue = key.generateKeys()
  return {
    publicValue,
    agree(peer) {
      if (peer.length !== pointLength || peer[0] !== 0x04) return undefined
      try {
        return key.computeSecret(peer)
      } catch {
        return undefined
      }
    },
  }
}
