import { bcryptPbkdf } from '../../crypto/bcrypt-pbkdf.ts'
import { type KeyCipher, keyCiphers } from '../../crypto/key-cipher.ts'
import { randomBytes } from '../../crypto/random.ts'
import { KeyError } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { encode } from '../../wire/writer.ts'
import { findFamily } from '../families/index.ts'
import { PrivateKey } from '../private-key.ts'
import { type PublicKey, parsePublicKey, reading } from '../public-key.ts'

/** The private key format of PROTOCOL.key. */

const begin = '-----BEGIN OPENSSH PRIVATE KEY-----'
const end = '-----END OPENSSH PRIVATE KEY-----'
const magic = Buffer.from('openssh-key-v1\0')

/** Rounds of bcrypt that a file may ask for: more would hang whoever reads it. */
const roundsLimit = 10_000
const defaultRounds = 24
const saltLength = 16
/** Alignment of an unencrypted key. */
const plainBlockLength = 8

export const isOpensshV1 = (text: string): boolean => text.trimStart().startsWith(begin)

interface Container {
  readonly cipherName: string
  readonly kdfName: string
  readonly kdfOptions: Buffer
  readonly publicBlob: Buffer
  readonly sealed: Buffer
  /** Of an AEAD cipher, after the sealed string. */
  readonly tag: Buffer
}

function open(text: string): Container {
  const start = text.indexOf(begin)
  const stop = text.indexOf(end)
  if (start < 0 || stop < start) throw new KeyError('malformed', 'private key file has no end line')
  const bytes = Buffer.from(text.slice(start + begin.length, stop), 'base64')
  if (!bytes.subarray(0, magic.length).equals(magic))
    throw new KeyError('malformed', 'private key file has the wrong magic')
  const reader = new Reader(bytes, magic.length)
  const [cipherName, kdfName, kdfOptions] = [reader.text(), reader.text(), reader.string()]
  if (reader.uint32() !== 1) throw new KeyError('unsupported', 'private key file holds more than one key')
  const [publicBlob, sealed] = [reader.string(), reader.string()]
  return { cipherName, kdfName, kdfOptions, publicBlob, sealed, tag: reader.rest() }
}

/** The public half, which is there without the passphrase. @throws KeyError */
export const publicKeyOfOpensshV1 = (text: string): PublicKey =>
  reading('private key', () => parsePublicKey(open(text).publicBlob))

/** @throws KeyError `passphrase-required`, `wrong-passphrase`, `malformed`, `unsupported` */
export function parseOpensshV1(text: string, passphrase: Buffer | string | undefined): PrivateKey {
  return reading('private key', () => {
    const container = open(text)
    const plain = decrypt(container, passphrase)
    try {
      return readPlain(plain, container)
    } finally {
      plain.fill(0)
    }
  })
}

function decrypt(
  { cipherName, kdfName, kdfOptions, sealed, tag }: Container,
  passphrase: Buffer | string | undefined,
): Buffer {
  // `ssh-keygen -Z none` names a derivation that protects nothing.
  const plain = cipherName === 'none' && (kdfName === 'none' || kdfName === 'bcrypt')
  const cipher = plain ? undefined : keyCiphers.find(({ name }) => name === cipherName)
  if (tag.length !== (cipher?.tagLength ?? 0)) throw new KeyError('malformed', 'private key has trailing bytes')
  if (plain) return sealed
  if (!cipher || kdfName !== 'bcrypt') {
    throw new KeyError(
      'unsupported',
      `private key is protected by ${JSON.stringify(cipherName)} with ${JSON.stringify(kdfName)}`,
    )
  }
  if (passphrase === undefined || passphrase.length === 0)
    throw new KeyError('passphrase-required', 'private key needs a passphrase')
  const options = new Reader(kdfOptions)
  const [salt, rounds] = [options.string(), options.uint32()]
  options.finish()
  if (rounds < 1 || rounds > roundsLimit)
    throw new KeyError('malformed', `private key asks for ${rounds} rounds of bcrypt`)
  if (salt.length === 0 || salt.length > 1024)
    throw new KeyError('malformed', 'private key has a salt of the wrong length')
  if (
    (sealed.length - cipher.tagLength) % cipher.blockLength !== 0 ||
    sealed.length < cipher.blockLength + cipher.tagLength
  ) {
    throw new KeyError('malformed', 'private key is not a whole number of blocks')
  }
  const { key, iv } = deriveKey(cipher, passphrase, salt, rounds)
  const opened = cipher.decrypt(key, iv, Buffer.concat([sealed, tag]))
  key.fill(0)
  if (!opened) throw new KeyError('wrong-passphrase', 'wrong passphrase for the private key')
  return opened
}

function deriveKey(
  cipher: KeyCipher,
  passphrase: Buffer | string,
  salt: Buffer,
  rounds: number,
): { key: Buffer; iv: Buffer } {
  const secret = Buffer.from(passphrase)
  const derived = bcryptPbkdf(secret, salt, rounds, cipher.keyLength + cipher.ivLength)
  secret.fill(0)
  return { key: derived.subarray(0, cipher.keyLength), iv: derived.subarray(cipher.keyLength) }
}

function readPlain(plain: Buffer, { cipherName, publicBlob }: Container): PrivateKey {
  const reader = new Reader(plain)
  const checks = [reader.uint32(), reader.uint32()]
  if (checks[0] !== checks[1]) {
    throw cipherName === 'none'
      ? new KeyError('malformed', 'private key is damaged')
      : new KeyError('wrong-passphrase', 'wrong passphrase for the private key')
  }
  const type = reader.text()
  const family = findFamily(type)
  if (!family) throw new KeyError('unsupported', `unsupported key type ${JSON.stringify(type)}`)
  const numbers = family.readPrivate(reader)
  const comment = reader.text()
  const padding = reader.rest()
  if (padding.some((byte, i) => byte !== ((i + 1) & 0xff)))
    throw new KeyError('malformed', 'private key has wrong padding')
  const key = new PrivateKey(numbers, comment)
  if (!key.publicKey.blob.equals(publicBlob)) throw new KeyError('mismatch', 'private key does not fit its public half')
  return key
}

export interface OpensshV1Options {
  readonly passphrase?: string | Buffer
  /** Default `aes256-ctr`. */
  readonly cipher?: string
  /** Rounds of bcrypt, default 24. */
  readonly rounds?: number
  readonly comment?: string
}

/** The text of a private key file, its last newline included. @throws KeyError for an unknown cipher */
export function formatOpensshV1(
  key: PrivateKey,
  {
    passphrase,
    cipher: cipherName = 'aes256-ctr',
    rounds = defaultRounds,
    comment = key.comment,
  }: OpensshV1Options = {},
): string {
  const encrypted = passphrase !== undefined && passphrase.length > 0
  const cipher = encrypted ? keyCiphers.find(({ name }) => name === cipherName) : undefined
  if (encrypted && !cipher) throw new KeyError('unsupported', `Unsupported cipher ${JSON.stringify(cipherName)}`)
  const blockLength = cipher?.blockLength ?? plainBlockLength
  const plain = encode(writer => {
    const check = randomBytes(4)
    writer.bytes(check).bytes(check).text(key.family.type)
    key.family.writePrivate(writer, key.numbers)
    writer.text(comment)
    for (let pad = 1; writer.length % blockLength !== 0; pad++) writer.byte(pad & 0xff)
  })
  const salt = randomBytes(saltLength)
  let sealed = plain
  if (cipher && passphrase !== undefined) {
    const { key: secret, iv } = deriveKey(cipher, passphrase, salt, rounds)
    sealed = cipher.encrypt(secret, iv, plain)
    plain.fill(0)
  }
  const body = encode(writer => {
    writer
      .bytes(magic)
      .text(cipher?.name ?? 'none')
      .text(cipher ? 'bcrypt' : 'none')
    writer.string(cipher ? encode(options => options.string(salt).uint32(rounds)) : Buffer.alloc(0))
    const tag = cipher?.tagLength ?? 0
    writer
      .uint32(1)
      .string(key.publicKey.blob)
      .string(sealed.subarray(0, sealed.length - tag))
      .bytes(sealed.subarray(sealed.length - tag))
  })
  const lines = body.toString('base64').match(/.{1,70}/g) ?? []
  return `${[begin, ...lines, end].join('\n')}\n`
}
