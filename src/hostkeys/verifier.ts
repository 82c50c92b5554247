import { isIP } from 'node:net'
import { HostKeyError, KeyError, messageOf } from '../../lib/errors.ts'
import { isPlainAlgorithm, keyTypeOf } from '../../lib/keys/algorithms.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { checkCertificate } from '../../lib/keys/certificate-check.ts'
import { type FingerprintHash, fingerprint, randomart } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { X509Chain } from '../../lib/keys/x509/chain.ts'
import type { Log } from '../../lib/log.ts'
import type { HostKeyVerifier } from '../../lib/transport/transport.ts'
import { appendLine } from '../openssh/files.ts'
import { hostName, isRecordableHost, knownHostLines } from '../openssh/known-hosts.ts'
import { isRevoked } from '../openssh/revoked-keys.ts'
import { type Found, type FoundX509, findEverywhere, findInFiles, type KnownKeySources } from './known-keys.ts'
import { type AskLine, confirm, confirmNewHost, otherNamesOf } from './question.ts'
import { askSshfp, type DnsVerdict, type SshfpLookup } from './sshfp.ts'
import { describeCertificate, warnOfAddress, warnOfChange, warnOfNewKey, warnOfRevocation } from './warnings.ts'
import { describeX509, statusOfX509 } from './x509.ts'

export { knownKeyTypes, preferKnownTypes } from './preference.ts'

export interface VerifierOptions extends KnownKeySources {
  /** As in known_hosts, unless an alias takes its place. */
  readonly host: string
  readonly port: number
  /** The address that was connected to; undefined behind a proxy. */
  readonly address?: string
  readonly hostKeyAlias?: string
  readonly strictHostKeyChecking: 'yes' | 'no' | 'ask' | 'accept-new'
  readonly hashKnownHosts: boolean
  /** Look the address up too (CheckHostIP). */
  readonly checkHostIP?: boolean
  /** Take any key from a loopback address (NoHostAuthenticationForLocalhost). */
  readonly noHostAuthenticationForLocalhost?: boolean
  /** Files of revoked keys (RevokedHostKeys). One that cannot be read refuses every key. */
  readonly revokedHostKeys?: readonly string[]
  /** Algorithms that a host key may be of, when a certificate is no good and its key is looked at. Default: any. */
  readonly hostKeyAlgorithms?: readonly string[]
  /** Algorithms that an authority may sign host certificates with (CASignatureAlgorithms). */
  readonly caSignatureAlgorithms?: readonly string[]
  /** Default `sha256`. */
  readonly fingerprintHash?: FingerprintHash
  readonly visualHostKey?: boolean
  /** Whether fingerprints in the DNS count: by themselves when they are secure (`yes`), or for the user's answer. */
  readonly verifyHostKeyDNS?: 'yes' | 'no' | 'ask'
  /** Needed when the DNS is to be asked. */
  readonly lookUpSshfp?: SshfpLookup
  readonly ask: AskLine
  /** Told how a key was accepted, before anything is sent to the host that relies on it. */
  accepted?(judgement: Judgement, key: PublicKey): void
  print(line: string): void
  readonly log: Log
}

/**
 * Why a key was accepted: a file of the user's, or of the system or a command, names it; an authority certified it; the
 * DNS has its fingerprint, and can be trusted; the user said so; policy takes new keys, or any key of this machine; it is known under the name without the port; or in
 * spite of a warning. In that last case nothing may be sent that the host could use elsewhere: no password, no
 * answers, no forwarding. Only what the user knows or confirmed may be kept up to date by the host itself.
 */
export type Judgement =
  | 'known-to-user'
  | 'known-to-system'
  | 'certified'
  | 'in-dns'
  | 'confirmed'
  | 'new'
  | 'loopback'
  | 'known-without-port'
  | 'distrusted'

interface Place {
  readonly host: string
  readonly port: number
}

/** An alias stands without a port. */
export const lookedUp = ({ host, port, hostKeyAlias }: Place & Pick<VerifierOptions, 'hostKeyAlias'>): Place =>
  hostKeyAlias === undefined ? { host, port } : { host: hostKeyAlias, port: 22 }

type Status =
  | { readonly kind: 'known' | 'changed' | 'revoked'; readonly entry: Found }
  | { readonly kind: 'new'; readonly entry?: undefined }

/**
 * What is known of a key among lines of one marker: plain keys, or authorities. Any other one of them makes it a
 * changed one, whatever its type. A revoked key, or authority, is that wherever it stands.
 */
function statusOf(key: PublicKey, certificate: Certificate | undefined, found: readonly Found[]): Status {
  const wanted = certificate?.signatureKey ?? key
  const suspects = certificate ? [key, certificate.signatureKey] : [key]
  const revoked = found.find(
    entry => entry.marker === 'revoked' && suspects.some(suspect => entry.blob.equals(suspect.blob)),
  )
  if (revoked) return { kind: 'revoked', entry: revoked }
  const marker = certificate ? 'cert-authority' : 'none'
  const comparable = found.filter(entry => entry.marker === marker)
  const known = comparable.find(({ blob }) => blob.equals(wanted.blob))
  if (known) return { kind: 'known', entry: known }
  const other = comparable.at(-1)
  return other ? { kind: 'changed', entry: other } : { kind: 'new' }
}

const failed = 'Host key verification failed.'

const refusal = (code: 'unknown' | 'changed' | 'revoked', reason?: string): HostKeyError =>
  new HostKeyError(code, reason === undefined ? failed : `${reason} and you have requested strict checking.\n${failed}`)

/** Judges host keys by known_hosts and by asking (ssh_config(5), StrictHostKeyChecking). */
export function hostKeyVerifier(options: VerifierOptions): HostKeyVerifier {
  let judged: PublicKey | undefined
  return async ({ publicKey, certificate, x509 }) => {
    const { log, fingerprintHash } = options
    if (x509) log.debug1?.(describeX509(x509, fingerprintHash))
    else if (certificate) for (const line of describeCertificate(certificate, fingerprintHash)) log.debug1?.(line)
    else log.debug1?.(`Server host key: ${publicKey.type} ${fingerprint(publicKey.blob, fingerprintHash)}`)
    // A later key exchange shows the key again: nobody is asked twice.
    if (judged?.equals(publicKey)) return
    refuseRevoked(options, publicKey, certificate)
    const dns = await dnsVerdict(options, publicKey)
    const judgement =
      dns === 'secure-match' && options.verifyHostKeyDNS === 'yes'
        ? 'in-dns'
        : await judge({ ...options, dns }, publicKey, certificate, x509)
    judged = publicKey
    options.accepted?.(judgement, publicKey)
  }
}

/** What VerifyHostKeyDNS finds; undefined when it is off. Whatever goes wrong is thrown, and so refuses the key. */
async function dnsVerdict(options: VerifierOptions, key: PublicKey): Promise<DnsVerdict | undefined> {
  const { verifyHostKeyDNS = 'no', lookUpSshfp, host, log } = options
  if (verifyHostKeyDNS === 'no') return undefined
  if (!lookUpSshfp) return 'nothing'
  const verdict = await askSshfp(host, key, lookUpSshfp, log)
  if (verdict === 'mismatch') {
    warnOfNewKey(log, key, options.fingerprintHash)
    log.error('Update the SSHFP RR in DNS with the new host key to get rid of this message.')
  }
  return verdict
}

interface JudgeOptions extends VerifierOptions {
  readonly dns: DnsVerdict | undefined
}

async function judge(
  options: JudgeOptions,
  key: PublicKey,
  certificate?: Certificate,
  x509?: X509Chain,
): Promise<Judgement> {
  const { log } = options
  if (options.noHostAuthenticationForLocalhost && isLoopback(options.address) && options.hostKeyAlias === undefined) {
    log.debug1?.('Forcing accepting of host key for loopback/localhost.')
    return 'loopback'
  }
  const { keys: found, x509: foundX509 } = await findEverywhere(options, 'HOSTNAME', lookedUp(options), key)
  if (certificate || x509) {
    const judgement = certificate
      ? judgeCertificate(options, key, certificate, found)
      : x509 && judgeX509(options, key, x509, foundX509)
    if (judgement) return judgement
    log.debug1?.('No matching CA found. Retry with plain key')
    const { hostKeyAlgorithms } = options
    if (hostKeyAlgorithms && !hostKeyAlgorithms.some(name => keyTypeOf(name) === key.type && isPlainAlgorithm(name))) {
      log.error(`host key ${key.type} not permitted by HostkeyAlgorithms`)
      throw refusal('unknown')
    }
  }
  return judgeKey(options, key, found)
}

/** A certificate by an authority of the files. Undefined when none of them is its own: then its key is looked at. */
function judgeCertificate(
  options: VerifierOptions,
  key: PublicKey,
  certificate: Certificate,
  found: readonly Found[],
): Judgement | undefined {
  const { log } = options
  const status = statusOf(key, certificate, found)
  switch (status.kind) {
    case 'known':
      log.debug1?.(`Host '${nameOf(options)}' is known and matches the ${key.label}-CERT host certificate.`)
      log.debug1?.(`Found CA key in ${status.entry.file}:${status.entry.line}`)
      return isGood(options, certificate) ? 'certified' : undefined
    case 'revoked':
      return judgeRevoked(options, key, status.entry)
    case 'changed':
      log.debug1?.(
        `Host certificate authority does not match @cert-authority in ${status.entry.file}:${status.entry.line}`,
      )
      return undefined
    case 'new':
      return withoutPort(options, key, certificate)
  }
}

/** X.509 certificates of an authority of the files. Undefined when none of them is theirs: then the key is looked at. */
function judgeX509(
  options: VerifierOptions,
  key: PublicKey,
  chain: X509Chain,
  found: readonly FoundX509[],
): Judgement | undefined {
  const status = statusOfX509(chain, found, {
    host: options.hostKeyAlias ?? options.host,
    log: options.log,
    isRevoked(authority) {
      refuseRevoked(options, authority, undefined)
      return false
    },
  })
  switch (status.kind) {
    case 'certified':
      options.log.debug1?.(`Host '${nameOf(options)}' is known by the X.509 certificate of its ${key.label} host key.`)
      return 'certified'
    case 'revoked':
      return judgeRevoked(options, key, { ...status.entry, key })
    case 'new':
      return undefined
  }
}

function isGood({ host, hostKeyAlias, caSignatureAlgorithms, log }: VerifierOptions, certificate: Certificate) {
  try {
    checkCertificate(certificate, {
      kind: 'host',
      principal: hostKeyAlias ?? host,
      now: BigInt(Math.floor(Date.now() / 1000)),
      ...(caSignatureAlgorithms && { authorityAlgorithms: caSignatureAlgorithms }),
    })
    return true
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    log.error(error.message)
    return false
  }
}

async function judgeKey(options: JudgeOptions, key: PublicKey, found: readonly Found[]): Promise<Judgement> {
  const { log, strictHostKeyChecking: strict } = options
  const address = await statusOfAddress(options, key)
  const status = statusOf(key, undefined, found)
  switch (status.kind) {
    case 'known': {
      const { file, line, source } = status.entry
      log.debug1?.(`Host '${nameOf(options)}' is known and matches the ${key.label} host key.`)
      log.debug1?.(`Found key in ${file}:${line}`)
      if (address?.kind === 'new') rememberAddress(options, key, source)
      else if (options.visualHostKey) showPicture(options, key)
      if (address?.kind === 'changed') await refuseOtherAddress(options, key, address.entry, status.entry)
      const known = address?.kind === 'known' && address.entry.source === 'system' ? 'system' : source
      return known === 'user' ? 'known-to-user' : 'known-to-system'
    }
    case 'revoked':
      return judgeRevoked(options, key, status.entry)
    case 'changed':
      if (address && (address.kind !== 'changed' || !address.entry.blob.equals(status.entry.blob)))
        warnOfAddress(log, key, nameOf(options), options.address!, address)
      warnOfChange(log, nameOf(options), key, status.entry, options)
      if (strict !== 'no') throw refusal('changed', `Host key for ${nameOf(options)} has changed`)
      return 'distrusted'
    case 'new': {
      const judgement = withoutPort(options, key, undefined) ?? (await judgeNew(options, key, address))
      if (address?.kind === 'changed') await refuseOtherAddress(options, key, address.entry, undefined)
      return judgement
    }
  }
}

const nameOf = (options: VerifierOptions): string => {
  const { host, port } = lookedUp(options)
  return hostName(host, port)
}

/** Under `no` the connection goes on, as ssh's does. @throws HostKeyError otherwise */
function judgeRevoked(
  options: VerifierOptions,
  key: PublicKey,
  entry: Pick<Found, 'key' | 'file' | 'line'>,
): Judgement {
  warnOfRevocation(options.log, nameOf(options), key, entry)
  if (options.strictHostKeyChecking === 'no') return 'distrusted'
  throw refusal('revoked', `${key.label} host key for ${nameOf(options)} was revoked`)
}

/** A host on another port is known when the files name it without one. */
function withoutPort(options: VerifierOptions, key: PublicKey, certificate: Certificate | undefined) {
  const { host, port, hostKeyAlias, log } = options
  if (hostKeyAlias !== undefined || port === 22) return undefined
  log.debug1?.('checking without port identifier')
  const status = statusOf(key, certificate, findInFiles(options, host, 22))
  if (status.kind === 'revoked') return judgeRevoked(options, key, status.entry)
  if (status.kind !== 'known' || (certificate && !isGood(options, certificate))) return undefined
  log.debug1?.('found matching key w/out port')
  return certificate ? 'certified' : 'known-without-port'
}

async function judgeNew(options: JudgeOptions, key: PublicKey, address: Status | undefined): Promise<Judgement> {
  const { log, strictHostKeyChecking: strict } = options
  const recordable = isRecordableHost(options.hostKeyAlias ?? options.host)
  if (!recordable) log.debug1?.(`invalid hostname "${options.hostKeyAlias ?? options.host}"; will not record`)
  // Who can keep no key would take any key for ever: ssh refuses too.
  if (!recordable || options.userKnownHostsFiles.length === 0) throw refusal('unknown')
  if (strict === 'yes') throw refusal('unknown', `No ${key.label} host key is known for ${nameOf(options)}`)
  if (strict === 'ask' && !(await askUser(options, key))) throw refusal('unknown')
  remember(options, key, address?.kind === 'new' ? [lookedUp(options), addressPlace(options)] : [lookedUp(options)])
  return strict === 'ask' ? 'confirmed' : 'new'
}

function askUser(options: JudgeOptions, key: PublicKey): Promise<boolean> {
  const { address, port, dns, fingerprintHash = 'sha256', visualHostKey = false } = options
  return confirmNewHost(options.ask, {
    name: nameOf(options),
    place: address === undefined ? '<no hostip for proxy command>' : hostName(address, port),
    key,
    fingerprintHash,
    visual: visualHostKey,
    dnsLine:
      dns &&
      `${dns === 'match' || dns === 'secure-match' ? 'Matching' : 'No matching'} host key fingerprint found in DNS.`,
    otherNames: otherNamesOf(
      key,
      [...options.userKnownHostsFiles, ...options.globalKnownHostsFiles],
      lookedUp(options),
    ),
  })
}

/** @throws HostKeyError also when a list cannot be read */
function refuseRevoked(
  { revokedHostKeys = [], fingerprintHash, log }: VerifierOptions,
  key: PublicKey,
  certificate: Certificate | undefined,
): void {
  for (const file of revokedHostKeys) {
    const shown = `${key.label} ${fingerprint(key.blob, fingerprintHash)}`
    let revoked: boolean
    try {
      revoked = isRevoked(file, key, certificate)
    } catch (error) {
      log.error(`Error checking host key ${shown} in revoked keys file ${file}: ${messageOf(error)}`)
      throw new HostKeyError('revoked', failed, { cause: error })
    }
    if (revoked) {
      log.error(`Host key ${shown} revoked by file ${file}`)
      throw refusal('revoked')
    }
  }
}

const addressPlace = ({ address, port }: VerifierOptions): Place => ({ host: address ?? '', port })

/** CheckHostIP: what is known of the key under the address. Undefined when that is not asked. */
async function statusOfAddress(options: VerifierOptions, key: PublicKey): Promise<Status | undefined> {
  const { address, checkHostIP, host } = options
  if (!checkHostIP || address === undefined || address === host || isLoopback(address)) return undefined
  const { keys } = await findEverywhere(options, 'ADDRESS', addressPlace(options), key)
  return statusOf(key, undefined, keys)
}

/** A known host whose address is known with another key. @throws HostKeyError */
async function refuseOtherAddress(options: VerifierOptions, key: PublicKey, other: Found, own: Found | undefined) {
  const { log, strictHostKeyChecking: strict } = options
  const text = [
    `Warning: the ${key.label} host key for '${nameOf(options)}' differs from the key for the IP address '${options.address}'`,
    `Offending key for IP in ${other.file}:${other.line}`,
    ...(own ? [`Matching host key in ${own.file}:${own.line}`] : []),
  ].join('\n')
  if (strict === 'ask') {
    if (await confirm(options.ask, `${text}\nAre you sure you want to continue connecting (yes/no)? `)) return
    throw refusal('changed')
  }
  log.info?.(text)
  if (strict === 'no') return
  throw new HostKeyError('changed', `Exiting, you have requested strict checking.\n${failed}`)
}

const isLoopback = (address: string | undefined): boolean =>
  address !== undefined && (/^(::ffff:)?127\./.test(address) || address === '::1') && isIP(address) !== 0

function showPicture({ log, fingerprintHash }: VerifierOptions, key: PublicKey): void {
  log.info?.(`Host key fingerprint is: ${fingerprint(key.blob, fingerprintHash)}`)
  for (const line of randomart(key, fingerprintHash).split('\n')) log.info?.(line)
}

function rememberAddress(options: VerifierOptions, key: PublicKey, source: Found['source']): void {
  const { address = '', log, userKnownHostsFiles } = options
  const [file] = userKnownHostsFiles
  const what = `${key.label} host key for IP address '${address}'`
  if (file === undefined || source === 'command') {
    log.info?.(`${what} not in list of known hosts.`)
    return
  }
  const problem = append(options, file, key, [addressPlace(options)])
  if (problem === undefined) log.info?.(`Warning: Permanently added the ${what} to the list of known hosts.`)
  else log.info?.(`Failed to add the ${what} to the list of known hosts (${file}): ${problem}`)
}

/** Adds the key to the user's first file. A file that cannot be written does not end the connection. */
function remember(options: VerifierOptions, key: PublicKey, places: readonly Place[]): void {
  const file = options.userKnownHostsFiles[0]!
  const problem = append(options, file, key, places)
  const shown = options.hashKnownHosts ? places.slice(0, 1) : places
  const name = shown.map(({ host, port }) => hostName(host, port)).join(',')
  if (problem === undefined)
    options.log.info?.(`Warning: Permanently added '${name}' (${key.label}) to the list of known hosts.`)
  else options.log.info?.(`Failed to add the host to the list of known hosts (${file}): ${problem}`)
}

/** @returns what went wrong */
function append(options: VerifierOptions, file: string, key: PublicKey, places: readonly Place[]): string | undefined {
  const names = places.map(({ host, port }) => hostName(host, port))
  try {
    appendLine(file, knownHostLines(names, key, options.hashKnownHosts).join('\n'))
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}
