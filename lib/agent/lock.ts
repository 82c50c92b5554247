import { bcryptPbkdf } from '../crypto/bcrypt-pbkdf.ts'
import { randomBytes } from '../crypto/random.ts'
import { openSecret, sealSecret, secretBox } from '../crypto/secret-box.ts'

/**
 * What a locked agent holds in place of its keys: all of them, encrypted under the passphrase. OpenSSH's agent keeps
 * them in the clear and a hash of the passphrase beside them.
 */
export interface SealedSecrets {
  readonly salt: Buffer
  readonly box: Buffer
}

const saltLength = 16
/** Few: a wrong answer also costs its asker a delay, and a right one should not. */
const rounds = 4

function derive(passphrase: Buffer, salt: Buffer): { key: Buffer; nonce: Buffer } {
  const derived = bcryptPbkdf(passphrase, salt, rounds, secretBox.keyLength + secretBox.nonceLength)
  return { key: derived.subarray(0, secretBox.keyLength), nonce: derived.subarray(secretBox.keyLength) }
}

/** Encrypts; the salt is new each time, and with it key and nonce. */
export function sealSecrets(passphrase: Buffer, secrets: Buffer): SealedSecrets {
  const salt = randomBytes(saltLength)
  const { key, nonce } = derive(passphrase, salt)
  const box = sealSecret(key, nonce, secrets)
  key.fill(0)
  return { salt, box }
}

/** @returns undefined for a wrong passphrase */
export function openSecrets(passphrase: Buffer, { salt, box }: SealedSecrets): Buffer | undefined {
  const { key, nonce } = derive(passphrase, salt)
  const secrets = openSecret(key, nonce, box)
  key.fill(0)
  return secrets
}
