import { hash } from '../../crypto/hash.ts'
import { keyCiphers } from '../../crypto/key-cipher.ts'
import { formatPem, formatPublicPem, type PemForm, parsePem, parsePublicPem } from '../../crypto/pem.ts'
import { randomBytes } from '../../crypto/random.ts'
import type { PrivateNumbers } from '../../crypto/signature.ts'
import { KeyError, SshError } from '../../errors.ts'
import { DerReader, derInteger, derSequence, derTag } from '../../wire/der.ts'
import { PrivateKey } from '../private-key.ts'
import type { PublicKey } from '../public-key.ts'
import { publicKeyOfNumbers, publicNumbers } from '../public-numbers.ts'

/** PEM key files (RFC 7468): PKCS#1, SEC1 and PKCS#8, plain or encrypted. */

export type { PemForm }

/** Rounds of key derivation that a file may ask for: more would hang whoever reads it. */
const roundsLimit = 10_000_000n
/** OpenSSH takes no shorter passphrase for these forms. */
const shortestPassphrase = 5

const privateLabel = (text: string): string | undefined => /-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----/.exec(text)?.[1]

export const isPrivatePem = (text: string): boolean => privateLabel(text) !== undefined

/** @throws KeyError `passphrase-required`, `wrong-passphrase`, `malformed`, `unsupported` */
export function parsePrivatePem(text: string, passphrase?: string | Buffer): PrivateKey {
  const encrypted = privateLabel(text) === 'ENCRYPTED PRIVATE KEY' || /^Proc-Type: 4,ENCRYPTED/m.test(text)
  if (encrypted && !passphrase?.length) throw new KeyError('passphrase-required', 'private key needs a passphrase')
  if (encrypted) checkRounds(text)
  let numbers: PrivateNumbers | undefined
  try {
    numbers = parsePem(text, passphrase)
  } catch (cause) {
    if (isUnsupported(cause))
      throw new KeyError('unsupported', 'private key is encrypted in an unsupported way', { cause })
    throw encrypted
      ? new KeyError('wrong-passphrase', 'wrong passphrase for the private key', { cause })
      : new KeyError('malformed', 'private key is malformed', { cause })
  }
  if (!numbers) throw new KeyError('unsupported', 'private key is of a kind that SSH does not have')
  return new PrivateKey(numbers)
}

/** OpenSSL calls what a wrong passphrase made unsupported too, when it looks decrypted by chance: its ASN.1 is broken. */
function isUnsupported(error: unknown): boolean {
  if (!(error instanceof Error && 'code' in error && error.code === 'ERR_OSSL_UNSUPPORTED')) return false
  const stack = 'opensslErrorStack' in error ? String(error.opensslErrorStack) : ''
  return !stack.includes('asn1 encoding routines')
}

/** Looks for a number of rounds before OpenSSL obeys it. What is malformed is OpenSSL's to say. */
function checkRounds(text: string): void {
  const body = /-----BEGIN ENCRYPTED PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END/.exec(text)?.[1]
  if (body === undefined) return
  try {
    if (largestInteger(new DerReader(Buffer.from(body, 'base64')).sequence().sequence(), 0) > roundsLimit)
      throw new KeyError('malformed', 'private key asks for too many rounds of key derivation')
  } catch (error) {
    if (error instanceof KeyError || !(error instanceof SshError)) throw error
  }
}

function largestInteger(reader: DerReader, depth: number): bigint {
  let largest = 0n
  while (reader.remaining > 0) {
    const { tag, body } = reader.any()
    let value = 0n
    if (tag === derTag.integer && body.length <= 16) value = BigInt(`0x0${body.toString('hex')}`)
    else if (tag === derTag.integer) value = roundsLimit + 1n
    else if (tag === derTag.sequence && depth < 8) value = largestInteger(new DerReader(body), depth + 1)
    if (value > largest) largest = value
  }
  return largest
}

const nodeKinds: readonly string[] = ['rsa', 'dsa', 'ecdsa', 'ed25519', 'ed448']

/**
 * The text of a private key file; encrypted with AES-128-CBC when there is a passphrase.
 * @throws KeyError `unsupported` for keys that PEM has no form for, `not-valid` for a passphrase that is too short
 */
export function formatPrivatePem({ numbers, family }: PrivateKey, form: PemForm, passphrase?: string | Buffer): string {
  if (!isPemMaterial(numbers)) throw new KeyError('unsupported', `unsupported key type ${family.label}`)
  if (passphrase?.length && Buffer.byteLength(passphrase) < shortestPassphrase)
    throw new KeyError('not-valid', 'passphrase is too short (minimum five characters)')
  if (numbers.kind !== 'dsa' || form === 'pkcs8') return formatPem(numbers, form, passphrase)
  const { p, q, g, y, x } = numbers
  const der = derSequence(...[Buffer.alloc(0), p, q, g, y, x].map(derInteger))
  return formatTraditional('DSA PRIVATE KEY', der, passphrase)
}

const isPemMaterial = (numbers: PrivateKey['numbers']): numbers is PrivateNumbers => nodeKinds.includes(numbers.kind)

/** PEM as OpenSSL always wrote it; its encryption takes the key from one round of MD5. Node does this for RSA and EC only. */
function formatTraditional(label: string, der: Buffer, passphrase?: string | Buffer): string {
  const headers: string[] = []
  let body = der
  if (passphrase?.length) {
    const cipher = keyCiphers.find(({ name }) => name === 'aes128-cbc')!
    const iv = randomBytes(cipher.ivLength)
    const key = hash('md5', Buffer.from(passphrase), iv.subarray(0, 8))
    const pad = cipher.blockLength - (der.length % cipher.blockLength)
    body = cipher.encrypt(key, iv, Buffer.concat([der, Buffer.alloc(pad, pad)]))
    key.fill(0)
    headers.push('Proc-Type: 4,ENCRYPTED', `DEK-Info: AES-128-CBC,${iv.toString('hex').toUpperCase()}`, '')
  }
  const lines = body.toString('base64').match(/.{1,64}/g) ?? []
  return `${[`-----BEGIN ${label}-----`, ...headers, ...lines, `-----END ${label}-----`].join('\n')}\n`
}

/** Reads SubjectPublicKeyInfo or PKCS#1. @throws KeyError */
export function parsePublicPemKey(text: string): PublicKey {
  if (!/-----BEGIN (RSA )?PUBLIC KEY-----/.test(text)) throw new KeyError('unknown-format', 'not a PEM public key')
  let numbers: ReturnType<typeof parsePublicPem>
  try {
    numbers = parsePublicPem(text)
  } catch (cause) {
    throw new KeyError('malformed', 'PEM public key is malformed', { cause })
  }
  if (!numbers) throw new KeyError('unsupported', 'public key is of a kind that SSH does not have')
  return publicKeyOfNumbers(numbers)
}

/** SubjectPublicKeyInfo; `traditional` is PKCS#1 for RSA. @throws KeyError `unsupported` */
export const formatPublicPemKey = (key: PublicKey, form: PemForm): string => formatPublicPem(publicNumbers(key), form)
