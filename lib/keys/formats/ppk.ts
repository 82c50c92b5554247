import { type Argon2Kind, argon2 } from '../../crypto/argon2.ts'
import { equalBytes } from '../../crypto/constant-time.ts'
import { hash } from '../../crypto/hash.ts'
import { hmac } from '../../crypto/hmac.ts'
import { keyCiphers } from '../../crypto/key-cipher.ts'
import { randomBytes } from '../../crypto/random.ts'
import { KeyError } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { encode } from '../../wire/writer.ts'
import { isCertificateAlgorithm } from '../algorithms.ts'
import { findFamily } from '../families/index.ts'
import { PrivateKey } from '../private-key.ts'
import { type PublicKey, parsePublicKey, reading } from '../public-key.ts'

/** PuTTY's private key files (PuTTY manual, appendix C): versions 2 and 3. */

const start = 'PuTTY-User-Key-File-'
const cipherName = 'aes256-cbc'
const cipher = keyCiphers.find(({ name }) => name === cipherName)!
const argon2Kinds: Readonly<Record<string, Argon2Kind>> = {
  Argon2id: 'argon2id',
  Argon2i: 'argon2i',
  Argon2d: 'argon2d',
}

/** What a file may ask of its reader: KiB of memory, and KiB times passes. */
const memoryLimit = 256 * 1024
const workLimit = 4 * 1024 * 1024
const parallelismLimit = 64
const saltLimit = 1024

/** What we ask of readers: PuTTY's own memory, and passes that it takes a tenth of a second for. */
const written = { kind: 'Argon2id', memory: 8192, passes: 13, parallelism: 1, saltLength: 16 } as const

export type PpkVersion = 2 | 3

export const isPpk = (text: string): boolean => text.startsWith(start)

interface Ppk {
  readonly version: PpkVersion
  readonly type: string
  readonly encryption: string
  /** The bytes of the line, which the MAC covers. */
  readonly comment: Buffer
  readonly publicBlob: Buffer
  readonly privateBlob: Buffer
  readonly mac: Buffer
  readonly fields: ReadonlyMap<string, string>
}

function split(text: string): Ppk {
  const lines = text.split(/\r\n|\r|\n/)
  const fields = new Map<string, string>()
  const blobs = new Map<string, Buffer>()
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    if (line === '') continue
    const colon = line.indexOf(': ')
    const name = line.slice(0, colon)
    if (colon < 0 || fields.has(name)) throw new KeyError('malformed', `PuTTY key file: bad line ${at + 1}`)
    const value = line.slice(colon + 2)
    fields.set(name, value)
    if (!name.endsWith('-Lines')) continue
    const count = /^\d{1,5}$/.test(value) ? Number(value) : -1
    const base64 = lines.slice(at + 1, at + 1 + count).join('')
    if (count < 0 || at + count >= lines.length || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64))
      throw new KeyError('malformed', `PuTTY key file: bad ${name}`)
    blobs.set(name, Buffer.from(base64, 'base64'))
    at += count
  }
  const [header, type] = [...fields][0] ?? []
  const version = header === `${start}2` ? 2 : header === `${start}3` ? 3 : undefined
  if (!version || !type) throw new KeyError('unsupported', 'PuTTY key file of an unsupported version')
  const field = (name: string): string => {
    const value = fields.get(name)
    if (value === undefined) throw new KeyError('malformed', `PuTTY key file has no ${name}`)
    return value
  }
  const [publicBlob, privateBlob] = [blobs.get('Public-Lines'), blobs.get('Private-Lines')]
  if (!publicBlob || !privateBlob) throw new KeyError('malformed', 'PuTTY key file lacks a half of its key')
  const encryption = field('Encryption')
  if (encryption !== 'none' && encryption !== cipherName)
    throw new KeyError('unsupported', `PuTTY key file is protected by ${JSON.stringify(encryption)}`)
  const comment = Buffer.from(field('Comment'), 'latin1')
  const mac = Buffer.from(field('Private-MAC'), 'hex')
  return { version, type, encryption, comment, publicBlob, privateBlob, mac, fields }
}

interface Secrets {
  readonly key: Buffer
  readonly iv: Buffer
  readonly macKey: Buffer
}

function deriveV2(passphrase: Buffer): Secrets {
  const part = (count: number) => hash('sha1', Buffer.of(0, 0, 0, count), passphrase)
  return {
    key: Buffer.concat([part(0), part(1)]).subarray(0, cipher.keyLength),
    iv: Buffer.alloc(cipher.ivLength),
    macKey: hash('sha1', Buffer.from('putty-private-key-file-mac-key'), passphrase),
  }
}

interface Derivation {
  readonly kind: string
  readonly memory: number
  readonly passes: number
  readonly parallelism: number
  readonly salt: Buffer
}

function deriveV3(passphrase: Buffer, { kind, memory, passes, parallelism, salt }: Derivation): Secrets {
  const name = Object.hasOwn(argon2Kinds, kind) ? argon2Kinds[kind] : undefined
  if (!name) throw new KeyError('unsupported', `PuTTY key file derives its key by ${JSON.stringify(kind)}`)
  const macKeyLength = 32
  const length = cipher.keyLength + cipher.ivLength + macKeyLength
  const derived = argon2(passphrase, { kind: name, memory, passes, parallelism, salt, length })
  return {
    key: derived.subarray(0, cipher.keyLength),
    iv: derived.subarray(cipher.keyLength, cipher.keyLength + cipher.ivLength),
    macKey: derived.subarray(cipher.keyLength + cipher.ivLength),
  }
}

function readDerivation(fields: Ppk['fields']): Derivation {
  const number = (name: string): number => {
    const value = fields.get(name) ?? ''
    if (!/^\d{1,9}$/.test(value)) throw new KeyError('malformed', `PuTTY key file: bad ${name}`)
    return Number(value)
  }
  const [memory, passes] = [number('Argon2-Memory'), number('Argon2-Passes')]
  const parallelism = number('Argon2-Parallelism')
  const salt = Buffer.from(fields.get('Argon2-Salt') ?? '', 'hex')
  if (memory > memoryLimit || memory * passes > workLimit || parallelism > parallelismLimit)
    throw new KeyError('malformed', 'PuTTY key file asks for too much memory or time')
  if (passes < 1 || parallelism < 1 || memory < 8 * parallelism || salt.length < 8 || salt.length > saltLimit)
    throw new KeyError('malformed', 'PuTTY key file has Argon2 options out of range')
  return { kind: fields.get('Key-Derivation') ?? '', memory, passes, parallelism, salt }
}

const macOf = (version: PpkVersion, macKey: Buffer, file: Omit<Ppk, 'mac' | 'fields' | 'version'>): Buffer => {
  const covered = encode(writer =>
    writer.text(file.type).text(file.encryption).string(file.comment).string(file.publicBlob).string(file.privateBlob),
  )
  const mac = hmac(version === 2 ? 'sha1' : 'sha256', macKey, covered)
  covered.fill(0)
  return mac
}

/** The public half, which is there without the passphrase. @throws KeyError */
export const publicKeyOfPpk = (text: string): PublicKey =>
  reading('public key', () => parsePublicKey(split(text).publicBlob))

/** @throws KeyError `passphrase-required`, `wrong-passphrase`, `malformed`, `unsupported` */
export function parsePpk(text: string, passphrase: Buffer | string | undefined): PrivateKey {
  return reading('private key', () => {
    const file = split(text)
    const encrypted = file.encryption !== 'none'
    if (encrypted && !passphrase?.length) throw new KeyError('passphrase-required', 'private key needs a passphrase')
    const { privateBlob: sealed } = file
    if (encrypted && (sealed.length === 0 || sealed.length % cipher.blockLength !== 0))
      throw new KeyError('malformed', 'private key is not a whole number of blocks')
    const secret = encrypted ? Buffer.from(passphrase ?? '') : Buffer.alloc(0)
    let secrets: Secrets
    if (file.version === 2) secrets = deriveV2(secret)
    else if (encrypted) secrets = deriveV3(secret, readDerivation(file.fields))
    else secrets = { key: secret, iv: secret, macKey: secret }
    const privateBlob = encrypted ? cipher.decrypt(secrets.key, secrets.iv, sealed)! : sealed
    try {
      if (!equalBytes(macOf(file.version, secrets.macKey, { ...file, privateBlob }), file.mac)) {
        throw encrypted
          ? new KeyError('wrong-passphrase', 'wrong passphrase for the private key')
          : new KeyError('malformed', 'private key is damaged: its MAC is wrong')
      }
      return readKey(file, privateBlob)
    } finally {
      for (const bytes of [privateBlob, secret, ...Object.values(secrets)]) bytes.fill(0)
    }
  })
}

/** PuTTY's order of the private numbers, brought into OpenSSH's. */
function readKey({ type, publicBlob, comment }: Ppk, privateBlob: Buffer): PrivateKey {
  if (isCertificateAlgorithm(type)) throw new KeyError('unsupported', 'PuTTY key file holds a certificate')
  const family = findFamily(type)
  const publicReader = new Reader(publicBlob)
  if (!family || publicReader.text() !== type)
    throw new KeyError('unsupported', `unsupported key type ${JSON.stringify(type)}`)
  const publicFields = publicReader.rest()
  const reader = new Reader(privateBlob)
  const fields = encode(writer => {
    if (type === 'ssh-rsa') {
      const [d, p, q, iqmp] = [reader.mpint(), reader.mpint(), reader.mpint(), reader.mpint()]
      writer.mpint(d).mpint(iqmp).mpint(p).mpint(q)
    } else if (type === 'ssh-ed25519' || type === 'ssh-ed448') {
      const publicValue = new Reader(publicFields).string()
      writer.string(publicValue).string(Buffer.concat([reader.string(), publicValue]))
    } else writer.mpint(reader.mpint())
  })
  const edwards = type === 'ssh-ed25519' || type === 'ssh-ed448'
  const numbers = family.readPrivate(new Reader(fields), edwards ? undefined : new Reader(publicFields))
  fields.fill(0)
  const key = new PrivateKey(numbers, comment.toString())
  if (!key.publicKey.blob.equals(publicBlob)) throw new KeyError('mismatch', 'private key does not fit its public half')
  return key
}

function privateFields({ numbers }: PrivateKey): Buffer {
  return encode(writer => {
    switch (numbers.kind) {
      case 'rsa':
        return writer.mpint(numbers.d).mpint(numbers.p).mpint(numbers.q).mpint(numbers.iqmp)
      case 'dsa':
        return writer.mpint(numbers.x)
      case 'ecdsa':
        return writer.mpint(numbers.scalar)
      case 'ed25519':
      case 'ed448':
        return writer.string(numbers.seed)
      default:
        throw new KeyError('unsupported', 'PuTTY has no such kind of key')
    }
  })
}

export interface PpkOptions {
  readonly passphrase?: string | Buffer
  /** Default 3. */
  readonly version?: PpkVersion
  readonly comment?: string
}

/** The text of a PuTTY key file, its last newline included. @throws KeyError `unsupported` */
export function formatPpk(key: PrivateKey, options: PpkOptions = {}): string {
  const { version = 3, comment = key.comment } = options
  const encrypted = options.passphrase !== undefined && options.passphrase.length > 0
  const passphrase = Buffer.from(encrypted ? (options.passphrase ?? '') : '')
  const { saltLength, ...cost } = written
  const derivation: Derivation = { ...cost, salt: randomBytes(saltLength) }
  let plain = privateFields(key)
  const pad = encrypted ? (cipher.blockLength - (plain.length % cipher.blockLength)) % cipher.blockLength : 0
  plain = Buffer.concat([plain, hash('sha1', plain).subarray(0, pad)])
  let secrets: Secrets
  if (version === 2) secrets = deriveV2(passphrase)
  else if (encrypted) secrets = deriveV3(passphrase, derivation)
  else secrets = { key: passphrase, iv: passphrase, macKey: passphrase }
  const file = {
    type: key.publicKey.type,
    encryption: encrypted ? cipherName : 'none',
    comment: Buffer.from(comment.replace(/[\r\n]/g, ' ')),
    publicBlob: key.publicKey.blob,
    privateBlob: plain,
  }
  const mac = macOf(version, secrets.macKey, file)
  const sealed = encrypted ? cipher.encrypt(secrets.key, secrets.iv, plain) : plain
  const base64 = (name: string, blob: Buffer): string[] => {
    const lines = blob.toString('base64').match(/.{1,64}/g) ?? []
    return [`${name}: ${lines.length}`, ...lines]
  }
  const lines = [
    `${start}${version}: ${file.type}`,
    `Encryption: ${file.encryption}`,
    `Comment: ${file.comment}`,
    ...base64('Public-Lines', file.publicBlob),
    ...(encrypted && version === 3 ? derivationLines(derivation) : []),
    ...base64('Private-Lines', sealed),
    `Private-MAC: ${mac.toString('hex')}`,
  ]
  if (encrypted) plain.fill(0)
  return `${lines.join('\n')}\n`
}

const derivationLines = ({ kind, memory, passes, parallelism, salt }: Derivation): string[] => [
  `Key-Derivation: ${kind}`,
  `Argon2-Memory: ${memory}`,
  `Argon2-Passes: ${passes}`,
  `Argon2-Parallelism: ${parallelism}`,
  `Argon2-Salt: ${salt.toString('hex')}`,
]
