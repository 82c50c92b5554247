import { createCipheriv, createDecipheriv } from 'node:crypto'
import type { StreamCipher } from './aes.ts'

/** A block cipher in CBC mode. The functions it makes take whole blocks, and each call continues the chain. */
export interface CbcCipher {
  /** Bytes. */
  readonly keyLength: number
  readonly blockLength: number
  encryptor(key: Buffer, iv: Buffer): StreamCipher
  decryptor(key: Buffer, iv: Buffer): StreamCipher
}

const openssl = (name: string, keyLength: number, blockLength: number): CbcCipher => ({
  keyLength,
  blockLength,
  encryptor(key, iv) {
    const cipher = createCipheriv(name, key, iv).setAutoPadding(false)
    return data => cipher.update(data)
  },
  decryptor(key, iv) {
    const decipher = createDecipheriv(name, key, iv).setAutoPadding(false)
    return data => decipher.update(data)
  },
})

export const aes128Cbc = openssl('aes-128-cbc', 16, 16)
export const aes192Cbc = openssl('aes-192-cbc', 24, 16)
export const aes256Cbc = openssl('aes-256-cbc', 32, 16)
export const tripleDesCbc = openssl('des-ede3-cbc', 24, 8)

/** A block cipher without a provider: 32-bit words in and out, big-endian, in place. */
export interface Block {
  /** Words of a block. */
  readonly words: 2 | 4
  encrypt(block: Uint32Array): void
  decrypt(block: Uint32Array): void
}

/** CBC over a block cipher of our own. */
export const ownCbc = (keyLength: number, blockLength: 8 | 16, create: (key: Buffer) => Block): CbcCipher => ({
  keyLength,
  blockLength,
  encryptor(key, iv) {
    const cipher = create(key)
    const chain = wordsOf(iv)
    return data => {
      const out = Buffer.allocUnsafe(data.length)
      const view = viewOf(data)
      for (let at = 0; at < data.length; at += blockLength) {
        for (let i = 0; i < cipher.words; i++) chain[i]! ^= view.getUint32(at + i * 4)
        cipher.encrypt(chain)
        for (let i = 0; i < cipher.words; i++) out.writeUInt32BE(chain[i]!, at + i * 4)
      }
      return out
    }
  },
  decryptor(key, iv) {
    const cipher = create(key)
    const chain = wordsOf(iv)
    const block = new Uint32Array(cipher.words)
    return data => {
      const out = Buffer.allocUnsafe(data.length)
      const view = viewOf(data)
      for (let at = 0; at < data.length; at += blockLength) {
        for (let i = 0; i < cipher.words; i++) block[i] = view.getUint32(at + i * 4)
        cipher.decrypt(block)
        for (let i = 0; i < cipher.words; i++) {
          out.writeUInt32BE((block[i]! ^ chain[i]!) >>> 0, at + i * 4)
          chain[i] = view.getUint32(at + i * 4)
        }
      }
      return out
    }
  },
})

const viewOf = (data: Uint8Array): DataView => new DataView(data.buffer, data.byteOffset, data.length)

const wordsOf = (bytes: Buffer): Uint32Array =>
  Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32BE(i * 4))
