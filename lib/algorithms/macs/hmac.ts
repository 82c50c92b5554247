import { type HashName, hashLength } from '../../crypto/hash.ts'
import { hmac } from '../../crypto/hmac.ts'
import type { MacAlgorithm } from '../mac.ts'

interface Variant {
  /** Bytes; the hash's length when absent. */
  readonly keyLength?: number
  /** Bytes of the hash that are sent; all when absent. */
  readonly tagLength?: number
}

/** HMAC (RFC 4253 §6.4, RFC 6668); a name with `-etm@openssh.com` is over the ciphertext (PROTOCOL §1.5). */
function row(name: string, hash: HashName, variant: Variant = {}): MacAlgorithm {
  const encryptThenMac = name.endsWith('-etm@openssh.com')
  const { keyLength = hashLength[hash], tagLength = hashLength[hash] } = variant
  return {
    name,
    keyLength,
    tagLength,
    encryptThenMac,
    create(key) {
      const counter = Buffer.alloc(4)
      return {
        tagLength,
        encryptThenMac,
        compute(sequence, ...parts) {
          counter.writeUInt32BE(sequence, 0)
          const tag = hmac(hash, key, counter, ...parts)
          return tag.length === tagLength ? tag : tag.subarray(0, tagLength)
        },
      }
    },
  }
}

const first96Bits = { tagLength: 12 }

export const hmacSha256Etm = row('hmac-sha2-256-etm@openssh.com', 'sha256')
export const hmacSha512Etm = row('hmac-sha2-512-etm@openssh.com', 'sha512')
export const hmacSha1Etm = row('hmac-sha1-etm@openssh.com', 'sha1')
export const hmacSha256 = row('hmac-sha2-256', 'sha256')
export const hmacSha512 = row('hmac-sha2-512', 'sha512')
export const hmacSha1 = row('hmac-sha1', 'sha1')

/** What OpenSSH and AsyncSSH have but do not offer by themselves. */
export const weakHmacs: readonly MacAlgorithm[] = [
  row('hmac-sha1-96', 'sha1', first96Bits),
  row('hmac-md5', 'md5'),
  row('hmac-md5-96', 'md5', first96Bits),
  row('hmac-sha1-96-etm@openssh.com', 'sha1', first96Bits),
  row('hmac-md5-etm@openssh.com', 'md5'),
  row('hmac-md5-96-etm@openssh.com', 'md5', first96Bits),
  row('hmac-sha2-256-96', 'sha256', first96Bits),
  row('hmac-sha2-512-96', 'sha512', first96Bits),
  row('hmac-sha2-256-96-etm@openssh.com', 'sha256', first96Bits),
  row('hmac-sha2-512-96-etm@openssh.com', 'sha512', first96Bits),
]

/** Names of ssh.com, of which `hmac-sha256@ssh.com` has a key of 16 bytes only. */
export const sshComHmacs: readonly MacAlgorithm[] = [
  row('hmac-sha256-2@ssh.com', 'sha256'),
  row('hmac-sha224@ssh.com', 'sha224'),
  row('hmac-sha256@ssh.com', 'sha256', { keyLength: 16 }),
  row('hmac-sha384@ssh.com', 'sha384'),
  row('hmac-sha512@ssh.com', 'sha512'),
]
