import { parsePem } from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import { PrivateKey } from '../private-key.ts'
import type { PublicKey } from '../public-key.ts'
import { isOpensshV1, parseOpensshV1, publicKeyOfOpensshV1 } from './openssh-v1.ts'

/** Longest private key file that is read, in bytes. */
const fileLimit = 1024 * 1024

function textOf(file: Buffer): string {
  if (file.length > fileLimit) throw new KeyError('malformed', 'private key file is too long')
  return file.toString('latin1')
}

/**
 * Reads a private key file: OpenSSH's format, PKCS#1, SEC1 or PKCS#8.
 * @throws KeyError `passphrase-required`, `wrong-passphrase`, `unknown-format`, `malformed`, `unsupported`
 */
export function parsePrivateKey(file: Buffer, passphrase?: string | Buffer): PrivateKey {
  const text = textOf(file)
  if (isOpensshV1(text)) return parseOpensshV1(text, passphrase)
  const label = /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----/.exec(text)?.[1]
  if (!label) throw new KeyError('unknown-format', 'not a private key')
  const encrypted = label === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(text)
  if (encrypted && !passphrase?.length) throw new KeyError('passphrase-required', 'private key needs a passphrase')
  let numbers: ReturnType<typeof parsePem>
  try {
    numbers = parsePem(text, passphrase)
  } catch (cause) {
    throw encrypted
      ? new KeyError('wrong-passphrase', 'wrong passphrase for the private key', { cause })
      : new KeyError('malformed', 'private key is malformed', { cause })
  }
  if (!numbers) throw new KeyError('unsupported', 'private key is of a kind that SSH does not have')
  return new PrivateKey(numbers)
}

/** The public half of a private key file that can be read without its passphrase. @throws KeyError */
export function publicPartOf(file: Buffer): PublicKey | undefined {
  const text = textOf(file)
  if (isOpensshV1(text)) return publicKeyOfOpensshV1(text)
  try {
    return parsePrivateKey(file).publicKey
  } catch (error) {
    if (error instanceof KeyError && error.code === 'passphrase-required') return undefined
    throw error
  }
}
