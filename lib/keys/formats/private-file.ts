import { KeyError } from '../../errors.ts'
import type { PrivateKey } from '../private-key.ts'
import type { PublicKey } from '../public-key.ts'
import { isOpensshV1, parseOpensshV1, publicKeyOfOpensshV1 } from './openssh-v1.ts'
import { isPrivatePem, parsePrivatePem } from './pem.ts'
import { isPpk, parsePpk, publicKeyOfPpk } from './ppk.ts'
import { isSshCom, parseSshCom } from './ssh-com.ts'

/** Longest private key file that is read, in bytes. */
const fileLimit = 1024 * 1024

function textOf(file: Buffer): string {
  if (file.length > fileLimit) throw new KeyError('malformed', 'private key file is too long')
  return file.toString('latin1')
}

/**
 * Reads a private key file: OpenSSH's format, PKCS#1, SEC1, PKCS#8, PuTTY's or ssh.com's.
 * @throws KeyError `passphrase-required`, `wrong-passphrase`, `unknown-format`, `malformed`, `unsupported`
 */
export function parsePrivateKey(file: Buffer, passphrase?: string | Buffer): PrivateKey {
  const text = textOf(file)
  if (isOpensshV1(text)) return parseOpensshV1(text, passphrase)
  if (isPpk(text)) return parsePpk(text, passphrase)
  if (isSshCom(text)) return parseSshCom(text, passphrase)
  if (isPrivatePem(text)) return parsePrivatePem(text, passphrase)
  throw new KeyError('unknown-format', 'not a private key')
}

/** The public half of a private key file that can be read without its passphrase. @throws KeyError */
export function publicPartOf(file: Buffer): PublicKey | undefined {
  const text = textOf(file)
  if (isOpensshV1(text)) return publicKeyOfOpensshV1(text)
  if (isPpk(text)) return publicKeyOfPpk(text)
  try {
    return parsePrivateKey(file).publicKey
  } catch (error) {
    if (error instanceof KeyError && error.code === 'passphrase-required') return undefined
    throw error
  }
}
