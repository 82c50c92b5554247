import { hash } from '../crypto/hash.ts'
import type { PublicKey } from './public-key.ts'

/** SSHFP resource records (RFC 4255, 6594, 7479, 8709). */

const algorithms: Readonly<Record<string, number>> = { RSA: 1, DSA: 2, ECDSA: 3, ED25519: 4, ED448: 6 }

export const sshfpHashes = { sha1: 1, sha256: 2 } as const
export type SshfpHash = keyof typeof sshfpHashes

export interface SshfpRecord {
  readonly algorithm: number
  readonly digestType: number
  readonly digest: Buffer
}

/** A key's record; undefined for kinds of keys that have no number. */
export function sshfpRecord(
  { label, blob }: Pick<PublicKey, 'label' | 'blob'>,
  kind: SshfpHash,
): SshfpRecord | undefined {
  const algorithm = Object.hasOwn(algorithms, label) ? algorithms[label] : undefined
  return algorithm === undefined ? undefined : { algorithm, digestType: sshfpHashes[kind], digest: hash(kind, blob) }
}

/** A line of a zone file; `generic` is for servers that do not know the type (RFC 3597). */
export function formatSshfp(host: string, { algorithm, digestType, digest }: SshfpRecord, generic: boolean): string {
  const hex = digest.toString('hex')
  if (!generic) return `${host} IN SSHFP ${algorithm} ${digestType} ${hex}`
  const two = (value: number): string => value.toString(16).padStart(2, '0')
  return `${host} IN TYPE44 \\# ${2 + digest.length} ${two(algorithm)} ${two(digestType)} ${hex}`
}

/** Reads a record's data; undefined for one without room for its two numbers. */
export function parseSshfp(data: Buffer): SshfpRecord | undefined {
  if (data.length < 2) return undefined
  return { algorithm: data[0]!, digestType: data[1]!, digest: data.subarray(2) }
}

/**
 * What one record says of a key: `other` when it is about another kind of key, `unknown` when a digest of its sort
 * cannot be made of the key.
 */
export function compareSshfp(
  key: Pick<PublicKey, 'label' | 'blob'>,
  record: SshfpRecord,
): 'match' | 'mismatch' | 'other' | 'unknown' {
  const kind = (['sha1', 'sha256'] as const).find(name => sshfpHashes[name] === record.digestType)
  const own = kind && sshfpRecord(key, kind)
  if (!own) return 'unknown'
  if (own.algorithm !== record.algorithm || own.digest.length !== record.digest.length) return 'other'
  return own.digest.equals(record.digest) ? 'match' : 'mismatch'
}
