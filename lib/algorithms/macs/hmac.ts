import { type HashName, hashLength } from '../../crypto/hash.ts'
import { hmac } from '../../crypto/hmac.ts'
import type { MacAlgorithm } from '../mac.ts'

/** HMAC (RFC 4253 §6.4, RFC 6668); with `-etm@openssh.com` over the ciphertext. */
function row(name: string, hash: HashName, encryptThenMac: boolean): MacAlgorithm {
  const tagLength = hashLength[hash]
  return {
    name,
    keyLength: tagLength,
    tagLength,
    encryptThenMac,
    create(key) {
      const counter = Buffer.alloc(4)
      return {
        tagLength,
        encryptThenMac,
        compute(sequence, ...parts) {
          counter.writeUInt32BE(sequence, 0)
          return hmac(hash, key, counter, ...parts)
        },
      }
    },
  }
}

export const hmacSha256Etm = row('hmac-sha2-256-etm@openssh.com', 'sha256', true)
export const hmacSha512Etm = row('hmac-sha2-512-etm@openssh.com', 'sha512', true)
export const hmacSha256 = row('hmac-sha2-256', 'sha256', false)
export const hmacSha512 = row('hmac-sha2-512', 'sha512', false)
