import {
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'

/** One side's key for one agreement. `agree` returns undefined when the peer's public value is not acceptable. */
export interface KeyAgreement {
  readonly publicValue: Buffer
  agree(peer: Buffer): Buffer | undefined
}

const x25519SpkiPrefix = Buffer.from('302a300506032b656e032100', 'hex')
const x25519Length = 32

/** X25519 (RFC 7748). An all-zero result, from a point of small order, is refused (RFC 8731 §3). */
export function x25519(): KeyAgreement {
  const { publicKey, privateKey } = generateKeyPairSync('x25519')
  return {
    publicValue: publicKey.export({ format: 'der', type: 'spki' }).subarray(-x25519Length),
    agree: peer => agreeX25519(privateKey, peer),
  }
}

function agreeX25519(privateKey: KeyObject, peer: Buffer): Buffer | undefined {
  if (peer.length !== x25519Length) return undefined
  const publicKey = createPublicKey({ key: Buffer.concat([x25519SpkiPrefix, peer]), format: 'der', type: 'spki' })
  try {
    const shared = diffieHellman({ privateKey, publicKey })
    return shared.some(byte => byte !== 0) ? shared : undefined
  } catch {
    // OpenSSL refuses points of small order by itself.
    return undefined
  }
}

const x25519Pkcs8Prefix = Buffer.from('302e020100300506032b656e04220420', 'hex')

/** X25519 with a given private scalar, for test vectors. */
export function x25519With(scalar: Buffer, peer: Buffer): Buffer | undefined {
  return agreeX25519(
    createPrivateKey({ key: Buffer.concat([x25519Pkcs8Prefix, scalar]), format: 'der', type: 'pkcs8' }),
    peer,
  )
}

export type NistCurve = 'nistp256' | 'nistp384' | 'nistp521'

const curves: Readonly<Record<NistCurve, { readonly name: string; readonly pointLength: number }>> = {
  nistp256: { name: 'prime256v1', pointLength: 65 },
  nistp384: { name: 'secp384r1', pointLength: 97 },
  nistp521: { name: 'secp521r1', pointLength: 133 },
}

/** ECDH over a NIST curve (RFC 5656 §4), points uncompressed. OpenSSL checks that a point lies on the curve. */
export function nistEcdh(curve: NistCurve): KeyAgreement {
  const { name, pointLength } = curves[curve]
  const ecdh = createECDH(name)
  const publicValue = ecdh.generateKeys()
  return {
    publicValue,
    agree(peer) {
      if (peer.length !== pointLength || peer[0] !== 0x04) return undefined
      try {
        return ecdh.computeSecret(peer)
      } catch {
        return undefined
      }
    },
  }
}
