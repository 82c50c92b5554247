import { type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto'

/** A running stream: each call continues where the last one ended. */
export type StreamCipher = (data: Uint8Array) => Buffer

/** AES in counter mode (RFC 4344 §4), the key 16, 24 or 32 bytes; encrypting and decrypting are the same. */
export function aesCtr(key: Buffer, iv: Buffer): StreamCipher {
  const cipher = createCipheriv(`aes-${key.length * 8}-ctr`, key, iv)
  return data => cipher.update(data)
}

const gcmName = (key: Buffer): CipherGCMTypes => (key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm')
export const gcmTagLength = 16

/** Appends ciphertext and tag of AES-GCM to `out`. `iv` is 12 bytes. */
export function gcmSeal(key: Buffer, iv: Buffer, associated: Buffer, plaintext: Buffer, out: Buffer[]): void {
  const cipher = createCipheriv(gcmName(key), key, iv)
  cipher.setAAD(associated)
  out.push(cipher.update(plaintext))
  cipher.final()
  out.push(cipher.getAuthTag())
}

/** @returns the plaintext, or undefined when the tag is wrong. */
export function gcmOpen(
  key: Buffer,
  iv: Buffer,
  associated: Buffer,
  ciphertext: Buffer,
  tag: Buffer,
): Buffer | undefined {
  const decipher = createDecipheriv(gcmName(key), key, iv)
  decipher.setAAD(associated)
  decipher.setAuthTag(tag)
  const plaintext = decipher.update(ciphertext)
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return plaintext
}
