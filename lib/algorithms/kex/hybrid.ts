import { x25519 } from '../../crypto/ecdh.ts'
import { hash } from '../../crypto/hash.ts'
import { mlkem768, mlkem768Encapsulate, mlkem768Generate } from '../../crypto/mlkem.ts'
import { agreementMethod } from './agreement.ts'

const x25519Length = 32

/**
 * ML-KEM-768 and X25519 together (draft-ietf-sshm-mlkem-hybrid-kex §2.4): values concatenated, post-quantum part first;
 * the secret is SHA-256 of both secrets.
 */
export const mlkem768X25519Sha256 = agreementMethod({
  name: 'mlkem768x25519-sha256',
  hash: 'sha256',
  encodeSecret: 'string',
  begin() {
    const kem = mlkem768Generate()
    const ecdh = x25519()
    return {
      publicValue: Buffer.concat([kem.publicKey, ecdh.publicValue]),
      finish(serverPublic) {
        if (serverPublic.length !== mlkem768.ciphertextLength + x25519Length) return undefined
        const classical = ecdh.agree(serverPublic.subarray(mlkem768.ciphertextLength))
        if (!classical) return undefined
        return hash('sha256', kem.decapsulate(serverPublic.subarray(0, mlkem768.ciphertextLength)), classical)
      },
    }
  },
  respond(clientPublic) {
    if (clientPublic.length !== mlkem768.publicKeyLength + x25519Length) return undefined
    const ecdh = x25519()
    const classical = ecdh.agree(clientPublic.subarray(mlkem768.publicKeyLength))
    const kem = mlkem768Encapsulate(clientPublic.subarray(0, mlkem768.publicKeyLength))
    if (!classical || !kem) return undefined
    return {
      publicValue: Buffer.concat([kem.ciphertext, ecdh.publicValue]),
      secret: hash('sha256', kem.sharedSecret, classical),
    }
  },
})
