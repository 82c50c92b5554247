import { messageOf, sanitize } from '../../lib/errors.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import { type PublicKey, parsePublicKeyLine } from '../../lib/keys/public-key.ts'
import type { Log } from '../../lib/log.ts'
import type { Verdict } from '../../lib/userauth/authority.ts'
import type { Peer } from '../../src/api/server.ts'
import type { Account } from '../../src/net/accounts.ts'
import {
  certificateProblem,
  certifiedOptions,
  type LoginContext,
  matchAuthorizedKey,
  optionsApply,
  refusalOf,
  type ShownKey,
} from '../../src/openssh/authorized-keys.ts'
import { matchAuthorizedPrincipal } from '../../src/openssh/authorized-principals.ts'
import { readRegularFile } from '../../src/openssh/files.ts'
import { type KeyOptions, mergeKeyOptions, verdictOf } from '../../src/openssh/key-options.ts'
import { isRevoked } from '../../src/openssh/revoked-keys.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { runAuthorityCommand } from './authority-command.ts'
import { readAuthorityFiles } from './authority-files.ts'
import { allowsForwarding } from './forwarding/rules.ts'

/** Who wants to log in, and by which rules. */
export interface KeyJudgement {
  readonly account: Account
  /** For this user. */
  readonly options: SshdOptions
  readonly peer: Peer
  /** The client's name, where names are looked up (UseDNS). */
  readonly host?: string
  readonly log: Log
  /** Takes what the user is told after the login. */
  readonly tell?: ((text: string) => void) | undefined
}

/** Largest list of trusted authorities, in bytes. */
const authoritiesLimit = 16 * 1024 * 1024

/**
 * Whether a key or certificate may log in (sshd's user_key_allowed): the user's files, then the trusted authorities, then
 * the command. What a signature must say and the login may do comes with it.
 */
export async function judgeKey(
  judgement: KeyJudgement,
  key: PublicKey,
  certificate: Certificate | undefined,
): Promise<Verdict> {
  const shown = { key, certificate }
  if (isShownRevoked(judgement, shown)) return { accepted: false }
  const options =
    byFiles(judgement, shown) ??
    (certificate && (await byTrustedAuthority(judgement, key, certificate))) ??
    (await byCommand(judgement, shown))
  if (!options) return { accepted: false }
  const verdict = verdictOf(options)
  const always = judgement.options.pubkeyAuthOptions
  return {
    ...verdict,
    signature: {
      touchRequired: options.touchRequired || always.includes('touch-required'),
      verificationRequired: options.verifyRequired || always.includes('verify-required'),
    },
  }
}

const contextOf = ({ account, options, peer, host, log, tell }: KeyJudgement, source: string): LoginContext => ({
  user: account.name,
  address: peer.address,
  ...(host !== undefined && { host }),
  now: new Date(),
  source,
  log,
  tell,
  effective: {
    environment: options.permitUserEnvironment !== false,
    permitOpen: allowsForwarding(options.allowTcpForwarding, 'local'),
    permitListen: allowsForwarding(options.allowTcpForwarding, 'remote'),
  },
})

/** A list that cannot be read revokes everything. */
function isShownRevoked({ options, log }: KeyJudgement, { key, certificate }: ShownKey): boolean {
  const name = (): string => `${key.label} ${hashOf(options, key)}`
  return options.revokedKeys.some(file => {
    try {
      const revoked = isRevoked(file, key, certificate)
      if (revoked) log.error(`Authentication key ${name()} revoked by file ${file}`)
      return revoked
    } catch (error) {
      log.error(`Error checking authentication key ${name()} in revoked keys file ${file}: ${messageOf(error)}`)
      return true
    }
  })
}

const hashOf = (options: SshdOptions, { blob }: PublicKey): string => fingerprint(blob, fingerprintKind(options))

/** FingerprintHash as the engine calls it. */
export const fingerprintKind = ({ fingerprintHash }: SshdOptions): FingerprintHash =>
  fingerprintHash.toLowerCase() as FingerprintHash

/** A key or certificate as sshd's log has it: `ED25519 SHA256:… ID x (serial 1) CA ED25519 SHA256:…`. */
export function describeKey(key: PublicKey, certificate?: Certificate, kind: FingerprintHash = 'sha256'): string {
  const text = `${key.label}${certificate ? '-CERT' : ''} ${fingerprint(key.blob, kind)}`
  if (!certificate) return text
  const { keyId, serial, signatureKey } = certificate
  const id = `ID ${sanitize(keyId, true)} (serial ${serial})`
  return `${text} ${id} CA ${signatureKey.label} ${fingerprint(signatureKey.blob, kind)}`
}

function byFiles(judgement: KeyJudgement, shown: ShownKey): KeyOptions | undefined {
  const { account, options, log, tell } = judgement
  for (const pattern of options.authorizedKeysFile) {
    if (pattern.toLowerCase() === 'none') continue
    const reading = { account, strictModes: options.strictModes, log, tell, kind: 'authorized keys' }
    for (const { path, text } of readAuthorityFiles(pattern, reading)) {
      const found = matchAuthorizedKey(text, shown, contextOf(judgement, path))
      if (found) return found
    }
  }
  return undefined
}

async function byCommand(judgement: KeyJudgement, shown: ShownKey): Promise<KeyOptions | undefined> {
  const { account, options, log } = judgement
  const command = options.authorizedKeysCommand
  if (command === undefined) return undefined
  const output = await runAuthorityCommand({
    name: 'AuthorizedKeysCommand',
    command,
    user: options.authorizedKeysCommandUser,
    account,
    tokens: tokensOf(judgement, shown),
    onlyArgument: account.name,
    log,
  })
  return output === undefined ? undefined : matchAuthorizedKey(output, shown, contextOf(judgement, command))
}

/** What both commands may be told. */
function tokensOf({ account, options, peer }: KeyJudgement, { key, certificate }: ShownKey): Record<string, string> {
  const shown = certificate ?? key
  return {
    C: `${peer.localAddress} ${peer.localPort} ${peer.address} ${peer.port}`,
    // Routing domains are another system's.
    D: '',
    U: String(account.uid),
    u: account.name,
    h: account.home,
    t: shown.type,
    f: hashOf(options, key),
    k: shown.blob.toString('base64'),
  }
}

/** TrustedUserCAKeys with the principals that the files, the command, or the user's own name allow. */
async function byTrustedAuthority(
  judgement: KeyJudgement,
  key: PublicKey,
  certificate: Certificate,
): Promise<KeyOptions | undefined> {
  const { account, options, log } = judgement
  const file = options.trustedUserCAKeys
  if (file === undefined || !isTrusted(file, certificate.signatureKey, log)) return undefined
  const authority = `${certificate.signatureKey.label} CA ${hashOf(options, certificate.signatureKey)}`
  const id = `certificate ID "${sanitize(certificate.keyId, true)}"`
  const allowed = await trustedOptions(judgement, key, certificate)
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
  key: PublicKey,
  certificate: Certificate,
): Promise<KeyOptions | string> {
  const { account, options } = judgement
  const named = options.authorizedPrincipalsFile !== undefined || options.authorizedPrincipalsCommand !== undefined
  const principals = named ? await principalOptions(judgement, key, certificate) : undefined
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

async function principalOptions(
  judgement: KeyJudgement,
  key: PublicKey,
  certificate: Certificate,
): Promise<KeyOptions | undefined> {
  const { account, options, log, tell } = judgement
  if (options.authorizedPrincipalsFile !== undefined) {
    const reading = { account, strictModes: options.strictModes, log, tell, kind: 'authorized principals' }
    for (const { path, text } of readAuthorityFiles(options.authorizedPrincipalsFile, reading)) {
      const found = matchAuthorizedPrincipal(text, certificate, contextOf(judgement, path))
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
      ...tokensOf(judgement, { key, certificate }),
      T: certificate.signatureKey.type,
      F: hashOf(options, certificate.signatureKey),
      K: certificate.signatureKey.blob.toString('base64'),
      i: certificate.keyId,
      s: String(certificate.serial),
    },
    log,
  })
  return output === undefined
    ? undefined
    : matchAuthorizedPrincipal(output, certificate, contextOf(judgement, '(command)'))
}

/** Reads keys up to the one that is looked for; a line that is none ends the list, as in sshd. */
function isTrusted(file: string, authority: PublicKey, log: Log): boolean {
  try {
    const lines = readRegularFile(file, authoritiesLimit).toString('latin1').split('\n')
    return lines.filter(line => !/^[ \t]*(#|$)/.test(line)).some(line => parsePublicKeyLine(line).key.equals(authority))
  } catch (error) {
    log.error(`TrustedUserCAKeys file ${file}: ${messageOf(error)}`)
    return false
  }
}
