import { ecdsaNistp256, ecdsaNistp384, ecdsaNistp521 } from './ecdsa.ts'
import { ed25519 } from './ed25519.ts'
import type { KeyFamily } from './family.ts'
import { rsa } from './rsa.ts'

/** Every kind of key, in the order in which default files are tried. */
export const keyFamilies: readonly KeyFamily[] = [ed25519, ecdsaNistp256, ecdsaNistp384, ecdsaNistp521, rsa]

export const findFamily = (type: string): KeyFamily | undefined => keyFamilies.find(family => family.type === type)
