import { isIssuedBy } from '../../crypto/x509.ts'
import { KeyError, sanitize } from '../../errors.ts'
import type { PublicKey } from '../public-key.ts'
import { canonicalHost, type X509Certificate } from './certificate.ts'
import type { X509Chain } from './chain.ts'
import { formatName } from './name.ts'

/** What a chain is asked for. */
export interface X509Purpose {
  readonly kind: 'user' | 'host'
  /** The user or host name that must be among the certificate's; undefined asks for no name. */
  readonly principal: string | undefined
  /** Seconds since 1970. */
  readonly now: bigint
  /** Certificates that are trusted: of authorities, or the shown one itself. */
  readonly trusted: readonly X509Certificate[]
  /** Asked of the key of each certificate on the way, the trusted one's too. Default: none is. */
  isRevoked?(key: PublicKey): boolean
}

/** Extended key usages of RFC 6187 §2.2.2, and the one that stands for all. */
const purposes = { user: '1.3.6.1.5.5.7.3.21', host: '1.3.6.1.5.5.7.3.22' } as const
const anyPurpose = '2.5.29.37.0'

/** Signatures under which an authority may certify: those with SHA-2, and of Edwards curves. RSA-PSS names its hash itself. */
const acceptedSignatures: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '2.16.840.1.101.3.4.3.2',
  '1.3.101.112',
  '1.3.101.113',
])

/**
 * Whether a chain is good for a purpose (RFC 5280 §6, RFC 6187 §4): from the key's certificate each is certified by the next,
 * up to one that is trusted; all are valid now and may do what they do. Constraints on names, and other critical extensions
 * that are not known here, are refused; revocation lists and OCSP are not asked.
 * @throws KeyError `not-valid`
 */
export function checkX509Chain({ certificates }: X509Chain, purpose: X509Purpose): void {
  const [own] = certificates
  checkNames(own, purpose)
  if (own.keyUsage && !own.keyUsage.digitalSignature) refuse('key is not for signatures', own)
  checkCertificate(own, purpose)
  for (const [depth, certificate] of certificates.entries()) {
    if (isTrusted(certificate, depth, purpose)) return
    const next = certificates[depth + 1]
    if (!next) break
    if (!isIssuedBy(certificate.der, next.der)) refuse('is not certified by the next one of the chain', certificate)
    checkIssued(certificate)
    checkCertificate(next, purpose)
    checkAuthority(next, depth)
  }
  refuse('no trusted authority', certificates.at(-1) ?? own)
}

/** Whether a certificate is trusted itself, or certified by one that is and may do so. */
function isTrusted(certificate: X509Certificate, depth: number, purpose: X509Purpose): boolean {
  if (purpose.trusted.some(({ der }) => der.equals(certificate.der))) return true
  const issuer = purpose.trusted.find(({ der }) => isIssuedBy(certificate.der, der))
  if (!issuer) return false
  checkIssued(certificate)
  checkCertificate(issuer, purpose)
  checkAuthority(issuer, depth)
  return true
}

function checkNames(own: X509Certificate, { kind, principal }: X509Purpose): void {
  if (principal === undefined) return
  const listed =
    kind === 'host' ? namesHost(own.hostNames, canonicalHost(principal)) : own.userNames.includes(principal)
  if (!listed) refuse('name is not a listed principal', own)
}

/** A `*` may stand for the first label of a name (RFC 6125 §6.4.3). */
function namesHost(listed: readonly string[], host: string): boolean {
  const dot = host.indexOf('.')
  const wildcard = dot > 0 && /[a-z]/.test(host) ? `*${host.slice(dot)}` : host
  return listed.some(name => [host, wildcard].includes(canonicalHost(name)))
}

function checkCertificate(certificate: X509Certificate, purpose: X509Purpose): void {
  const { kind, now } = purpose
  if (purpose.isRevoked?.(certificate.publicKey)) refuse('revoked', certificate)
  if (now < certificate.validFrom) refuse('not yet valid', certificate)
  if (now > certificate.validUntil) refuse('expired', certificate)
  const [unknown] = certificate.unknownCritical
  if (unknown !== undefined) refuse(`critical extension ${unknown} is not supported`, certificate)
  const allowed = certificate.purposes
  if (allowed && !allowed.includes(purposes[kind]) && !allowed.includes(anyPurpose))
    refuse(`not for SSH ${kind}s`, certificate)
}

function checkIssued(certificate: X509Certificate): void {
  if (!acceptedSignatures.has(certificate.signatureAlgorithm)) refuse('signed with a disallowed algorithm', certificate)
}

/** `below` authorities stand between this one and the key's certificate. */
function checkAuthority(certificate: X509Certificate, below: number): void {
  const { authority, keyUsage } = certificate
  if (!authority || (keyUsage && !keyUsage.certificateSigning)) refuse('is no authority', certificate)
  const pathLength = authority?.pathLength
  if (pathLength !== undefined && below > pathLength) refuse('certifies at too great a distance', certificate)
}

function refuse(reason: string, { subject }: X509Certificate): never {
  throw new KeyError('not-valid', `X.509 certificate "${sanitize(formatName(subject), true)}" invalid: ${reason}`)
}
