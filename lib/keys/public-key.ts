import { KeyError, SshError, sanitize } from '../errors.ts'
import { ownCopy } from '../wire/own-copy.ts'
import { Reader } from '../wire/reader.ts'
import type { KeyFamily, PublicMaterial, VerifyOptions } from './families/family.ts'
import { findFamily } from './families/index.ts'

/** A public key of any family. Instances come from `parsePublicKey` (a blob) or `parsePublicKeyLine` (a `.pub` line). */
export interface PublicKey {
  /** Key type name as in the blob: `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256`. */
  readonly type: string
  /** The name that OpenSSH prints: `ED25519`, `RSA`, `ECDSA`. */
  readonly label: string
  readonly bits: number
  /** The wire encoding (RFC 4253 §6.6), type name included. */
  readonly blob: Buffer
  /** Signature algorithm names that this key can be used under, best first. */
  readonly algorithms: readonly string[]
  /** Of a security key: the application it was made for, `ssh:` and what follows. */
  readonly application?: string | undefined
  /**
   * Whether `signature` (encoded: string format, string bytes, and for security keys what they add) over `data` is this
   * key's. When `algorithm` is given, the signature's format must be exactly that one. Malformed signatures are false,
   * never a throw. A security key must have been touched, unless `options` say otherwise.
   */
  verify(data: Buffer, signature: Buffer, algorithm?: string, options?: VerifyOptions): boolean
  equals(other: PublicKey): boolean
}

/** Longest blob that is looked at, in bytes: an RSA key of 16384 bits with room. */
const blobLimit = 64 * 1024

/** Reads a public key blob. @throws KeyError */
export function parsePublicKey(blob: Buffer): PublicKey {
  return reading('public key', () => {
    if (blob.length > blobLimit) throw new KeyError('malformed', 'public key is too long')
    const reader = new Reader(blob)
    const type = reader.text()
    const family = findFamily(type)
    if (!family) throw new KeyError('unsupported', `unsupported key type ${sanitize(JSON.stringify(type))}`)
    // A copy first: the key keeps views of what it reads.
    const own = ownCopy(blob)
    const rest = new Reader(own, reader.offset)
    const material = family.readPublic(rest)
    rest.finish()
    return new FamilyPublicKey(family, material, own)
  })
}

/** Runs a parser and turns malformed wire data into a KeyError that says what was read. */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof KeyError) throw error
    if (error instanceof SshError)
      throw new KeyError('malformed', `${what} is malformed: ${error.message}`, { cause: error })
    // OpenSSL refuses numbers that are no key at all.
    throw new KeyError('malformed', `${what} is not valid`, { cause: error })
  }
}

class FamilyPublicKey implements PublicKey {
  readonly blob: Buffer
  readonly #family: KeyFamily
  readonly #material: PublicMaterial

  constructor(family: KeyFamily, material: PublicMaterial, blob: Buffer) {
    this.#family = family
    this.#material = material
    this.blob = blob
  }

  get type(): string {
    return this.#family.type
  }

  get label(): string {
    return this.#family.label
  }

  get bits(): number {
    return this.#material.bits
  }

  get algorithms(): readonly string[] {
    return this.#family.algorithms.map(({ name }) => name)
  }

  get application(): string | undefined {
    return this.#material.application
  }

  verify(data: Buffer, signature: Buffer, algorithm?: string, options: VerifyOptions = {}): boolean {
    try {
      const reader = new Reader(signature)
      const format = reader.text()
      if (algorithm !== undefined && format !== algorithm) return false
      const known = this.#family.algorithms.find(({ name }) => name === format)
      return known !== undefined && this.#material.verify(known, data, reader, options)
    } catch (error) {
      if (error instanceof SshError) return false
      throw error
    }
  }

  equals(other: PublicKey): boolean {
    return this.blob.equals(other.blob)
  }
}

/** A line of a `.pub` file or the key part of an authorized_keys line. */
export interface PublicKeyLine {
  readonly key: PublicKey
  readonly comment: string
}

/** Takes `type base64 comment` apart. @throws KeyError */
export function splitKeyLine(line: string): { type: string; blob: Buffer; comment: string } {
  const [, type, base64, comment = ''] =
    /^[ \t]*(\S+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+(.*?))?\s*$/s.exec(line) ?? []
  if (!type || !base64) throw new KeyError('unknown-format', 'not a public key')
  return { type, blob: Buffer.from(base64, 'base64'), comment }
}

/** Reads `type base64 comment` of a plain key. The type must be the blob's own. @throws KeyError */
export function parsePublicKeyLine(line: string): PublicKeyLine {
  const { type, blob, comment } = splitKeyLine(line)
  const key = parsePublicKey(blob)
  if (key.type !== type) throw new KeyError('malformed', 'public key is of another type than its line says')
  return { key, comment }
}

/** `type base64 comment`, as in a `.pub` file, without a newline. */
export const formatPublicKeyLine = (key: Pick<PublicKey, 'type' | 'blob'>, comment = ''): string =>
  `${key.type} ${key.blob.toString('base64')}${comment ? ` ${comment}` : ''}`
