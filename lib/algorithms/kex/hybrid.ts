import { ecdh, type KeyAgreement, x25519 } from '../../crypto/ecdh.ts'
import { hash as hashParts } from '../../crypto/hash.ts'
import { type Kem, mlkem768, mlkem1024 } from '../../crypto/mlkem.ts'
import { sntrup761 } from '../../crypto/sntrup761.ts'
import type { KexHash, KexMethod } from '../kex.ts'
import { agreementMethod } from './agreement.ts'

interface Hybrid {
  readonly name: string
  readonly hash: KexHash
  readonly kem: Kem
  readonly classical: () => KeyAgreement
}

/** The secret of both secrets, which are forgotten. */
function joined(hash: KexHash, ...secrets: Buffer[]): Buffer {
  const secret = hashParts(hash, ...secrets)
  for (const part of secrets) part.fill(0)
  return secret
}

/**
 * A KEM and a curve together (draft-ietf-sshm-mlkem-hybrid-kex §2.4, draft-ietf-sshm-ntruprime-ssh §3): values
 * concatenated, post-quantum part first; the secret is the hash of both secrets. Whoever breaks one still lacks the other.
 */
function hybrid({ name, hash, kem, classical }: Hybrid): KexMethod {
  return agreementMethod({
    name,
    hash,
    publicForm: 'string',
    secretForm: 'string',
    prepares: true,
    begin() {
      const key = kem.generate()
      const curve = classical()
      return {
        publicValue: Buffer.concat([key.publicKey, curve.publicValue]),
        finish(serverPublic) {
          try {
            if (serverPublic.length !== kem.ciphertextLength + curve.publicValue.length) return undefined
            const shared = curve.agree(serverPublic.subarray(kem.ciphertextLength))
            return shared && joined(hash, key.decapsulate(serverPublic.subarray(0, kem.ciphertextLength)), shared)
          } finally {
            key.wipe()
          }
        },
      }
    },
    respond(clientPublic) {
      const curve = classical()
      if (clientPublic.length !== kem.publicKeyLength + curve.publicValue.length) return undefined
      const shared = curve.agree(clientPublic.subarray(kem.publicKeyLength))
      if (!shared) return undefined
      const encapsulated = kem.encapsulate(clientPublic.subarray(0, kem.publicKeyLength))
      return (
        encapsulated && {
          publicValue: Buffer.concat([encapsulated.ciphertext, curve.publicValue]),
          secret: joined(hash, encapsulated.sharedSecret, shared),
        }
      )
    },
  })
}

const sntrup = (name: string) => hybrid({ name, hash: 'sha512', kem: sntrup761, classical: x25519 })

export const mlkem768X25519Sha256 = hybrid({
  name: 'mlkem768x25519-sha256',
  hash: 'sha256',
  kem: mlkem768,
  classical: x25519,
})
export const mlkem768Nistp256Sha256 = hybrid({
  name: 'mlkem768nistp256-sha256',
  hash: 'sha256',
  kem: mlkem768,
  classical: () => ecdh('nistp256'),
})
export const mlkem1024Nistp384Sha384 = hybrid({
  name: 'mlkem1024nistp384-sha384',
  hash: 'sha384',
  kem: mlkem1024,
  classical: () => ecdh('nistp384'),
})
export const sntrup761X25519Sha512 = sntrup('sntrup761x25519-sha512')
export const sntrup761X25519Sha512Openssh = sntrup('sntrup761x25519-sha512@openssh.com')
