import { createCipheriv, createDecipheriv } from 'node:crypto'
import { chacha20 } from './chacha20.ts'
import { poly1305 } from './chacha20-poly1305.ts'
import { equalBytes } from './constant-time.ts'

/** Ciphers that protect private key files, by OpenSSH's names. Tags, where there are some, follow the ciphertext. */
export interface KeyCipher {
  readonly name: string
  readonly keyLength: number
  readonly ivLength: number
  readonly blockLength: number
  readonly tagLength: number
  encrypt(key: Buffer, iv: Buffer, data: Buffer): Buffer
  /** @returns undefined when a tag is wrong */
  decrypt(key: Buffer, iv: Buffer, data: Buffer): Buffer | undefined
}

const row = (
  name: string,
  opensslName: 'aes-256-ctr' | 'aes-192-ctr' | 'aes-128-ctr' | 'aes-256-cbc' | 'aes-192-cbc' | 'aes-128-cbc',
): KeyCipher => ({
  name,
  keyLength: Number(opensslName.slice(4, 7)) / 8,
  ivLength: 16,
  blockLength: 16,
  tagLength: 0,
  encrypt: (key, iv, data) => createCipheriv(opensslName, key, iv).setAutoPadding(false).update(data),
  decrypt: (key, iv, data) => createDecipheriv(opensslName, key, iv).setAutoPadding(false).update(data),
})

const gcmRow = (name: string, opensslName: 'aes-256-gcm' | 'aes-128-gcm'): KeyCipher => ({
  name,
  keyLength: Number(opensslName.slice(4, 7)) / 8,
  ivLength: 12,
  blockLength: 16,
  tagLength: 16,
  encrypt(key, iv, data) {
    const cipher = createCipheriv(opensslName, key, iv)
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])
  },
  decrypt(key, iv, data) {
    const decipher = createDecipheriv(opensslName, key, iv)
    decipher.setAuthTag(data.subarray(-16))
    const plain = decipher.update(data.subarray(0, -16))
    try {
      decipher.final()
    } catch {
      return undefined
    }
    return plain
  },
})

const chachaTag = (key: Buffer, data: Buffer): Uint8Array => poly1305(chacha20(key, 0, 0, Buffer.alloc(32)), data)

/** As for packet number 0 (PROTOCOL.chacha20poly1305) without a length: the second half of the key is not used. */
const chachaRow: KeyCipher = {
  name: 'chacha20-poly1305@openssh.com',
  keyLength: 64,
  ivLength: 0,
  blockLength: 8,
  tagLength: 16,
  encrypt(key, _iv, data) {
    const sealed = chacha20(key.subarray(0, 32), 1, 0, data)
    return Buffer.concat([sealed, chachaTag(key.subarray(0, 32), sealed)])
  },
  decrypt(key, _iv, data) {
    const [sealed, tag] = [data.subarray(0, -16), data.subarray(-16)]
    if (!equalBytes(chachaTag(key.subarray(0, 32), sealed), tag)) return undefined
    return chacha20(key.subarray(0, 32), 1, 0, sealed)
  },
}

const tripleDesRow: KeyCipher = {
  name: '3des-cbc',
  keyLength: 24,
  ivLength: 8,
  blockLength: 8,
  tagLength: 0,
  encrypt: (key, iv, data) => createCipheriv('des-ede3-cbc', key, iv).setAutoPadding(false).update(data),
  decrypt: (key, iv, data) => tripleDesCbcDecrypt(key, iv, data),
}

export const keyCiphers: readonly KeyCipher[] = [
  row('aes256-ctr', 'aes-256-ctr'),
  row('aes192-ctr', 'aes-192-ctr'),
  row('aes128-ctr', 'aes-128-ctr'),
  row('aes256-cbc', 'aes-256-cbc'),
  row('aes192-cbc', 'aes-192-cbc'),
  row('aes128-cbc', 'aes-128-cbc'),
  gcmRow('aes256-gcm@openssh.com', 'aes-256-gcm'),
  gcmRow('aes128-gcm@openssh.com', 'aes-128-gcm'),
  chachaRow,
  tripleDesRow,
  row('rijndael-cbc@lysator.liu.se', 'aes-256-cbc'),
]

/** Triple DES in CBC mode without padding, as ssh.com's key files use it; the key is 24 bytes. */
export const tripleDesCbcDecrypt = (key: Buffer, iv: Buffer, data: Buffer): Buffer =>
  createDecipheriv('des-ede3-cbc', key, iv).setAutoPadding(false).update(data)
