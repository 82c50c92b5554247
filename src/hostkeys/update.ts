import { statSync } from 'node:fs'
import type { Connection } from '../../lib/connection/connection.ts'
import { requestHostKeyProofs } from '../../lib/connection/requests/hostkeys.ts'
import { messageOf } from '../../lib/errors.ts'
import { keyTypeOf } from '../../lib/keys/algorithms.ts'
import { type FingerprintHash, fingerprint } from '../../lib/keys/fingerprint.ts'
import { type PublicKey, parsePublicKey } from '../../lib/keys/public-key.ts'
import type { Log } from '../../lib/log.ts'
import { editFile, readTextFile } from '../openssh/files.ts'
import { hostMatcher, hostName, knownHostLines, readKnownHosts, removeHost } from '../openssh/known-hosts.ts'

export interface UpdateOptions {
  readonly mode: 'yes' | 'ask'
  /** As known_hosts has it, an alias in its place already. */
  readonly host: string
  readonly port: number
  /** The address too, with CheckHostIP. */
  readonly address?: string
  readonly userKnownHostsFiles: readonly string[]
  readonly hashKnownHosts: boolean
  readonly hostKeyAlgorithms: readonly string[]
  readonly fingerprintHash?: FingerprintHash
  ask(question: string): Promise<string | undefined>
  readonly log: Log
}

/** What the files say beside what the server showed. */
export interface HostKeyChanges {
  /** Keys that the server has and the files have not. */
  readonly learned: readonly PublicKey[]
  /** Keys that the files have and the server has not. */
  readonly deprecated: readonly PublicKey[]
  /** Why the files must stay as they are, if they must. */
  readonly obstacle?: string
}

/**
 * Compares the keys of a server with the lines of the user's files (ssh_config(5), UpdateHostKeys). Lines that a person
 * wrote with care (markers, patterns, several names) and keys that stand under other names too are left alone.
 */
export function compareHostKeys(
  keys: readonly PublicKey[],
  texts: readonly string[],
  names: readonly string[],
): HostKeyChanges {
  const matchers = names.map(hostMatcher)
  const known: PublicKey[] = []
  const deprecated: PublicKey[] = []
  const elsewhere: PublicKey[] = []
  let obstacle: string | undefined
  const isShown = (key: PublicKey): boolean => keys.some(shown => shown.equals(key))
  for (const { key, marker, hosts } of texts.flatMap(text => [...readKnownHosts(text)])) {
    const matched = matchers.filter(matches => matches(hosts)).length
    if (matched === 0) {
      elsewhere.push(key)
      if (isShown(key)) obstacle ??= 'host key found matching a different name/address'
    } else if (marker !== 'none' || isComplex(hosts)) {
      obstacle ??= 'CA/revocation marker, manual host list or wildcard host pattern found'
    } else if (hosts.includes(',') && matched < matchers.length) {
      obstacle ??= 'host key found matching a different name/address'
    } else (isShown(key) ? known : deprecated).push(key)
  }
  if (deprecated.some(key => elsewhere.some(other => other.equals(key))))
    obstacle ??= 'key(s) to be removed exist under other names'
  return {
    learned: keys.filter(key => !known.some(other => other.equals(key))),
    deprecated,
    ...(obstacle !== undefined && { obstacle }),
  }
}

/** Wildcards, and more names than the two that are written by ssh itself. */
const isComplex = (hosts: string): boolean => /[*?!]/.test(hosts) || hosts.split(',').length > 2

/**
 * Brings the user's files up to date with the keys that a trusted server announced, once it proved that it has them.
 * Never rejects: a failure leaves the files alone.
 */
export async function updateHostKeys(
  blobs: readonly Buffer[],
  connection: Connection,
  options: UpdateOptions,
): Promise<void> {
  const { log, userKnownHostsFiles } = options
  const keys = usableKeys(blobs, options)
  if (keys === undefined) return
  if (keys.length === 0) {
    log.debug1?.('server sent no hostkeys')
    return
  }
  const names = [hostName(options.host, options.port)]
  if (options.address !== undefined) names.push(hostName(options.address, options.port))
  const changes = compareHostKeys(
    keys,
    userKnownHostsFiles.map(file => readTextFile(file) ?? ''),
    names,
  )
  const { learned, deprecated, obstacle } = changes
  if (learned.length === 0 && deprecated.length === 0) {
    log.debug1?.('no new or deprecated keys from server')
    return
  }
  if (obstacle !== undefined) {
    log.debug1?.(`${obstacle}, skipping UserKnownHostsFile update`)
    return
  }
  try {
    await requestHostKeyProofs(connection, learned)
  } catch (error) {
    log.error(`Server failed to confirm ownership of private host keys: ${messageOf(error)}`)
    return
  }
  if (await agreed(changes, options)) rewrite(keys, names, options)
}

/** The plain keys of types that may be used; undefined when the list makes no sense. */
function usableKeys(blobs: readonly Buffer[], { hostKeyAlgorithms, log }: UpdateOptions): PublicKey[] | undefined {
  const keys: PublicKey[] = []
  for (const blob of blobs) {
    let key: PublicKey
    try {
      key = parsePublicKey(blob)
    } catch (error) {
      log.debug1?.(`host key not taken: ${messageOf(error)}`)
      continue
    }
    if (!hostKeyAlgorithms.some(name => keyTypeOf(name) === key.type)) continue
    if (keys.some(other => other.equals(key))) {
      log.error(`received duplicated ${key.type} host key`)
      return undefined
    }
    keys.push(key)
  }
  return keys
}

/** Says what changes, and asks where the mode says so. */
async function agreed({ learned, deprecated }: HostKeyChanges, options: UpdateOptions): Promise<boolean> {
  const { mode, log, ask, fingerprintHash } = options
  const say = (line: string): void => (mode === 'ask' ? log.info?.(line) : log.verbose?.(line))
  if (mode === 'ask') {
    say('The server has updated its host keys.')
    say("These changes were verified by the server's existing trusted key.")
  }
  for (const key of learned) say(`Learned new hostkey: ${key.label} ${fingerprint(key.blob, fingerprintHash)}`)
  for (const key of deprecated)
    say(`Deprecating obsolete hostkey: ${key.label} ${fingerprint(key.blob, fingerprintHash)}`)
  if (mode === 'yes') return true
  for (let tries = 0; tries < 3; tries++) {
    const answer = (await ask('Accept updated hostkeys? (yes/no): '))?.trim().toLowerCase()
    if (answer === 'yes') return true
    if (answer === undefined || answer === 'no') return false
    say('Please enter "yes" or "no"')
  }
  return false
}

/** The first file gets what is new; lines of the host in the others go. All else stays byte for byte. */
function rewrite(keys: readonly PublicKey[], names: readonly string[], options: UpdateOptions): void {
  const { log } = options
  for (const [index, file] of options.userKnownHostsFiles.entries()) {
    if (!statSync(file, { throwIfNoEntry: false })) {
      log.debug1?.(`known hosts file ${file} does not exist`)
      continue
    }
    if (readTextFile(file) === undefined) {
      log.error(`known hosts file ${file} inaccessible`)
      continue
    }
    const wanted = index === 0 ? keys : []
    try {
      editFile(file, text => withHostKeys(text, names, wanted, options.hashKnownHosts))
    } catch (error) {
      log.error(`cannot update ${file}: ${messageOf(error)}`)
    }
  }
}

/** The text with exactly these keys for the names. */
export function withHostKeys(
  text: string,
  names: readonly string[],
  keys: readonly PublicKey[],
  hashed: boolean,
): string {
  const kept: PublicKey[] = []
  let rest = text
  for (const name of names) {
    rest = removeHost(rest, name, undefined, key => {
      const wanted = keys.some(other => other.equals(key))
      if (wanted) kept.push(key)
      return wanted
    }).text
  }
  const fresh = keys.filter(key => !kept.some(other => other.equals(key)))
  return (
    rest +
    fresh
      .flatMap(key => knownHostLines(names, key, hashed))
      .map(line => `${line}\n`)
      .join('')
  )
}
