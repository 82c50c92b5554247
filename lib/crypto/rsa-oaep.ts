import { constants, createPublicKey, privateDecrypt, publicEncrypt } from 'node:crypto'
import { newRsaKeyLater } from './generate-key.ts'

/** A modulus and a public exponent as big-endian magnitudes. */
export interface RsaNumbers {
  readonly e: Buffer
  readonly n: Buffer
}

/** A key pair that lives for one exchange. `decrypt` returns undefined for what was not encrypted for it. */
export interface RsaDecryptionKey extends RsaNumbers {
  decrypt(ciphertext: Buffer): Buffer | undefined
}

type OaepHash = 'sha1' | 'sha256'

const padding = constants.RSA_PKCS1_OAEP_PADDING
const numberOf = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')

/** A new RSA key, made off the event loop's thread. */
export async function generateRsaDecryptionKey(bits: number, oaepHash: OaepHash): Promise<RsaDecryptionKey> {
  const key = await newRsaKeyLater(bits)
  const { e, n } = createPublicKey(key).export({ format: 'jwk' })
  return {
    e: numberOf(e),
    n: numberOf(n),
    decrypt(ciphertext) {
      try {
        return privateDecrypt({ key, padding, oaepHash }, ciphertext)
      } catch {
        return undefined
      }
    },
  }
}

/** RSAES-OAEP (RFC 8017 §7.1). @returns undefined when the numbers are no key, or one too short for the message */
export function oaepEncrypt({ e, n }: RsaNumbers, oaepHash: OaepHash, message: Buffer): Buffer | undefined {
  try {
    const jwk = { kty: 'RSA', e: e.toString('base64url'), n: n.toString('base64url') }
    return publicEncrypt({ key: createPublicKey({ key: jwk, format: 'jwk' }), padding, oaepHash }, message)
  } catch {
    return undefined
  }
}
