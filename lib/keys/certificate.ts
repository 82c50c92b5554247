import { KeyError } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { encode } from '../wire/writer.ts'
import { certificateAlgorithmOf, isCertificateAlgorithm } from './algorithms.ts'
import { keyFamilies } from './families/index.ts'
import {
  type PublicKey,
  type PublicKeyLine,
  parsePublicKey,
  parsePublicKeyLine,
  reading,
  splitKeyLine,
} from './public-key.ts'

/** An OpenSSH certificate (PROTOCOL.certkeys). */
export interface Certificate {
  /** Certificate type name as in the blob: `ssh-ed25519-cert-v01@openssh.com`. */
  readonly type: string
  readonly blob: Buffer
  readonly publicKey: PublicKey
  readonly kind: 'user' | 'host'
  readonly serial: bigint
  readonly keyId: string
  readonly principals: readonly string[]
  /** Seconds since 1970; valid from this second on, and before `validBefore`. */
  readonly validAfter: bigint
  readonly validBefore: bigint
  /** Name to data, in the certificate's order. */
  readonly criticalOptions: ReadonlyMap<string, Buffer>
  readonly extensions: ReadonlyMap<string, Buffer>
  readonly signatureKey: PublicKey
  /** The algorithm under which the authority signed: `rsa-sha2-512` for an RSA key, perhaps. */
  readonly signatureAlgorithm: string
}

/** Numbers of the kinds of certificate. */
export const certificateKinds = { user: 1, host: 2 } as const
/** `validBefore` of a certificate without an end. */
export const forever = 0xffff_ffff_ffff_ffffn

/** Most principals of one certificate, as in OpenSSH. */
const principalLimit = 256
/** Longest blob that is looked at, in bytes. */
const blobLimit = 256 * 1024

/**
 * Reads a certificate blob and checks that the authority it names signed it, over its exact bytes. Whether that
 * authority is trusted, and the certificate good for a purpose, is for `checkCertificate` and its caller to say.
 * @throws KeyError `bad-signature`, `malformed`, `unsupported`
 */
export function parseCertificate(input: Buffer): Certificate {
  return reading('certificate', () => {
    if (input.length > blobLimit) throw new KeyError('malformed', 'certificate is too long')
    const blob = Buffer.from(input)
    const reader = new Reader(blob)
    const type = reader.text()
    const family = keyFamilies.find(candidate => certificateAlgorithmOf(candidate.type) === type)
    if (!family) throw new KeyError('unsupported', 'unsupported type of certificate')
    // The nonce, which only makes the signed bytes unpredictable.
    reader.string()
    const start = reader.offset
    family.readPublic(reader)
    const publicFields = blob.subarray(start, reader.offset)
    const publicKey = parsePublicKey(encode(writer => writer.text(family.type).bytes(publicFields)))

    const serial = reader.uint64()
    const kindNumber = reader.uint32()
    const kind = (['user', 'host'] as const).find(name => certificateKinds[name] === kindNumber)
    if (!kind) throw new KeyError('malformed', `certificate of unknown kind ${kindNumber}`)
    const keyId = exactText(reader)
    const principals = readPrincipals(new Reader(reader.string()))
    const [validAfter, validBefore] = [reader.uint64(), reader.uint64()]
    const criticalOptions = readOptions(new Reader(reader.string()))
    const extensions = readOptions(new Reader(reader.string()))
    // Reserved.
    reader.string()
    const authorityBlob = reader.string()
    const signed = blob.subarray(0, reader.offset)
    const signature = reader.string()
    reader.finish()

    const signatureKey = parsePublicKey(authorityBlob)
    // OpenSSH takes an authority's security key without a touch.
    if (!signatureKey.verify(signed, signature, undefined, { touchRequired: false }))
      throw new KeyError('bad-signature', 'certificate signature does not verify')
    return {
      type,
      blob,
      publicKey,
      kind,
      serial,
      keyId,
      principals,
      validAfter,
      validBefore,
      criticalOptions,
      extensions,
      signatureKey,
      signatureAlgorithm: new Reader(signature).text(),
    }
  })
}

/** Text that names something: neither cut at a NUL nor blurred by bytes that are not UTF-8. */
function exactText(reader: Reader): string {
  const bytes = reader.string()
  const text = bytes.toString()
  if (bytes.includes(0) || !Buffer.from(text).equals(bytes))
    throw new KeyError('malformed', 'certificate holds bad text')
  return text
}

function readPrincipals(reader: Reader): string[] {
  const principals: string[] = []
  while (reader.remaining > 0) {
    if (principals.length >= principalLimit) throw new KeyError('malformed', 'certificate has too many principals')
    principals.push(exactText(reader))
  }
  return principals
}

function readOptions(reader: Reader): Map<string, Buffer> {
  const options = new Map<string, Buffer>()
  while (reader.remaining > 0) {
    const name = exactText(reader)
    if (options.has(name)) throw new KeyError('malformed', 'certificate has an option twice')
    options.set(name, reader.string())
  }
  return options
}

export interface KeyOrCertificateLine extends PublicKeyLine {
  readonly certificate?: Certificate
}

/** Reads `type base64 comment` of a plain key or of a certificate. @throws KeyError */
export function parseKeyOrCertificateLine(line: string): KeyOrCertificateLine {
  const { type, blob, comment } = splitKeyLine(line)
  if (!isCertificateAlgorithm(type)) return parsePublicKeyLine(line)
  const certificate = parseCertificate(blob)
  if (certificate.type !== type) throw new KeyError('malformed', 'certificate is of another type than its line says')
  return { key: certificate.publicKey, certificate, comment }
}

/** Reads a blob of a plain key or of a certificate. @throws KeyError */
export function parseKeyOrCertificate(blob: Buffer): { key: PublicKey; certificate?: Certificate } {
  const type = reading('public key', () => new Reader(blob).text())
  if (!isCertificateAlgorithm(type)) return { key: parsePublicKey(blob) }
  const certificate = parseCertificate(blob)
  return { key: certificate.publicKey, certificate }
}
