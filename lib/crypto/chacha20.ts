import { createCipheriv } from 'node:crypto'

/**
 * ChaCha20 as djb has it: 64-bit block counter, then a 64-bit nonce. OpenSSL's 16-byte IV is those four words in this
 * order, so the counter goes first, little-endian.
 */
export function chacha20(key: Buffer, counter: number, nonce: Buffer, data: Uint8Array): Buffer {
  const iv = Buffer.alloc(16)
  iv.writeUInt32LE(counter, 0)
  nonce.copy(iv, 8)
  return createCipheriv('chacha20', key, iv).update(data)
}
