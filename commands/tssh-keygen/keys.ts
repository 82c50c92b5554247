import { lstatSync, statSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { KeyError, messageOf } from '../../lib/errors.ts'
import { type KeyOrCertificateLine, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import type { PrivateKey } from '../../lib/keys/private-key.ts'
import { isPrivateEnough, openPermissionsWarning, readRegularFile, replaceFile } from '../../src/openssh/files.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { expandTilde } from '../../src/openssh/tokens.ts'
import { readStdin } from '../../src/terminal/stdin.ts'
import { fatal, type Settings } from './settings.ts'
import { askPassphrase, complain, print, readAnswer } from './terminal.ts'

/** Key files: how they are named, opened and written. */

/** Largest file of keys that is read, in bytes. */
const fileLimit = 64 * 1024 * 1024
const privateLimit = 1024 * 1024

/** What went wrong, in OpenSSH's words and where those are vague in ours too. */
export function problemOf(error: unknown): string {
  if (!(error instanceof KeyError)) return systemErrorText(error) ?? messageOf(error)
  switch (error.code) {
    case 'passphrase-required':
    case 'wrong-passphrase':
      return 'incorrect passphrase supplied to decrypt private key'
    case 'malformed':
    case 'unknown-format':
    case 'mismatch':
      return `invalid format (${error.message})`
    default:
      return error.message
  }
}

/** `~` and `~user` at the beginning of a path. */
export const expandHome = (path: string): string => expandTilde(path, { home: userInfo().homedir })

/** The file that -f names; else asks, proposing the default key of a type. Ends the command when stdin has ended. */
export function keyFile({ file }: Settings, question = 'Enter file in which the key is', name = 'id_ed25519'): string {
  if (file !== undefined) return file
  const proposed = `${userInfo().homedir}/.ssh/${name}`
  print(`${question} (${proposed}): `)
  const answer = readAnswer()
  if (answer === undefined) process.exit(1)
  return answer === '' ? proposed : answer
}

/** @throws CommandError with the system's words when there is no such file */
export function requireFile(path: string, prefix = ''): void {
  try {
    statSync(path)
  } catch (error) {
    fatal(`${prefix}${path}: ${systemErrorText(error) ?? messageOf(error)}`)
  }
}

/** A file of public keys, or stdin for `-`, and how messages call it. Ends the command when it cannot be read. */
export function readLinesOf(file: string, limit: number): { path: string; text: string } {
  const path = file === '-' ? '(stdin)' : file
  try {
    return { path, text: (file === '-' ? readStdin(limit) : readRegularFile(file, limit)).toString() }
  } catch (error) {
    return fatal(`tssh-keygen: ${path}: ${problemOf(error)}`)
  }
}

/** A public key or certificate with what OpenSSH calls its type. */
export interface LoadedKey extends KeyOrCertificateLine {
  /** `ED25519`, or `ED25519-CERT`. */
  readonly label: string
}

const labelled = (line: KeyOrCertificateLine): LoadedKey => ({
  ...line,
  label: line.certificate ? `${line.key.label}-CERT` : line.key.label,
})

/** A key line; undefined when it is none. */
export function readKeyLine(line: string): LoadedKey | undefined {
  try {
    return labelled(parseKeyOrCertificateLine(line))
  } catch (error) {
    if (error instanceof KeyError) return undefined
    throw error
  }
}

/** The first key of a public key file. The comment is the file's name when the line has none. */
function readPublicFile(path: string): LoadedKey | undefined {
  let text: string
  try {
    text = readRegularFile(path, fileLimit).toString()
  } catch {
    return undefined
  }
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    if (line.startsWith('-----BEGIN') || line === 'SSH PRIVATE KEY FILE') return undefined
    const key = readKeyLine(line)
    if (key) return { ...key, comment: key.comment || path }
  }
  return undefined
}

/**
 * A public key from its file, from the `.pub` beside it, or from a private key file that shows it without a passphrase.
 * @throws Error `ENOENT` when none of these has one, as OpenSSH says then
 */
export async function loadPublic(path: string): Promise<LoadedKey> {
  const found = readPublicFile(path) ?? readPublicFile(`${path}.pub`) ?? (await publicOfPrivate(path))
  if (!found) throw Object.assign(new Error(`no key in ${path}`), { code: 'ENOENT' })
  return found
}

async function publicOfPrivate(path: string): Promise<LoadedKey | undefined> {
  try {
    const contents = readRegularFile(path, privateLimit)
    // Loaded here: who has public keys needs no formats of private ones.
    const { publicPartOf } = await import('../../lib/keys/formats/private-file.ts')
    const key = publicPartOf(contents)
    return key && labelled({ key, comment: '' })
  } catch {
    return undefined
  }
}

/** A private key with what its file says of it. */
export interface LoadedPrivate {
  readonly key: PrivateKey
  /** Undefined where the format has none. */
  readonly comment: string | undefined
  /** '' when the file is not encrypted. */
  readonly passphrase: string
}

/** Opens a private key file. @throws KeyError, or what the system says */
export async function openPrivate(path: string, passphrase: string): Promise<LoadedPrivate> {
  const contents = readRegularFile(path, privateLimit)
  const status = statSync(path)
  if (!isPrivateEnough(status, process.getuid?.() ?? -1)) {
    for (const line of openPermissionsWarning(path, status.mode)) complain(line)
    throw new KeyError('not-valid', 'bad permissions')
  }
  const { parsePrivateKey } = await import('../../lib/keys/formats/private-file.ts')
  const { isOpensshV1 } = await import('../../lib/keys/formats/openssh-v1.ts')
  const key = parsePrivateKey(contents, passphrase)
  const named = isOpensshV1(contents.toString('latin1')) || key.comment !== ''
  return { key, comment: named ? key.comment : undefined, passphrase }
}

export const needsPassphrase = (error: unknown): boolean =>
  error instanceof KeyError && (error.code === 'passphrase-required' || error.code === 'wrong-passphrase')

/** Opens a private key without a passphrase, else with the one that `ask` gives. @throws KeyError, or what the system says */
export async function openWithPassphrase(path: string, ask: () => string | Promise<string>): Promise<LoadedPrivate> {
  try {
    return await openPrivate(path, '')
  } catch (error) {
    if (!needsPassphrase(error)) throw error
  }
  return openPrivate(path, await ask())
}

/** Opens a private key, asking for its passphrase unless -P gives it. @throws CommandError */
export async function loadIdentity(path: string, { text }: Settings): Promise<LoadedPrivate> {
  try {
    return await openWithPassphrase(path, () => text.get('P') ?? askPassphrase(`Enter passphrase for "${path}": `))
  } catch (error) {
    return fatal(`Load key "${path}": ${problemOf(error)}`)
  }
}

export interface PrivateFileOptions {
  readonly passphrase: string
  readonly comment: string
}

/** The text of a private key file in the format that -m, -Z and -a ask for. @throws KeyError */
async function formatPrivate(key: PrivateKey, settings: Settings, options: PrivateFileOptions): Promise<string> {
  const { format, rounds, text } = settings
  const cipher = text.get('Z')
  const { kind } = key.numbers
  if (cipher === 'none' && options.passphrase !== '')
    throw new KeyError('unsupported', 'cipher "none" would leave the key unencrypted; give an empty passphrase instead')
  // Other programs have no format for the rest.
  const portable = ['rsa', 'dsa', 'ecdsa', 'ed25519', 'ed448'].includes(kind)
  if (format === 'PPK') return (await import('../../lib/keys/formats/ppk.ts')).formatPpk(key, options)
  if (portable && (format === 'PEM' || format === 'PKCS8')) {
    if (format === 'PEM' && kind.startsWith('ed')) throw new KeyError('unsupported', 'invalid format')
    const { formatPrivatePem } = await import('../../lib/keys/formats/pem.ts')
    return formatPrivatePem(key, format === 'PEM' ? 'traditional' : 'pkcs8', options.passphrase)
  }
  const { formatOpensshV1 } = await import('../../lib/keys/formats/openssh-v1.ts')
  return formatOpensshV1(key, { ...options, ...(cipher !== undefined && { cipher }), ...(rounds && { rounds }) })
}

/** Writes a private key, for its owner alone. @throws KeyError, or what the system says */
export async function savePrivate(
  path: string,
  key: PrivateKey,
  settings: Settings,
  options: PrivateFileOptions,
): Promise<void> {
  writeOutput(path, await formatPrivate(key, settings, options), 0o600, 0o600)
}

/** Writes `type base64 comment`, for everybody. @throws what the system says */
export function savePublic(path: string, key: { type: string; blob: Buffer }, comment: string): void {
  // The space stands there even when the comment is empty, as in OpenSSH.
  const line = `${key.type} ${key.blob.toString('base64')} ${comment}\n`
  writeOutput(path, line, 0o644 & ~process.umask(), 0o777)
}

/** Replaces a file at once; a device or pipe is written to. @throws what the system says */
export function writeOutput(path: string, contents: string | Buffer, mode: number, kept = 0o777): void {
  const bytes = Buffer.from(contents as string)
  const status = statSync(path, { throwIfNoEntry: false })
  if (status ? status.isFile() : !lstatSync(path, { throwIfNoEntry: false })) replaceFile(path, bytes, mode, kept)
  else writeFileSync(path, bytes, { mode })
}

/** Asks before a file is written over. */
export function confirmOverwrite(path: string): boolean {
  if (!statSync(path, { throwIfNoEntry: false })) return true
  print(`${path} already exists.\nOverwrite (y/n)? `)
  return /^[yY]/.test(readAnswer() ?? '')
}
