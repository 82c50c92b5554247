import { KeyError } from '../../errors.ts'
import { ownCopy } from '../../wire/own-copy.ts'
import { Reader } from '../../wire/reader.ts'
import { encode } from '../../wire/writer.ts'
import { signatureFormatOf, x509AlgorithmsOf } from '../algorithms.ts'
import { type PublicKey, reading } from '../public-key.ts'
import { parseX509Certificate, type X509Certificate } from './certificate.ts'

/**
 * A key shown with X.509 certificates (RFC 6187 §2): the first is the key's own, each next one certifies the one before.
 * Whether that is so, and whether anybody trusts the last, is for `checkX509Chain` to say.
 */
export interface X509Chain {
  /** The public key algorithm, which the blob names too: `x509v3-ecdsa-sha2-nistp256`. */
  readonly algorithm: string
  readonly blob: Buffer
  readonly publicKey: PublicKey
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]]
}

/** Most certificates of one chain; longest blob that is looked at, in bytes. */
const chainLimit = 10
const blobLimit = 256 * 1024
/** Fewest bits of an RSA key under `x509v3-rsa2048-sha256` (RFC 6187 §3.3). */
const rsa2048Bits = 2048

/** Whether a key is long enough for an algorithm of X.509 certificates. */
export const isLongEnough = (algorithm: string, { bits }: PublicKey): boolean =>
  signatureFormatOf(algorithm) !== 'rsa2048-sha256' || bits >= rsa2048Bits

/** Reads the blob of a chain. @throws KeyError `malformed`, `unsupported`, `mismatch`, `too-weak` */
export function parseX509Chain(input: Buffer): X509Chain {
  return reading('X.509 certificate chain', () => {
    if (input.length > blobLimit) throw new KeyError('malformed', 'X.509 certificate chain is too long')
    const reader = new Reader(input)
    const algorithm = reader.text()
    const count = reader.uint32()
    if (count === 0 || count > chainLimit) throw new KeyError('malformed', `chain of ${count} X.509 certificates`)
    const certificates = Array.from({ length: count }, () => parseX509Certificate(reader.string()))
    const responses = reader.uint32()
    if (responses > count) throw new KeyError('malformed', 'more OCSP responses than X.509 certificates')
    // OCSP responses are nobody's to judge here.
    for (let i = 0; i < responses; i++) reader.string()
    reader.finish()
    return chainOf(algorithm, certificates, ownCopy(input))
  })
}

/** @throws KeyError `mismatch`, `too-weak` */
function chainOf(algorithm: string, certificates: readonly X509Certificate[], blob: Buffer): X509Chain {
  const [own, ...others] = certificates
  if (!own) throw new KeyError('malformed', 'no X.509 certificate')
  const { publicKey } = own
  if (!x509AlgorithmsOf(publicKey.type).includes(algorithm))
    throw new KeyError('mismatch', `X.509 certificate of a ${publicKey.type} key shown as another`)
  if (!isLongEnough(algorithm, publicKey))
    throw new KeyError('too-weak', `RSA key of ${publicKey.bits} bits is too short`)
  return { algorithm, blob, publicKey, certificates: [own, ...others] }
}

/** The chain of these certificates, the key's own first. @throws KeyError `mismatch`, `too-weak` */
export function makeX509Chain(algorithm: string, certificates: readonly X509Certificate[]): X509Chain {
  const blob = encode(writer => {
    writer.text(algorithm).uint32(certificates.length)
    for (const { der } of certificates) writer.string(der)
    writer.uint32(0)
  })
  return chainOf(algorithm, certificates, blob)
}

/** The signature under another name of the same format. */
export function withFormat(signature: Buffer, format: string): Buffer {
  const reader = new Reader(signature)
  reader.text()
  return encode(writer => writer.text(format).bytes(reader.rest()))
}
