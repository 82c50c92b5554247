import type { CipherAlgorithm } from './cipher.ts'
import { aes128Gcm, aes256Gcm } from './ciphers/aes-gcm.ts'
import { chacha20Poly1305 } from './ciphers/chacha20-poly1305.ts'
import { aes128Ctr, aes192Ctr, aes256Ctr } from './ciphers/stream.ts'
import { none } from './compression/none.ts'
import type { CompressionAlgorithm } from './compression.ts'
import { curve25519Sha256, curve25519Sha256Libssh, ecdhNistp256, ecdhNistp384, ecdhNistp521 } from './kex/ecdh.ts'
import { mlkem768X25519Sha256 } from './kex/hybrid.ts'
import type { KexMethod } from './kex.ts'
import type { MacAlgorithm } from './mac.ts'
import { hmacSha256, hmacSha256Etm, hmacSha512, hmacSha512Etm } from './macs/hmac.ts'

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
  kex: [mlkem768X25519Sha256, curve25519Sha256, curve25519Sha256Libssh, ecdhNistp256, ecdhNistp384, ecdhNistp521],
  hostKey: [
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-512',
    'rsa-sha2-256',
  ],
  cipher: [aes128Gcm, aes256Gcm, chacha20Poly1305, aes128Ctr, aes192Ctr, aes256Ctr],
  mac: [hmacSha256Etm, hmacSha512Etm, hmacSha256, hmacSha512],
  compression: [none],
}

/** Everything there is, what is off by default at the end. */
export const allAlgorithms: Algorithms = defaultAlgorithms
