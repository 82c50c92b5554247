import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'

/** Lengths of ML-KEM-768 in bytes (FIPS 203, table 3). */
export const mlkem768 = { publicKeyLength: 1184, ciphertextLength: 1088, secretLength: 32 } as const

/** A decapsulation key for one exchange. */
export interface Mlkem768Key {
  readonly publicKey: Buffer
  /** Implicit rejection: a wrong ciphertext gives a secret that nobody shares (FIPS 203 §6.3). */
  decapsulate(ciphertext: Buffer): Buffer
}

export function mlkem768Generate(): Mlkem768Key {
  const { publicKey, secretKey } = ml_kem768.keygen()
  return {
    publicKey: Buffer.from(publicKey),
    decapsulate: ciphertext => Buffer.from(ml_kem768.decapsulate(ciphertext, secretKey)),
  }
}

/** @returns undefined when the key fails the modulus check (FIPS 203 §7.2). */
export function mlkem768Encapsulate(publicKey: Buffer): { ciphertext: Buffer; sharedSecret: Buffer } | undefined {
  try {
    const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey)
    return { ciphertext: Buffer.from(cipherText), sharedSecret: Buffer.from(sharedSecret) }
  } catch {
    return undefined
  }
}
