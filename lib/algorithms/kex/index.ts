import type { KexMethod } from '../kex.ts'
import { groupExchangeSha1, groupExchangeSha256, sshComGroupExchanges } from './dh-gex.ts'
import {
  group1Sha1,
  group14Sha1,
  group14Sha256,
  group15Sha512,
  group16Sha512,
  group17Sha512,
  group18Sha512,
  sshComGroups,
} from './dh-group.ts'
import {
  curve448Sha512,
  curve25519Sha256,
  curve25519Sha256Libssh,
  ecdhNistp256,
  ecdhNistp384,
  ecdhNistp521,
  ecdhSecp256k1,
} from './ecdh.ts'
import {
  mlkem768Nistp256Sha256,
  mlkem768X25519Sha256,
  mlkem1024Nistp384Sha384,
  sntrup761X25519Sha512,
  sntrup761X25519Sha512Openssh,
} from './hybrid.ts'
import { rsa1024Sha1, rsa2048Sha256 } from './rsa.ts'

/** What a server offers by default: OpenSSH 10.5's list. */
export const defaultServerKex: readonly KexMethod[] = [
  mlkem768X25519Sha256,
  sntrup761X25519Sha512,
  sntrup761X25519Sha512Openssh,
  curve25519Sha256,
  curve25519Sha256Libssh,
  ecdhNistp256,
  ecdhNistp384,
  ecdhNistp521,
]

/** What a client offers by default: old servers may have nothing but a group. */
export const defaultKex: readonly KexMethod[] = [
  ...defaultServerKex,
  groupExchangeSha256,
  group16Sha512,
  group18Sha512,
  group14Sha256,
]

/** Every method, what is off by default after the rest. */
export const allKex: readonly KexMethod[] = [
  ...defaultKex,
  mlkem768Nistp256Sha256,
  mlkem1024Nistp384Sha384,
  curve448Sha512,
  ecdhSecp256k1,
  group15Sha512,
  group17Sha512,
  rsa2048Sha256,
  ...sshComGroups,
  ...sshComGroupExchanges,
  groupExchangeSha1,
  group14Sha1,
  group1Sha1,
  rsa1024Sha1,
]
