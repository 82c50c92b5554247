import { HostKeyError, messageOf } from '../../lib/errors.ts'
import { keyTypeOf } from '../../lib/keys/algorithms.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { Log } from '../../lib/log.ts'
import type { HostKeyVerifier } from '../../lib/transport/transport.ts'
import { appendLine, readTextFile } from '../openssh/files.ts'
import { hostName, type KnownHost, knownHostLine, lookUpHost } from '../openssh/known-hosts.ts'

export interface VerifierOptions {
  /** As in known_hosts, unless an alias takes its place. */
  readonly host: string
  readonly port: number
  /** The address that was connected to, for the question. */
  readonly address?: string
  readonly hostKeyAlias?: string
  readonly strictHostKeyChecking: 'yes' | 'no' | 'ask' | 'accept-new'
  readonly userKnownHostsFiles: readonly string[]
  readonly globalKnownHostsFiles: readonly string[]
  readonly hashKnownHosts: boolean
  /** Undefined when nobody can be asked. */
  ask(question: string): Promise<string | undefined>
  print(line: string): void
  readonly log: Log
}

interface Found extends KnownHost {
  readonly file: string
}

/** An alias stands without a port. */
const lookedUp = ({ host, port, hostKeyAlias }: VerifierOptions): { host: string; port: number } =>
  hostKeyAlias === undefined ? { host, port } : { host: hostKeyAlias, port: 22 }

function findAll(options: VerifierOptions): Found[] {
  const { host, port } = lookedUp(options)
  return [...options.userKnownHostsFiles, ...options.globalKnownHostsFiles].flatMap(file => {
    const text = readTextFile(file)
    return text === undefined ? [] : [...lookUpHost(text, host, port)].map(entry => ({ ...entry, file }))
  })
}

/** Types of the keys that are known for the host. */
export const knownKeyTypes = (options: VerifierOptions): readonly string[] =>
  findAll(options)
    .filter(({ marker }) => marker === 'none')
    .map(({ type }) => type)

/** The algorithms with those first whose keys are known: a host with several keys should show a known one. */
export function preferKnownTypes(algorithms: readonly string[], known: readonly string[]): readonly string[] {
  const isKnown = (algorithm: string): boolean => known.includes(keyTypeOf(algorithm) ?? '')
  return [...algorithms.filter(isKnown), ...algorithms.filter(algorithm => !isKnown(algorithm))]
}

/** Judges host keys by known_hosts and by asking (ssh_config(5), StrictHostKeyChecking). */
export function hostKeyVerifier(options: VerifierOptions): HostKeyVerifier {
  return async ({ publicKey }) => {
    const { log, strictHostKeyChecking: strict } = options
    log.debug1?.(`Server host key: ${publicKey.type} ${fingerprint(publicKey.blob)}`)
    const found = findAll(options)
    const revoked = found.find(entry => entry.marker === 'revoked' && entry.blob.equals(publicKey.blob))
    if (revoked) throw refusedRevoked(options, publicKey, revoked)
    const plain = found.filter(({ marker }) => marker === 'none')
    const match = plain.find(({ blob }) => blob.equals(publicKey.blob))
    if (match) {
      log.debug1?.(`Host '${lookedUp(options).host}' is known and matches the ${publicKey.label} host key.`)
      log.debug1?.(`Found key in ${match.file}:${match.line}`)
      return
    }
    // A host that is known by any key may not quietly show another one, of whatever type.
    const other = plain.find(({ type }) => type === publicKey.type) ?? plain[0]
    if (other) {
      warnOfChange(options, publicKey, other)
      if (strict !== 'no')
        throw new HostKeyError(
          'changed',
          `Host key for ${lookedUp(options).host} has changed and you have requested strict checking.\nHost key verification failed.`,
        )
      return
    }
    if (strict === 'yes') {
      const { host, port } = lookedUp(options)
      throw new HostKeyError(
        'unknown',
        `No ${publicKey.label} host key is known for ${hostName(host, port)} and you have requested strict checking.\nHost key verification failed.`,
      )
    }
    if (strict === 'ask' && !(await confirm(options, publicKey)))
      throw new HostKeyError('unknown', 'Host key verification failed.')
    remember(options, publicKey)
  }
}

async function confirm({ host, port, hostKeyAlias, address, ask }: VerifierOptions, key: PublicKey): Promise<boolean> {
  const name = hostKeyAlias ?? hostName(host, port)
  const place = address === undefined || address === host ? name : `${name} (${hostName(address, port)})`
  const shown = fingerprint(key.blob)
  const known = 'This key is not known by any other names.\n'
  let question =
    `The authenticity of host '${place}' can't be established.\n${key.label} key fingerprint is ${shown}.\n${known}` +
    'Are you sure you want to continue connecting (yes/no/[fingerprint])? '
  for (;;) {
    const answer = (await ask(question))?.trim()
    if (answer === undefined || answer.toLowerCase() === 'no' || answer === '') return false
    if (answer.toLowerCase() === 'yes' || answer === shown) return true
    question = "Please type 'yes', 'no' or the fingerprint: "
  }
}

/** Adds the key to the user's first file. A file that cannot be written does not end the connection. */
function remember(options: VerifierOptions, key: PublicKey): void {
  const { host, port } = lookedUp(options)
  const [file] = options.userKnownHostsFiles
  if (file === undefined) return
  try {
    appendLine(file, knownHostLine(host, port, key, options.hashKnownHosts))
    options.log.info?.(
      `Warning: Permanently added '${hostName(host, port)}' (${key.label}) to the list of known hosts.`,
    )
  } catch (error) {
    options.log.info?.(`Failed to add the host to the list of known hosts (${file}): ${messageOf(error)}`)
  }
}

function warnOfChange(
  { host, hostKeyAlias, log, userKnownHostsFiles }: VerifierOptions,
  key: PublicKey,
  { file, line }: Found,
): void {
  const rule = '@'.repeat(59)
  log.error(rule)
  log.error('@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @')
  log.error(rule)
  log.error('IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!')
  log.error('Someone may be listening to this connection and answering in place of the host,')
  log.error('or the host has a new key.')
  log.error(
    `The ${key.label} key that the host ${hostKeyAlias ?? host} sent has the fingerprint\n${fingerprint(key.blob)}.`,
  )
  log.error(`Add the right key to ${userKnownHostsFiles[0] ?? file} to get rid of this message.`)
  log.error(`Offending ${key.label} key in ${file}:${line}`)
}

function refusedRevoked(
  { host, hostKeyAlias, log }: VerifierOptions,
  key: PublicKey,
  { file, line }: Found,
): HostKeyError {
  const rule = '@'.repeat(59)
  log.error(rule)
  log.error('@       WARNING: REVOKED HOST KEY DETECTED!               @')
  log.error(rule)
  log.error(`The ${key.label} host key for ${hostKeyAlias ?? host} is marked as revoked (${file}:${line}).`)
  return new HostKeyError('revoked', 'Host key verification failed.')
}
