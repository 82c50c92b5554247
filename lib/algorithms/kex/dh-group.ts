import { type DhGroup, type DhGroupName, dh, dhGroup } from '../../crypto/dh.ts'
import type { KexHash, KexMethod } from '../kex.ts'
import { agreementMethod } from './agreement.ts'

/** Diffie-Hellman in a fixed group (RFC 4253 §8, RFC 8268). */
function row(groupName: DhGroupName, hash: KexHash, vendor = ''): KexMethod {
  let known: DhGroup | undefined
  const group = (): DhGroup => (known ??= dhGroup(groupName))
  return agreementMethod({
    name: `diffie-hellman-${groupName}-${hash}${vendor}`,
    hash,
    publicForm: 'mpint',
    secretForm: 'mpint',
    begin(secretBits) {
      const { publicValue, agree } = dh(group(), secretBits)
      return { publicValue, finish: agree }
    },
    respond(clientPublic, secretBits) {
      const { publicValue, agree } = dh(group(), secretBits)
      const secret = agree(clientPublic)
      return secret && { publicValue, secret }
    },
  })
}

export const group1Sha1 = row('group1', 'sha1')
export const group14Sha1 = row('group14', 'sha1')
export const group14Sha256 = row('group14', 'sha256')
export const group15Sha512 = row('group15', 'sha512')
export const group16Sha512 = row('group16', 'sha512')
export const group17Sha512 = row('group17', 'sha512')
export const group18Sha512 = row('group18', 'sha512')

/** The same groups under ssh.com's names. */
export const sshComGroups: readonly KexMethod[] = [
  row('group14', 'sha224', '@ssh.com'),
  row('group14', 'sha256', '@ssh.com'),
  row('group15', 'sha256', '@ssh.com'),
  row('group15', 'sha384', '@ssh.com'),
  row('group16', 'sha384', '@ssh.com'),
  row('group16', 'sha512', '@ssh.com'),
  row('group18', 'sha512', '@ssh.com'),
]
