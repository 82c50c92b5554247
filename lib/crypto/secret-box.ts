import { chacha20poly1305 } from '@noble/ciphers/chacha.js'

/**
 * ChaCha20-Poly1305 (RFC 8439) for secrets that are held in memory. It is noble's: Node's deciphers leave a copy of what they
 * decrypted in memory that nobody can wipe.
 */
export const secretBox = { keyLength: 32, nonceLength: 12 } as const

/** A nonce must not come twice under one key. */
export const sealSecret = (key: Buffer, nonce: Buffer, secret: Buffer): Buffer =>
  Buffer.from(chacha20poly1305(key, nonce).encrypt(secret))

/** The secret in a buffer of its own, to be wiped; undefined when the box was made with another key. */
export function openSecret(key: Buffer, nonce: Buffer, box: Buffer): Buffer | undefined {
  try {
    const { buffer, byteOffset, byteLength } = chacha20poly1305(key, nonce).decrypt(box)
    return Buffer.from(buffer, byteOffset, byteLength)
  } catch {
    return undefined
  }
}
