import { poly1305 as noblePoly1305 } from '@noble/ciphers/_poly1305.js'

/** The one-time authenticator of RFC 8439 §2.5: 16 bytes over `data` under a 32-byte key that is used once. */
export function poly1305(key: Buffer, data: Buffer): Uint8Array {
  return noblePoly1305(data, key)
}
