import { sanitize } from '../../lib/errors.ts'
import { type Certificate, forever } from '../../lib/keys/certificate.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { Log } from '../../lib/log.ts'

/** Where the key stands that a warning is about. */
interface Place {
  readonly key: PublicKey
  readonly file: string
  readonly line: number
}

const rule = '@'.repeat(59)

function say(log: Log, lines: readonly string[]): void {
  for (const line of lines) log.error(line)
}

/** A host shows another key than the one that is known of it. */
export function warnOfNewKey(log: Log, key: PublicKey, hash?: FingerprintHash): void {
  say(log, [
    rule,
    '@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @',
    rule,
    'IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!',
    'Someone may be listening to this connection and answering in place of the host,',
    'or the host has a new key.',
    `The fingerprint for the ${key.label} key sent by the remote host is\n${fingerprint(key.blob, hash)}.`,
  ])
}

export function warnOfChange(
  log: Log,
  host: string,
  key: PublicKey,
  offending: Place,
  options: {
    readonly userKnownHostsFiles: readonly string[]
    readonly globalKnownHostsFiles: readonly string[]
    readonly fingerprintHash?: FingerprintHash
  },
): void {
  const mended = options.userKnownHostsFiles[0] ?? options.globalKnownHostsFiles[0]
  warnOfNewKey(log, key, options.fingerprintHash)
  say(log, [
    ...(mended === undefined ? [] : [`Add correct host key in ${mended} to get rid of this message.`]),
    `Offending ${offending.key.label} key in ${offending.file}:${offending.line}`,
    '  remove with:',
    `  tssh-keygen -f "${offending.file}" -R "${host}"`,
  ])
}

export function warnOfRevocation(log: Log, host: string, key: PublicKey, { file, line }: Place): void {
  say(log, [
    rule,
    '@       WARNING: REVOKED HOST KEY DETECTED!               @',
    rule,
    `The ${key.label} host key for ${host} is marked as revoked in ${file}:${line}.`,
    'Somebody may have stolen it to pass for this host.',
  ])
}

/** CheckHostIP: the host has another key, and what the files say of its address does not agree. */
export function warnOfAddress(
  log: Log,
  key: PublicKey,
  host: string,
  address: string,
  { kind, entry }: { readonly kind: string; readonly entry?: Place | undefined },
): void {
  const state = kind === 'new' ? 'is unknown' : kind === 'known' ? 'is unchanged' : 'has a different value'
  say(log, [
    rule,
    '@       WARNING: POSSIBLE DNS SPOOFING DETECTED!          @',
    rule,
    `The ${key.label} host key for ${host} has changed,`,
    `and the key for its IP address ${address} ${state}.`,
    'Either somebody gives out a false address for the host, or its address and its key changed at once.',
    ...(entry ? [`Offending key for IP in ${entry.file}:${entry.line}`] : []),
  ])
}

/** What a host certificate says, for the log. */
export function describeCertificate(certificate: Certificate, kind?: FingerprintHash): string[] {
  const { type, publicKey, serial, keyId, signatureKey, validAfter, validBefore, principals } = certificate
  const date = (seconds: bigint): string =>
    seconds > 8_640_000_000_000n ? 'forever' : new Date(Number(seconds) * 1000).toISOString().slice(0, 19)
  const validity =
    validAfter === 0n && validBefore === forever
      ? 'forever'
      : `${validAfter === 0n ? '' : `from ${date(validAfter)} `}${validBefore === forever ? '' : `to ${date(validBefore)}`}`.trim()
  return [
    `Server host certificate: ${type} ${fingerprint(publicKey.blob, kind)}, serial ${serial} ID "${sanitize(keyId, true)}" CA ${signatureKey.type} ${fingerprint(signatureKey.blob, kind)} valid ${validity}`,
    ...principals.map(name => `Server host certificate hostname: ${sanitize(name, true)}`),
  ]
}
