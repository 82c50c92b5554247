import { createRequire } from 'node:module'

type MlDsa44 = typeof import('@noble/post-quantum/ml-dsa.js')['ml_dsa44']

let loaded: MlDsa44 | undefined

/** Loaded at its first use: most runs of most commands meet no such key, and would wait for it. */
function noble(): MlDsa44 {
  const load = createRequire(import.meta.url)
  loaded ??= (load('@noble/post-quantum/ml-dsa.js') as { ml_dsa44: MlDsa44 }).ml_dsa44
  return loaded
}

/** Lengths of ML-DSA-44 in bytes (FIPS 204, table 2). */
export const mldsa44 = { publicKeyLength: 1312, signatureLength: 2420, seedLength: 32 } as const

/** The public key that belongs to a seed (FIPS 204, algorithm 6). */
export function mldsa44PublicKey(seed: Buffer): Buffer {
  const { publicKey, secretKey } = noble().keygen(seed)
  secretKey.fill(0)
  return Buffer.from(publicKey)
}

/** A hedged signature (FIPS 204 §3.4) under a context of at most 255 bytes. */
export function mldsa44Sign(seed: Buffer, data: Buffer, context: Buffer): Buffer {
  const { secretKey } = noble().keygen(seed)
  const signature = Buffer.from(noble().sign(data, secretKey, { context }))
  secretKey.fill(0)
  return signature
}

/** Malformed signatures are false. */
export function mldsa44Verify(publicKey: Buffer, data: Buffer, signature: Buffer, context: Buffer): boolean {
  try {
    return noble().verify(signature, data, publicKey, { context })
  } catch {
    return false
  }
}
