import { dsa } from './dsa.ts'
import { ecdsaNistp256, ecdsaNistp384, ecdsaNistp521, ecdsaSecp256k1 } from './ecdsa.ts'
import { ed448, ed25519 } from './edwards.ts'
import type { KeyFamily } from './family.ts'
import { mldsa44Ed25519 } from './mldsa44-ed25519.ts'
import { rsa } from './rsa.ts'
import { skEcdsa, skEd25519 } from './sk.ts'

/** Every kind of key, best first; `defaultSignatureAlgorithms` says which are used when nobody asked for one. */
export const keyFamilies: readonly KeyFamily[] = [
  ed25519,
  ecdsaNistp256,
  ecdsaNistp384,
  ecdsaNistp521,
  skEd25519,
  skEcdsa,
  rsa,
  mldsa44Ed25519,
  ed448,
  ecdsaSecp256k1,
  dsa,
]

export const findFamily = (type: string): KeyFamily | undefined => keyFamilies.find(family => family.type === type)
