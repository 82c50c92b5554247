import { createPrivateKey, createPublicKey } from 'node:crypto'
import {
  numbersOf,
  type PrivateNumbers,
  type PublicNumbers,
  privateKeyObject,
  publicKeyObject,
  publicNumbersOf,
} from './signature.ts'

/** `traditional` is PKCS#1 or SEC1 for private keys, PKCS#1 for public RSA keys. */
export type PemForm = 'pkcs8' | 'traditional'

/**
 * The numbers of a PEM private key (PKCS#1, SEC1, PKCS#8, plain or encrypted); undefined for a kind SSH does not have.
 * @throws what OpenSSL says when the text is no key or the passphrase is missing or wrong
 */
export const parsePem = (text: string, passphrase: Buffer | string | undefined): PrivateNumbers | undefined =>
  numbersOf(createPrivateKey({ key: text, format: 'pem', passphrase: passphrase ?? '' }))

/** The numbers of a public key in SubjectPublicKeyInfo or PKCS#1 PEM. @throws what OpenSSL says when the text is no key */
export const parsePublicPem = (text: string): PublicNumbers | undefined =>
  publicNumbersOf(createPublicKey({ key: text, format: 'pem' }))

/**
 * PEM text of a private key. With a passphrase it is encrypted with AES-128-CBC: by PBES2 in PKCS#8, by OpenSSL's old
 * headers in the traditional forms. Of the Edwards curves there is PKCS#8 only.
 */
export function formatPem(numbers: PrivateNumbers, form: PemForm, passphrase?: string | Buffer): string {
  const traditional = numbers.kind === 'rsa' ? 'pkcs1' : numbers.kind === 'ecdsa' ? 'sec1' : 'pkcs8'
  const type = form === 'pkcs8' ? 'pkcs8' : traditional
  const protection = passphrase?.length ? { cipher: 'aes-128-cbc', passphrase } : {}
  return privateKeyObject(numbers)
    .export({ format: 'pem', type: type as 'pkcs8', ...protection })
    .toString()
}

/** PEM text of a public key: SubjectPublicKeyInfo, or for RSA its own PKCS#1 form. */
export function formatPublicPem(numbers: PublicNumbers, form: PemForm): string {
  const type = form === 'traditional' && numbers.kind === 'rsa' ? 'pkcs1' : 'spki'
  return publicKeyObject(numbers)
    .export({ format: 'pem', type: type as 'spki' })
    .toString()
}
