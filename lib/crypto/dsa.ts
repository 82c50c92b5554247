import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { DerReader, derInteger, derSequence, derTag, derValue } from '../wire/der.ts'
import { newDsaKey } from './generate-key.ts'
import type { SigningKey, Verifier } from './key-numbers.ts'

/** DSA (FIPS 186-4), kept for old keys. Node has no JWK for it, so numbers go in and out as DER. */

/** Magnitudes, big-endian, without leading zeros. */
export interface DsaPublic {
  readonly p: Buffer
  readonly q: Buffer
  readonly g: Buffer
  readonly y: Buffer
}

export interface DsaPrivate extends DsaPublic {
  readonly x: Buffer
}

/** id-dsa (RFC 3279 §2.3.2). */
const identifier = derValue(derTag.oid, Buffer.from('2a8648ce380401', 'hex'))
const parameters = ({ p, q, g }: DsaPublic): Buffer =>
  derSequence(identifier, derSequence(derInteger(p), derInteger(q), derInteger(g)))

/** @throws when OpenSSL does not take the numbers */
export function dsaPublicKeyObject(numbers: DsaPublic): KeyObject {
  const key = derSequence(parameters(numbers), derValue(derTag.bitString, Buffer.of(0), derInteger(numbers.y)))
  return createPublicKey({ key, format: 'der', type: 'spki' })
}

/** @throws when OpenSSL does not take the numbers */
export function dsaPrivateKeyObject(numbers: DsaPrivate): KeyObject {
  const x = derInteger(numbers.x)
  const secret = derValue(derTag.octetString, x)
  const key = derSequence(derInteger(Buffer.alloc(0)), parameters(numbers), secret)
  try {
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  } finally {
    for (const bytes of [x, secret, key]) bytes.fill(0)
  }
}

/** Signatures are r and s side by side, each as long as q. */
export function dsaVerifier(numbers: DsaPublic): Verifier {
  const key = dsaPublicKeyObject(numbers)
  return (hash, data, signature) => {
    try {
      return verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature)
    } catch {
      return false
    }
  }
}

export function dsaSigner(numbers: DsaPrivate): SigningKey {
  const key = dsaPrivateKeyObject(numbers)
  return (hash, data) => sign(hash, data, { key, dsaEncoding: 'ieee-p1363' })
}

/** A key of 1024 bits with q of 160, the only size that SSH has (RFC 4253 §6.6). */
export function generateDsa(): DsaPrivate {
  return dsaPrivateNumbers(newDsaKey(1024, 160))
}

function readParameters(algorithm: DerReader): Pick<DsaPublic, 'p' | 'q' | 'g'> {
  algorithm.take(derTag.oid)
  const values = algorithm.sequence()
  return { p: values.integer(), q: values.integer(), g: values.integer() }
}

/** The numbers of a public key object. @throws ProtocolError */
export function dsaPublicNumbers(key: KeyObject): DsaPublic {
  const info = new DerReader(key.export({ format: 'der', type: 'spki' })).sequence()
  const group = readParameters(info.sequence())
  // The first byte counts unused bits: none.
  return { ...group, y: new DerReader(info.take(derTag.bitString).subarray(1)).integer() }
}

/** The numbers of a private key object. @throws ProtocolError */
export function dsaPrivateNumbers(key: KeyObject): DsaPrivate {
  const der = key.export({ format: 'der', type: 'pkcs8' })
  try {
    const info = new DerReader(der).sequence()
    info.integer()
    info.sequence()
    const x = Buffer.from(new DerReader(info.take(derTag.octetString)).integer())
    return { ...dsaPublicNumbers(createPublicKey(key)), x }
  } finally {
    der.fill(0)
  }
}
