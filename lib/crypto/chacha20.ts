import { createCipheriv } from 'node:crypto'

/**
 * ChaCha20 as djb has it: 64-bit block counter, then a 64-bit nonce, here a packet's sequence number, big-endian.
 * OpenSSL's 16-byte IV is those four words in this order; the counter is little-endian.
 */
export function chacha20(key: Buffer, counter: number, sequence: number, data: Uint8Array): Buffer {
  const iv = Buffer.alloc(16)
  iv.writeUInt32LE(counter, 0)
  iv.writeUInt32BE(sequence, 12)
  return createCipheriv('chacha20', key, iv).update(data)
}
