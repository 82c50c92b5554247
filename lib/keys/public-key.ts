import { KeyError, SshError, sanitize } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import type { KeyFamily, PublicMaterial } from './families/family.ts'
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
  /**
   * Whether `signature` (encoded: string format, string bytes) over `data` is this key's. When `algorithm` is given, the
   * signature's format must be exactly that one. Malformed signatures are false, never a throw.
   */
  verify(data: Buffer, signature: Buffer, algorithm?: string): boolean
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
    const material = family.readPublic(reader)
    reader.finish()
    return new FamilyPublicKey(family, material, Buffer.from(blob))
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

  verify(data: Buffer, signature: Buffer, algorithm?: string): boolean {
    let format: string
    let bytes: Buffer
    try {
      const reader = new Reader(signature)
      format = reader.text()
      bytes = reader.string()
      reader.finish()
    } catch {
      return false
    }
    if (algorithm !== undefined && format !== algorithm) return false
    const known = this.#family.algorithms.find(({ name }) => name === format)
    const decoded = known && this.#family.decodeSignature(bytes)
    return decoded !== undefined && this.#material.verify(known?.hash, data, decoded)
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

/** Reads `type base64 comment`. The type must be the blob's own. @throws KeyError */
export function parsePublicKeyLine(line: string): PublicKeyLine {
  const [, type, base64, comment = ''] = /^[ \t]*(\S+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+(.*?))?\s*$/.exec(line) ?? []
  if (!type || !base64) throw new KeyError('unknown-format', 'not a public key')
  const key = parsePublicKey(Buffer.from(base64, 'base64'))
  if (key.type !== type) throw new KeyError('malformed', 'public key is of another type than its line says')
  return { key, comment }
}

/** `type base64 comment`, as in a `.pub` file, without a newline. */
export const formatPublicKeyLine = (key: Pick<PublicKey, 'type' | 'blob'>, comment = ''): string =>
  `${key.type} ${key.blob.toString('base64')}${comment ? ` ${comment}` : ''}`
