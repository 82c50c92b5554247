import { KeyError } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { isCertificateAlgorithm, isX509Algorithm, signatureAlgorithmOf, signatureFormatOf } from './algorithms.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import type { VerifyOptions } from './families/family.ts'
import { type PublicKey, parsePublicKey, reading } from './public-key.ts'
import { parseX509Chain, withFormat, type X509Chain } from './x509/chain.ts'

/** What a peer shows as its public key: the key itself, or with it OpenSSH's certificate or a chain of X.509's. */
export interface ShownKey {
  readonly publicKey: PublicKey
  readonly certificate?: Certificate
  readonly x509?: X509Chain
}

/** Reads the blob that is shown under a public key algorithm. @throws KeyError when it is none of that algorithm */
export function parseShownKey(algorithm: string, blob: Buffer): ShownKey {
  if (isX509Algorithm(algorithm)) {
    const x509 = parseX509Chain(blob)
    if (x509.algorithm !== algorithm) throw new KeyError('mismatch', 'X.509 certificate of another algorithm')
    return { publicKey: x509.publicKey, x509 }
  }
  if (!isCertificateAlgorithm(algorithm)) return { publicKey: parsePublicKey(blob) }
  const certificate = parseCertificate(blob)
  return { publicKey: certificate.publicKey, certificate }
}

/** Whether a key signed under a public key algorithm. Malformed signatures are false, never a throw. */
export function verifyShown(
  algorithm: string,
  { publicKey }: ShownKey,
  data: Buffer,
  signature: Buffer,
  options?: VerifyOptions,
): boolean {
  const own = signatureAlgorithmOf(algorithm)
  const format = signatureFormatOf(algorithm)
  if (format === own) return publicKey.verify(data, signature, own, options)
  return formatOf(signature) === format && publicKey.verify(data, withFormat(signature, own), own, options)
}

function formatOf(signature: Buffer): string | undefined {
  try {
    return reading('signature', () => new Reader(signature).text())
  } catch {
    return undefined
  }
}
