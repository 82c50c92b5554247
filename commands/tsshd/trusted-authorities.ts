import { messageOf, sanitize } from '../../lib/errors.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { type PublicKey, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import type { ShownKey } from '../../lib/keys/shown-key.ts'
import type { X509Certificate } from '../../lib/keys/x509/certificate.ts'
import type { X509Chain } from '../../lib/keys/x509/chain.ts'
import { formatName } from '../../lib/keys/x509/name.ts'
import type { Log } from '../../lib/log.ts'
import { certificateProblem, certifiedOptions, optionsApply, refusalOf } from '../../src/openssh/authorized-keys.ts'
import { matchAuthorizedPrincipal } from '../../src/openssh/authorized-principals.ts'
import { describeOwner, type X509LoginContext, x509Problem } from '../../src/openssh/authorized-x509.ts'
import { readRegularFile } from '../../src/openssh/files.ts'
import { type KeyOptions, mergeKeyOptions, noKeyOptions } from '../../src/openssh/key-options.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { readX509Entry } from '../../src/openssh/x509-entry.ts'
import { runAuthorityCommand } from './authority-command.ts'
import { readAuthorityFiles } from './authority-files.ts'
import { contextOf, hashOf, isRevoked, type KeyJudgement, tokensOf } from './key-judgement.ts'

/** Largest list of trusted authorities, in bytes. */
const authoritiesLimit = 16 * 1024 * 1024

/** TrustedUserCAKeys with the principals that the files, the command, or the user's own name allow. */
export async function byTrustedAuthority(judgement: KeyJudgement, shown: ShownKey): Promise<KeyOptions | undefined> {
  const { certificate, x509 } = shown
  if (x509) return byTrustedCertificate(judgement, shown, x509)
  if (!certificate) return undefined
  const { account, options, log } = judgement
  const file = options.trustedUserCAKeys
  if (file === undefined || !isTrusted(file, certificate.signatureKey, log)) return undefined
  const authority = `${certificate.signatureKey.label} CA ${hashOf(options, certificate.signatureKey)}`
  const id = `certificate ID "${sanitize(certificate.keyId, true)}"`
  const allowed = await trustedOptions(judgement, shown, certificate)
  if (typeof allowed === 'string') {
    log.error(`Refusing ${id} serial=${certificate.serial} signed by ${authority}: ${allowed}`)
    judgement.tell?.(refusalOf(certificate, allowed))
    return undefined
  }
  log.verbose?.(
    `Accepted ${id} (serial ${certificate.serial}) signed by ${authority} via ${file} for ${sanitize(account.name, true)}`,
  )
  return allowed
}

/** A string is why the certificate is refused. */
async function trustedOptions(
  judgement: KeyJudgement,
  shown: ShownKey,
  certificate: Certificate,
): Promise<KeyOptions | string> {
  const { account, options } = judgement
  const named = principalsAreNamed(options)
  const principals = named
    ? await principalOptions(judgement, shown, {
        principals: certificate.principals,
        authority: certificate.signatureKey,
        id: certificate.keyId,
        serial: certificate.serial,
      })
    : undefined
  if (named && !principals) return 'Certificate does not contain an authorized principal'
  const context = contextOf(judgement, 'cert')
  const problem = certificateProblem(certificate, named ? undefined : account.name, context.now)
  if (problem !== undefined) return problem
  const own = certifiedOptions(certificate)
  if (typeof own === 'string') return own
  if (!optionsApply(own, context, 'cert', false)) return 'Refused by certificate options'
  if (!principals) return own
  if (!optionsApply(principals, context, 'principals', false)) return 'Refused by certificate principals options'
  const merged = mergeKeyOptions(principals, own)
  return 'problem' in merged ? merged.problem : merged
}

const principalsAreNamed = ({ authorizedPrincipalsFile, authorizedPrincipalsCommand }: SshdOptions): boolean =>
  authorizedPrincipalsFile !== undefined || authorizedPrincipalsCommand !== undefined

/** X.509 certificates of an authority that the list has. */
async function byTrustedCertificate(
  judgement: KeyJudgement,
  shown: ShownKey,
  chain: X509Chain,
): Promise<KeyOptions | undefined> {
  const { account, options, log } = judgement
  const context = x509Context(judgement, 'principals')
  if (context.trusted.length === 0) return undefined
  const allowed = await trustedX509Options(judgement, shown, chain, context)
  if (typeof allowed === 'string') {
    log.error(`Refusing certificate ${describeOwner(chain)}: ${allowed}`)
    judgement.tell?.(`Refused certificate: ${allowed}`)
    return undefined
  }
  log.verbose?.(
    `Accepted certificate ${describeOwner(chain)} via ${options.trustedUserCAKeys} for ${sanitize(account.name, true)}`,
  )
  return allowed
}

/** A string is why the certificates are refused. */
async function trustedX509Options(
  judgement: KeyJudgement,
  shown: ShownKey,
  chain: X509Chain,
  context: X509LoginContext,
): Promise<KeyOptions | string> {
  const named = principalsAreNamed(judgement.options)
  const problem = x509Problem(chain, {}, context, { trusted: context.trusted, byName: !named })
  if (problem !== undefined) return problem
  if (!named) return noKeyOptions()
  const [{ subject, serial, publicKey, userNames }] = chain.certificates
  const principals = await principalOptions(judgement, shown, {
    principals: userNames,
    authority: chain.certificates.at(-1)?.publicKey ?? publicKey,
    id: formatName(subject),
    serial,
  })
  if (!principals) return 'Certificate does not contain an authorized principal'
  if (!optionsApply(principals, { ...context, subject }, 'principals', false))
    return 'Refused by certificate principals options'
  return principals
}

/** What a command may be told of a certificate, and the names that it holds. */
interface Certified {
  readonly principals: readonly string[]
  readonly authority: PublicKey
  readonly id: string
  readonly serial: bigint
}

async function principalOptions(
  judgement: KeyJudgement,
  shown: ShownKey,
  { principals, authority, id, serial }: Certified,
): Promise<KeyOptions | undefined> {
  const { account, options, log, tell } = judgement
  if (options.authorizedPrincipalsFile !== undefined) {
    const reading = { account, strictModes: options.strictModes, log, tell, kind: 'authorized principals' }
    for (const { path, text } of readAuthorityFiles(options.authorizedPrincipalsFile, reading)) {
      const found = matchAuthorizedPrincipal(text, principals, contextOf(judgement, path))
      if (found) return found
    }
  }
  if (options.authorizedPrincipalsCommand === undefined) return undefined
  const output = await runAuthorityCommand({
    name: 'AuthorizedPrincipalsCommand',
    command: options.authorizedPrincipalsCommand,
    user: options.authorizedPrincipalsCommandUser,
    account,
    tokens: {
      ...tokensOf(judgement, shown),
      T: authority.type,
      F: hashOf(options, authority),
      K: authority.blob.toString('base64'),
      i: id,
      s: String(serial),
    },
    log,
  })
  return output === undefined
    ? undefined
    : matchAuthorizedPrincipal(output, principals, contextOf(judgement, '(command)'))
}

/** Reads keys up to the one that is looked for; a line that is none ends the list, as in sshd. */
function isTrusted(file: string, authority: PublicKey, log: Log): boolean {
  try {
    const lines = linesOf(file).filter(line => !/^[ \t]*(#|$|x509v3-)/.test(line))
    return lines.some(line => parsePublicKeyLine(line).key.equals(authority))
  } catch (error) {
    log.error(`TrustedUserCAKeys file ${file}: ${messageOf(error)}`)
    return false
  }
}

const linesOf = (file: string): string[] => readRegularFile(file, authoritiesLimit).toString('latin1').split('\n')

/** Who wants to log in with X.509 certificates, and whom the server trusts to certify them. */
export const x509Context = (judgement: KeyJudgement, source: string): X509LoginContext => ({
  ...contextOf(judgement, source),
  trusted: trustedCertificates(judgement),
  isRevoked: key => isRevoked(judgement, key),
})

/** The X.509 certificates of TrustedUserCAKeys. */
function trustedCertificates({ options: { trustedUserCAKeys: file }, log }: KeyJudgement): readonly X509Certificate[] {
  if (file === undefined) return []
  try {
    return linesOf(file).flatMap(line => readX509Entry(line)?.certificate ?? [])
  } catch (error) {
    log.error(`TrustedUserCAKeys file ${file}: ${messageOf(error)}`)
    return []
  }
}
