import { type KeyAgreement, type NistCurve, nistEcdh, x25519 } from '../../crypto/ecdh.ts'
import type { KexHash, KexMethod } from '../kex.ts'
import { agreementMethod } from './agreement.ts'

/** Diffie-Hellman on a curve: both sides do the same. */
function row(name: string, hash: KexHash, generate: () => KeyAgreement): KexMethod {
  return agreementMethod({
    name,
    hash,
    encodeSecret: 'mpint',
    begin() {
      const { publicValue, agree } = generate()
      return { publicValue, finish: agree }
    },
    respond(clientPublic) {
      const { publicValue, agree } = generate()
      const secret = agree(clientPublic)
      return secret && { publicValue, secret }
    },
  })
}

const nist = (curve: NistCurve, hash: KexHash) => row(`ecdh-sha2-${curve}`, hash, () => nistEcdh(curve))

/** RFC 8731. */
export const curve25519Sha256 = row('curve25519-sha256', 'sha256', x25519)
export const curve25519Sha256Libssh = row('curve25519-sha256@libssh.org', 'sha256', x25519)
/** RFC 5656 §6.3. */
export const ecdhNistp256 = nist('nistp256', 'sha256')
export const ecdhNistp384 = nist('nistp384', 'sha384')
export const ecdhNistp521 = nist('nistp521', 'sha512')
