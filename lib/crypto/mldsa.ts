import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'

/** Lengths of ML-DSA-44 in bytes (FIPS 204, table 2). */
export const mldsa44 = { publicKeyLength: 1312, signatureLength: 2420, seedLength: 32 } as const

/** The public key that belongs to a seed (FIPS 204, algorithm 6). */
export function mldsa44PublicKey(seed: Buffer): Buffer {
  return Buffer.from(ml_dsa44.keygen(seed).publicKey)
}

/** A hedged signature (FIPS 204 §3.4) under a context of at most 255 bytes. */
export function mldsa44Sign(seed: Buffer, data: Buffer, context: Buffer): Buffer {
  const { secretKey } = ml_dsa44.keygen(seed)
  const signature = Buffer.from(ml_dsa44.sign(data, secretKey, { context }))
  secretKey.fill(0)
  return signature
}

/** Malformed signatures are false. */
export function mldsa44Verify(publicKey: Buffer, data: Buffer, signature: Buffer, context: Buffer): boolean {
  try {
    return ml_dsa44.verify(signature, data, publicKey, { context })
  } catch {
    return false
  }
}
