import { KeyError, sanitize } from '../../lib/errors.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { X509Certificate } from '../../lib/keys/x509/certificate.ts'
import type { X509Chain } from '../../lib/keys/x509/chain.ts'
import { checkX509Chain } from '../../lib/keys/x509/check.ts'
import { formatName } from '../../lib/keys/x509/name.ts'
import type { Log } from '../../lib/log.ts'
import type { FoundX509 } from './known-keys.ts'

/** A chain as the log names it. */
export function describeX509({ algorithm, publicKey, certificates }: X509Chain, hash?: FingerprintHash): string {
  const [{ subject, serial, issuer }] = certificates
  const [owner, authority] = [subject, issuer].map(name => sanitize(formatName(name), true))
  return `Server host certificate: ${algorithm} ${fingerprint(publicKey.blob, hash)}, serial ${serial} subject "${owner}" issuer "${authority}"`
}

/** Of a chain: a line of the files trusts it for the host; a line revokes it; or nobody does either. */
export type X509Status =
  | { readonly kind: 'certified' }
  | { readonly kind: 'revoked'; readonly entry: FoundX509 }
  | { readonly kind: 'new' }

/**
 * What the lines of known_hosts say of X.509 certificates. Where they have patterns of subjects, one of those must be the
 * certificate's, and takes the place of the host's name; a certificate among them, or one that it certifies, makes it good.
 */
export function statusOfX509(
  chain: X509Chain,
  found: readonly FoundX509[],
  { host, log, isRevoked }: { readonly host: string; readonly log: Log; isRevoked(key: PublicKey): boolean },
): X509Status {
  const [own] = chain.certificates
  const isOf = ({ certificate, subject }: FoundX509, one: X509Certificate): boolean =>
    certificate ? certificate.der.equals(one.der) : subject(one.subject)
  const revocations = found.filter(({ marker }) => marker === 'revoked')
  const revoked = revocations.find(entry => chain.certificates.some(one => isOf(entry, one)))
  if (revoked) return { kind: 'revoked', entry: revoked }
  const trusted = found.filter(
    ({ marker, certificate }) =>
      marker !== 'revoked' && !(certificate && revocations.some(entry => isOf(entry, certificate))),
  )
  const subjects = trusted.flatMap(({ subject }) => subject ?? [])
  if (subjects.length > 0 && !subjects.some(matches => matches(own.subject))) {
    log.debug1?.(`X.509 subject "${sanitize(formatName(own.subject), true)}" is not one that is known of the host`)
    return { kind: 'new' }
  }
  try {
    checkX509Chain(chain, {
      kind: 'host',
      principal: subjects.length > 0 ? undefined : host,
      now: BigInt(Math.floor(Date.now() / 1000)),
      trusted: trusted.flatMap(({ certificate }) => certificate ?? []),
      isRevoked,
    })
    return { kind: 'certified' }
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    log.error(error.message)
    return { kind: 'new' }
  }
}
