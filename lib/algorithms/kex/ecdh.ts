import { ecdh, type KeyAgreement, type WeierstrassCurve, x448, x25519 } from '../../crypto/ecdh.ts'
import type { KexHash, KexMethod } from '../kex.ts'
import { agreementMethod } from './agreement.ts'

/** Diffie-Hellman on a curve: both sides do the same. */
function row(name: string, hash: KexHash, generate: () => KeyAgreement): KexMethod {
  return agreementMethod({
    name,
    hash,
    publicForm: 'string',
    secretForm: 'mpint',
    prepares: true,
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

const weierstrass = (curve: WeierstrassCurve, hash: KexHash) => row(`ecdh-sha2-${curve}`, hash, () => ecdh(curve))

/** RFC 8731. */
export const curve25519Sha256 = row('curve25519-sha256', 'sha256', x25519)
export const curve25519Sha256Libssh = row('curve25519-sha256@libssh.org', 'sha256', x25519)
export const curve448Sha512 = row('curve448-sha512', 'sha512', x448)
/** RFC 5656 §6.3. */
export const ecdhNistp256 = weierstrass('nistp256', 'sha256')
export const ecdhNistp384 = weierstrass('nistp384', 'sha384')
export const ecdhNistp521 = weierstrass('nistp521', 'sha512')
/** secp256k1 (RFC 5656 §10.2.1). */
export const ecdhSecp256k1 = weierstrass('1.3.132.0.10', 'sha256')
