import type { CipherAlgorithm } from './cipher.ts'
import { aes128Gcm, aes256Gcm } from './ciphers/aes-gcm.ts'
import { cbcCiphers } from './ciphers/cbc.ts'
import { chacha20Poly1305 } from './ciphers/chacha20-poly1305.ts'
import { legacyCiphers } from './ciphers/legacy.ts'
import { aes128Ctr, aes192Ctr, aes256Ctr } from './ciphers/stream.ts'
import { none } from './compression/none.ts'
import { zlib, zlibDelayed } from './compression/zlib.ts'
import type { CompressionAlgorithm } from './compression.ts'
import { allKex, defaultKex, defaultServerKex } from './kex/index.ts'
import type { KexMethod } from './kex.ts'
import type { MacAlgorithm } from './mac.ts'
import {
  hmacSha1,
  hmacSha1Etm,
  hmacSha256,
  hmacSha256Etm,
  hmacSha512,
  hmacSha512Etm,
  sshComHmacs,
  weakHmacs,
} from './macs/hmac.ts'
import { umac64, umac64Etm, umac128, umac128Etm } from './macs/umac.ts'
import { defaultSignatureAlgorithms } from './signature.ts'

/**
 * Which algorithms a connection may use, best first: the order is the proposal and the list is the registry.
 * A value, given to client and server; nothing is registered globally.
 */
export interface Algorithms {
  readonly kex: readonly KexMethod[]
  /** Host key algorithm names: what a client accepts, or what a server offers with the keys that it has. */
  readonly hostKey: readonly string[]
  readonly cipher: readonly CipherAlgorithm[]
  readonly mac: readonly MacAlgorithm[]
  readonly compression: readonly CompressionAlgorithm[]
}

/**
 * What is offered by default. AES-GCM goes before ChaCha20 because it is several times faster here, in OpenSSL with the
 * processor's instructions; the rest is in OpenSSH's order.
 */
export const defaultAlgorithms: Algorithms = {
  kex: defaultKex,
  hostKey: defaultSignatureAlgorithms,
  cipher: [aes128Gcm, aes256Gcm, chacha20Poly1305, aes128Ctr, aes192Ctr, aes256Ctr],
  mac: [
    umac64Etm,
    umac128Etm,
    hmacSha256Etm,
    hmacSha512Etm,
    hmacSha1Etm,
    umac64,
    umac128,
    hmacSha256,
    hmacSha512,
    hmacSha1,
  ],
  compression: [none, zlibDelayed],
}

/** What a server offers by default: no plain Diffie-Hellman groups, as in OpenSSH. */
export const defaultServerAlgorithms: Algorithms = { ...defaultAlgorithms, kex: defaultServerKex }

/** Everything there is, what is off by default at the end. */
export const allAlgorithms: Algorithms = {
  ...defaultAlgorithms,
  kex: allKex,
  cipher: [...defaultAlgorithms.cipher, ...cbcCiphers, ...legacyCiphers],
  mac: [...defaultAlgorithms.mac, ...weakHmacs, ...sshComHmacs],
  compression: [...defaultAlgorithms.compression, zlib],
}
