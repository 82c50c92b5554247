import { KeyError, sanitize } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { defaultPlainSignatureAlgorithms } from './algorithms.ts'
import type { Certificate } from './certificate.ts'
import { reading } from './public-key.ts'
import { matchWildcards } from './wildcards.ts'

/** What a certificate is asked for. */
export interface CertificatePurpose {
  readonly kind: 'user' | 'host'
  /** The user or host name that must be among the principals; undefined asks for no name. */
  readonly principal: string | undefined
  /** Seconds since 1970. */
  readonly now: bigint
  /** Under which algorithms the authority may have signed (CASignatureAlgorithms). Default: all but SHA-1. */
  readonly authorityAlgorithms?: readonly string[]
}

/**
 * Whether a certificate is good for a purpose: its kind, time, principals, the authority's algorithm and its critical
 * options. An empty list of principals is good for nobody; wildcards count in host certificates only. That its
 * authority is trusted and not revoked is the caller's to check.
 * @throws KeyError `not-valid`, with OpenSSH's reason
 */
export function checkCertificate(certificate: Certificate, purpose: CertificatePurpose): void {
  const refuse = (reason: string): never => {
    throw new KeyError('not-valid', reason)
  }
  const { kind, validAfter, validBefore, principals, signatureAlgorithm } = certificate
  if (kind !== purpose.kind) refuse(`Certificate invalid: not a ${purpose.kind} certificate`)
  if (purpose.now < validAfter) refuse('Certificate invalid: not yet valid')
  if (purpose.now >= validBefore) refuse('Certificate invalid: expired')
  if (principals.length === 0) refuse('Certificate lacks principal list')
  const { principal, authorityAlgorithms = defaultPlainSignatureAlgorithms } = purpose
  const names = (listed: string): boolean =>
    kind === 'host' ? matchWildcards(principal ?? '', listed) : listed === principal
  if (principal !== undefined && !principals.some(names)) {
    refuse('Certificate invalid: name is not a listed principal')
  }
  if (!authorityAlgorithms.includes(signatureAlgorithm)) {
    refuse(`Certificate signed with disallowed algorithm ${sanitize(signatureAlgorithm, true)}`)
  }
  if (kind === 'host' && certificate.criticalOptions.size > 0) {
    refuse('Certificate contains unsupported critical options')
  }
  readCertificateOptions(certificate)
}

/** What a user certificate says about the login it opens. */
export interface CertificateOptions {
  readonly forceCommand?: string
  /** A list of CIDR networks; the client's address must be in one. */
  readonly sourceAddress?: string
  /** The security key must have verified its user. */
  readonly verifyRequired: boolean
  /** The security key must have been touched. */
  readonly touchRequired: boolean
  readonly permitX11Forwarding: boolean
  readonly permitAgentForwarding: boolean
  readonly permitPortForwarding: boolean
  readonly permitPty: boolean
  readonly permitUserRc: boolean
}

/** Reads critical options and extensions; unknown extensions are left aside. @throws KeyError `not-valid` */
export function readCertificateOptions({ criticalOptions, extensions }: Certificate): CertificateOptions {
  const text = (name: string): string | undefined => {
    const data = criticalOptions.get(name)
    if (!data) return undefined
    return reading(`certificate option ${name}`, () => {
      const reader = new Reader(data)
      const value = reader.text()
      reader.finish()
      return value
    })
  }
  const flag = (from: ReadonlyMap<string, Buffer>, name: string): boolean => {
    const data = from.get(name)
    if (data && data.length > 0) throw new KeyError('not-valid', `Certificate option ${name} is corrupt`)
    return data !== undefined
  }
  for (const name of criticalOptions.keys()) {
    if (!['force-command', 'source-address', 'verify-required'].includes(name)) {
      throw new KeyError(
        'not-valid',
        `Certificate critical option ${sanitize(JSON.stringify(name), true)} is not supported`,
      )
    }
  }
  const forceCommand = text('force-command')
  const sourceAddress = text('source-address')
  return {
    ...(forceCommand !== undefined && { forceCommand }),
    ...(sourceAddress !== undefined && { sourceAddress }),
    verifyRequired: flag(criticalOptions, 'verify-required'),
    touchRequired: !flag(extensions, 'no-touch-required'),
    permitX11Forwarding: flag(extensions, 'permit-X11-forwarding'),
    permitAgentForwarding: flag(extensions, 'permit-agent-forwarding'),
    permitPortForwarding: flag(extensions, 'permit-port-forwarding'),
    permitPty: flag(extensions, 'permit-pty'),
    permitUserRc: flag(extensions, 'permit-user-rc'),
  }
}
