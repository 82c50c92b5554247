import { statSync } from 'node:fs'
import type { AgentClient } from '../../lib/agent/client.ts'
import type { KeyConstraints } from '../../lib/agent/constraints.ts'
import { KeyError } from '../../lib/errors.ts'
import { type Certificate, forever } from '../../lib/keys/certificate.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { parsePrivateKey } from '../../lib/keys/formats/private-file.ts'
import type { PrivateKey } from '../../lib/keys/private-key.ts'
import type { Log } from '../../lib/log.ts'
import { askPassphrase } from '../../src/identity/passphrase.ts'
import { isPrivateEnough, openPermissionsWarning, readRegularFile } from '../../src/openssh/files.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { readStdin } from '../../src/terminal/stdin.ts'
import type { AddCommandLine } from './command-line.ts'
import { problemText, say } from './problems.ts'
import { keyFileLimit, readCertificateBeside } from './public-file.ts'

/** Seconds that an expired certificate stays: clocks differ. */
const expiryGrace = 5n * 60n
/** Longest lifetime taken from a certificate, in seconds. */
const lifetimeLimit = 0x7fff_ffffn

/** Adds key files, each with the certificate beside it. One passphrase is tried on the files that follow. */
export class KeyAdder {
  readonly #client: AgentClient
  readonly #line: AddCommandLine
  readonly #constraints: KeyConstraints
  readonly #log: Log
  #passphrase: string | undefined

  constructor(client: AgentClient, line: AddCommandLine, constraints: KeyConstraints, log: Log) {
    this.#log = log
    this.#client = client
    this.#line = line
    this.#constraints = constraints
  }

  /** @returns whether the key was added; what was wrong went to stderr */
  async add(file: string): Promise<boolean> {
    const name = file === '-' ? '(stdin)' : file
    const contents = readKeyFile(file, name)
    const key = contents && (await this.#open(contents, name))
    contents?.fill(0)
    if (!key) return false
    try {
      return await this.#give(key, name)
    } finally {
      key.dispose()
    }
  }

  async #give(key: PrivateKey, name: string): Promise<boolean> {
    const comment = key.comment || name
    this.#log.debug1?.(`${name}: ${key.publicKey.label} key ${fingerprint(key.publicKey.blob)}`)
    const constraints = this.#constraintsFor(key)
    if (!constraints) {
      say(`Cannot load FIDO key ${name} without provider`)
      return false
    }
    const added = this.#line.keys && (await this.#givePlain(key, name, comment, constraints))
    if (!this.#line.certificates) return added
    const certified = await this.#giveCertified(key, name, comment, constraints)
    return this.#line.keys ? added : certified
  }

  /** A provider is named for security keys only. */
  #constraintsFor(key: PrivateKey): KeyConstraints | undefined {
    if (!key.family.type.startsWith('sk-')) return this.#constraints
    const { securityKeyProvider = 'internal' } = this.#line
    return { ...this.#constraints, securityKeyProvider }
  }

  async #givePlain(key: PrivateKey, name: string, comment: string, constraints: KeyConstraints): Promise<boolean> {
    try {
      await this.#client.add(key, comment, constraints)
    } catch (error) {
      say(`Could not add identity "${name}": ${problemText(error)}`)
      return false
    }
    this.#tell(`Identity added: ${name} (${comment})`, constraints.lifetime)
    return true
  }

  async #giveCertified(key: PrivateKey, name: string, comment: string, constraints: KeyConstraints): Promise<boolean> {
    const path = `${name}-cert.pub`
    const certificate = certificateFor(key, path, name)
    if (!certificate) return false
    this.#log.debug1?.(`${path}: serial ${certificate.serial}, signed by ${fingerprint(certificate.signatureKey.blob)}`)
    const lifetime = this.#line.keepExpired
      ? constraints.lifetime
      : certificateLifetime(certificate, constraints.lifetime)
    if (lifetime === 'expired') {
      say(`Certificate ${path} has already expired; ignored`)
      return false
    }
    const { lifetime: _, ...others } = constraints
    try {
      await this.#client.add(key, comment, { ...others, ...(lifetime && { lifetime }) }, certificate)
    } catch (error) {
      say(`Certificate ${path} (${certificate.keyId}) add failed: ${problemText(error)}`)
      return false
    }
    this.#tell(`Certificate added: ${path} (${certificate.keyId})`, lifetime)
    return true
  }

  #tell(line: string, lifetime: number | undefined): void {
    if (this.#line.quiet) return
    say(line)
    if (lifetime) say(`Lifetime set to ${formatLifetime(lifetime)}`)
    if (this.#line.confirm) say('The user must confirm each use of the key')
  }

  async #open(contents: Buffer, name: string): Promise<PrivateKey | undefined> {
    try {
      const open = tryPassphrase(contents, undefined) ?? (this.#passphrase && tryPassphrase(contents, this.#passphrase))
      if (open) return open
      const confirmed = this.#line.confirm ? ' (will confirm each use)' : ''
      for (let asking = 'Enter passphrase for'; ; asking = 'Bad passphrase, try again for') {
        this.#passphrase = await askPassphrase(`${asking} ${name}${confirmed}: `, process.env)
        if (this.#passphrase === '') return undefined
        const key = tryPassphrase(contents, this.#passphrase)
        if (key) return key
      }
    } catch (error) {
      say(`Error loading key "${name}": ${problemText(error)}`)
      return undefined
    }
  }
}

/** @returns undefined when it takes another passphrase @throws KeyError */
function tryPassphrase(contents: Buffer, passphrase: string | undefined): PrivateKey | undefined {
  try {
    return parsePrivateKey(contents, passphrase)
  } catch (error) {
    if (error instanceof KeyError && (error.code === 'passphrase-required' || error.code === 'wrong-passphrase'))
      return undefined
    throw error
  }
}

function readKeyFile(file: string, name: string): Buffer | undefined {
  try {
    if (file === '-') return readStdin(keyFileLimit)
    const status = statSync(file)
    if (!isPrivateEnough(status, process.getuid?.() ?? -1)) {
      for (const line of openPermissionsWarning(file, status.mode)) say(line)
      return undefined
    }
    return readRegularFile(file, keyFileLimit)
  } catch (error) {
    const reason = systemErrorText(error)
    say(reason === undefined ? `Error loading key "${name}": ${problemText(error)}` : `${name}: ${reason}`)
    return undefined
  }
}

function certificateFor(key: PrivateKey, path: string, name: string): Certificate | undefined {
  try {
    const line = readCertificateBeside(path)
    if (!line) return undefined
    if (line.key.equals(key.publicKey)) return line.certificate
    say(`Certificate ${path} does not match private key ${name}`)
  } catch (error) {
    say(`Failed to load certificate "${path}": ${problemText(error)}`)
  }
  return undefined
}

/** Seconds until a certificate is of no use any more, or until the key goes, whichever comes first. */
function certificateLifetime(
  { validBefore }: Certificate,
  lifetime: number | undefined,
): number | undefined | 'expired' {
  if (validBefore === forever) return lifetime
  const left = validBefore + expiryGrace - BigInt(Math.floor(Date.now() / 1000))
  if (left < 0n) return 'expired'
  const seconds = Number(left < lifetimeLimit ? left : lifetimeLimit)
  return lifetime === undefined ? seconds : Math.min(seconds, lifetime)
}

const two = (number: number): string => String(number).padStart(2, '0')

/** Weeks, days and hours; days, hours and minutes; or hours, minutes and seconds. */
export function formatLifetime(seconds: number): string {
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  const weeks = Math.floor(days / 7)
  if (weeks > 0) return `${two(weeks)}w${days % 7}d${two(hours % 24)}h`
  if (days > 0) return `${days}d${two(hours % 24)}h${two(minutes % 60)}m`
  return `${two(hours)}:${two(minutes % 60)}:${two(seconds % 60)}`
}
