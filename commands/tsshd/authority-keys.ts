import { sanitize } from '../../lib/errors.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import type { ShownKey } from '../../lib/keys/shown-key.ts'
import type { Verdict } from '../../lib/userauth/authority.ts'
import { matchAuthorizedKey } from '../../src/openssh/authorized-keys.ts'
import { describeOwner, matchAuthorizedX509 } from '../../src/openssh/authorized-x509.ts'
import { type KeyOptions, verdictOf } from '../../src/openssh/key-options.ts'
import { runAuthorityCommand } from './authority-command.ts'
import { readAuthorityFiles } from './authority-files.ts'
import { contextOf, isRevoked, type KeyJudgement, tokensOf } from './key-judgement.ts'
import { byTrustedAuthority, x509Context } from './trusted-authorities.ts'

/**
 * Whether a key or certificate may log in (sshd's user_key_allowed): the user's files, then the trusted authorities, then
 * the command. What a signature must say and the login may do comes with it.
 */
export async function judgeKey(judgement: KeyJudgement, shown: ShownKey): Promise<Verdict> {
  if (isRevoked(judgement, shown.publicKey, shown.certificate)) return { accepted: false }
  const options =
    byFiles(judgement, shown) ?? (await byTrustedAuthority(judgement, shown)) ?? (await byCommand(judgement, shown))
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

/** A key or certificate as sshd's log has it: `ED25519 SHA256:… ID x (serial 1) CA ED25519 SHA256:…`. */
export function describeKey({ publicKey, certificate, x509 }: ShownKey, kind: FingerprintHash = 'sha256'): string {
  const text = `${publicKey.label}${certificate || x509 ? '-CERT' : ''} ${fingerprint(publicKey.blob, kind)}`
  if (x509) return `${text} ${describeOwner(x509)}`
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
      const found = matchLines(judgement, text, shown, path)
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
  return output === undefined ? undefined : matchLines(judgement, output, shown, command)
}

function matchLines(judgement: KeyJudgement, text: string, shown: ShownKey, source: string): KeyOptions | undefined {
  const { x509 } = shown
  return x509
    ? matchAuthorizedX509(text, x509, x509Context(judgement, source))
    : matchAuthorizedKey(text, shown, contextOf(judgement, source))
}
