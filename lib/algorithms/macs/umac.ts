import { umac } from '../../crypto/umac.ts'
import type { MacAlgorithm } from '../mac.ts'

/** UMAC (RFC 4418) under the sequence number; with `-etm@openssh.com` over the ciphertext (PROTOCOL §1.2, §1.5). */
function row(name: string, tagLength: 8 | 16, encryptThenMac: boolean): MacAlgorithm {
  return {
    name,
    keyLength: 16,
    tagLength,
    encryptThenMac,
    create(key) {
      const state = umac(key, tagLength)
      return { tagLength, encryptThenMac, compute: (sequence, ...parts) => state.tag(0, sequence, parts) }
    },
  }
}

export const umac64Etm = row('umac-64-etm@openssh.com', 8, true)
export const umac128Etm = row('umac-128-etm@openssh.com', 16, true)
export const umac64 = row('umac-64@openssh.com', 8, false)
export const umac128 = row('umac-128@openssh.com', 16, false)
