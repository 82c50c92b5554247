import { createPublicKey, X509Certificate } from 'node:crypto'
import { type PublicNumbers, publicNumbersOf } from './signature.ts'

/** The numbers in a SubjectPublicKeyInfo (DER); undefined for a kind SSH does not have. @throws what OpenSSL says */
export const publicNumbersOfSpki = (der: Buffer): PublicNumbers | undefined =>
  publicNumbersOf(createPublicKey({ key: der, format: 'der', type: 'spki' }))

/**
 * Whether a certificate (DER) names the other as its issuer, by name, key identifier and key usage, and that one's key
 * signed it (RFC 5280 §6.1.3 (a)(1) and (4)). What OpenSSL cannot read is not.
 */
export function isIssuedBy(certificate: Buffer, issuer: Buffer): boolean {
  try {
    const [issued, authority] = [new X509Certificate(certificate), new X509Certificate(issuer)]
    return issued.checkIssued(authority) && issued.verify(authority.publicKey)
  } catch {
    return false
  }
}
