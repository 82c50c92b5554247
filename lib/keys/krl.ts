import { hash } from '../crypto/hash.ts'
import { KeyError } from '../errors.ts'
import { decodePath, encodePath } from '../wire/path.ts'
import type { Certificate } from './certificate.ts'
import type { PublicKey } from './public-key.ts'
import { SerialSet } from './serial-set.ts'

/** Certificates of one authority, or of any, that are revoked. */
export interface RevokedCertificates {
  /** Undefined: whoever signed them. */
  readonly authority: PublicKey | undefined
  readonly serials: SerialSet
  /** Key IDs; a byte that is not UTF-8 as in `lib/wire/path.ts`. */
  readonly keyIds: ReadonlySet<string>
}

interface MutableCertificates extends RevokedCertificates {
  readonly keyIds: Set<string>
}

const digestLength = { sha1: 20, sha256: 32 } as const

/**
 * A key revocation list (OpenSSH's PROTOCOL.krl): keys, their digests, and certificates by serial number or key ID.
 * `parseKrl` and `formatKrl` (krl-format.ts) read and write it.
 */
export class Krl {
  /** Grows with every change that is published. */
  version = 0n
  /** When it was written, in seconds since 1970; 0 when never. */
  generated = 0n
  comment = ''
  /** Whose signatures the file bore. They were checked; whether these keys are trusted was not. */
  signers: readonly PublicKey[] = []

  readonly #certificates: MutableCertificates[] = []
  readonly #keys = new ByteStrings()
  readonly #digests = { sha1: new ByteStrings(), sha256: new ByteStrings() } as const

  /** Authorities in the order in which they were first named. */
  get certificates(): readonly RevokedCertificates[] {
    return this.#certificates
  }

  /** Blobs of plain public keys, in order of their bytes. */
  get keys(): Buffer[] {
    return this.#keys.sorted()
  }

  /** Digests of plain public keys' blobs, in order. */
  digests(kind: 'sha1' | 'sha256'): Buffer[] {
    return this.#digests[kind].sorted()
  }

  /** The certificates of an authority, of which there may be none yet. Undefined stands for every authority. */
  certificatesOf(authority: PublicKey | undefined): RevokedCertificates {
    return this.#of(authority)
  }

  #of(authority: PublicKey | undefined): MutableCertificates {
    const known = this.#certificates.find(entry =>
      authority && entry.authority ? authority.equals(entry.authority) : authority === entry.authority,
    )
    if (known) return known
    const added = { authority, serials: new SerialSet(), keyIds: new Set<string>() }
    this.#certificates.push(added)
    return added
  }

  /** @throws KeyError `malformed` when the range is empty or begins at 0 */
  revokeSerials(authority: PublicKey | undefined, first: bigint, last: bigint = first): void {
    this.#of(authority).serials.add(first, last)
  }

  revokeKeyId(authority: PublicKey | undefined, keyId: string): void {
    this.#of(authority).keyIds.add(keyId)
  }

  /** Revokes a plain key by its blob, of any type, known to us or not. */
  revokeBlob(blob: Buffer): void {
    this.#keys.add(blob)
  }

  /** @throws KeyError `malformed` when the digest is of the wrong length */
  revokeDigest(kind: 'sha1' | 'sha256', digest: Buffer): void {
    if (digest.length !== digestLength[kind]) throw new KeyError('malformed', `${kind} digest of the wrong length`)
    this.#digests[kind].add(digest)
  }

  /** Revokes a key, or a certificate by its serial number, or by its key ID when it has none. */
  revoke(subject: PublicKey | Certificate): void {
    if (!isCertificate(subject)) this.revokeBlob(subject.blob)
    else if (subject.serial !== 0n) this.revokeSerials(subject.signatureKey, subject.serial)
    else this.revokeKeyId(subject.signatureKey, subject.keyId)
  }

  /** Whether a plain key is revoked. */
  hasKey({ blob }: PublicKey): boolean {
    return (
      this.#keys.has(blob) ||
      this.#digests.sha256.has(hash('sha256', blob)) ||
      (this.#digests.sha1.size > 0 && this.#digests.sha1.has(hash('sha1', blob)))
    )
  }

  /** Whether a certificate itself is, by serial number or key ID; its key and its authority are not looked at. */
  hasCertificate({ serial, keyId, signatureKey }: Certificate): boolean {
    return this.#certificates.some(
      ({ authority, serials, keyIds }) =>
        (!authority || authority.equals(signatureKey)) && (keyIds.has(keyId) || (serial !== 0n && serials.has(serial))),
    )
  }
}

/** Whether a key is revoked; of a certificate, whether it, its key or its authority is. */
export function isRevoked(krl: Krl, subject: PublicKey | Certificate): boolean {
  if (!isCertificate(subject)) return krl.hasKey(subject)
  return krl.hasKey(subject.publicKey) || krl.hasCertificate(subject) || krl.hasKey(subject.signatureKey)
}

const isCertificate = (subject: PublicKey | Certificate): subject is Certificate => 'signatureKey' in subject

/** A set of byte strings. */
class ByteStrings {
  readonly #values = new Set<string>()

  get size(): number {
    return this.#values.size
  }

  add(value: Buffer): void {
    this.#values.add(value.toString('latin1'))
  }

  has(value: Buffer): boolean {
    return this.#values.size > 0 && this.#values.has(value.toString('latin1'))
  }

  sorted(): Buffer[] {
    return [...this.#values].map(value => Buffer.from(value, 'latin1')).sort(Buffer.compare)
  }
}

/** A key ID as the bytes of a file, and back. */
export const keyIdBytes = (keyId: string): Buffer => encodePath(keyId)
export const keyIdText = (bytes: Buffer): string => decodePath(bytes)
