import { KeyError, sanitize } from '../../lib/errors.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { parseSshSignature, type SshSignature, verifyMessage } from '../../lib/keys/sshsig.ts'
import { parseAbsoluteTime } from '../../src/openssh/absolute-time.ts'
import { allowedSigners, judgeSigner, type SignerQuery } from '../../src/openssh/allowed-signers.ts'
import { readRegularFile } from '../../src/openssh/files.ts'
import { isRevoked } from '../../src/openssh/revoked-keys.ts'
import { problemOf } from './keys.ts'
import type { Settings } from './settings.ts'
import { hashInput, required } from './sign.ts'
import { complain, print } from './terminal.ts'

const fileLimit = 64 * 1024 * 1024
const signatureLimit = 1024 * 1024

interface VerifyOptions {
  /** Seconds since 1970. */
  readonly time: number
  readonly printPublicKey: boolean
}

/** -O of the verbs that verify. @returns undefined after it said what is wrong */
function readOptions(options: readonly string[], known: readonly string[]): VerifyOptions | undefined {
  let time = Math.floor(Date.now() / 1000)
  let printPublicKey = false
  for (const option of options) {
    const value = /^verify-time=(.*)$/i.exec(option)?.[1]
    if (value !== undefined && known.includes('verify-time')) {
      const parsed = parseAbsoluteTime(value)
      if (!parsed) {
        complain('Invalid "verify-time" option')
        return undefined
      }
      time = parsed
    } else if (option.toLowerCase() === 'print-pubkey' && known.includes('print-pubkey')) printPublicKey = true
    else {
      complain(`Invalid option "${option}"`)
      return undefined
    }
  }
  return { time, printPublicKey }
}

/** @returns undefined after it said what is wrong */
function readSignature(path: string): SshSignature | undefined {
  let contents: Buffer
  try {
    contents = readRegularFile(path, signatureLimit)
  } catch (error) {
    complain(`Couldn't read signature file: ${problemOf(error)}`)
    return undefined
  }
  try {
    return parseSshSignature(contents)
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    complain(error.message)
    return undefined
  }
}

/** @returns undefined after it said what is wrong */
function readAllowed(path: string): string | undefined {
  try {
    return readRegularFile(path, fileLimit).toString()
  } catch (error) {
    complain(`Unable to open allowed keys file "${path}": ${problemOf(error)}`)
    return undefined
  }
}

/** Whether the list lets the signer sign for a principal. What speaks against it goes to stderr. */
function isAllowed(path: string, principal: string, query: SignerQuery): boolean {
  const text = readAllowed(path)
  if (text === undefined) return false
  for (const entry of allowedSigners(text, principal)) {
    const verdict = 'problem' in entry ? { refused: entry.problem } : judgeSigner(entry, query, principal)
    if (verdict && 'found' in verdict) return true
    if (verdict) complain(`${path}:${entry.line}: ${sanitize(verdict.refused, true)}`)
  }
  return false
}

const label = ({ publicKey, certificate }: SshSignature): string =>
  certificate ? `${publicKey.label}-CERT` : publicKey.label

/** Whether stdin is what was signed, by a key that may. */
function isGood(
  signature: SshSignature,
  namespace: string,
  { file, text, ...from }: Settings & { readonly principal: string | undefined; readonly time: number },
): boolean {
  try {
    verifyMessage(signature, { namespace, digest: hashInput(0, signature.hash) })
  } catch (error) {
    complain(error instanceof KeyError ? error.message : problemOf(error))
    return false
  }
  if (from.principal === undefined) return true
  const { publicKey: key, certificate } = signature
  const revoked = text.get('r')
  if (revoked !== undefined && revokes(revoked, signature)) return false
  return isAllowed(file!, from.principal, { key, certificate, time: from.time, namespace })
}

function revokes(path: string, { publicKey, certificate }: SshSignature): boolean {
  try {
    return isRevoked(path, publicKey, certificate)
  } catch (error) {
    // A list that cannot be read forbids everything.
    complain(`${path}: ${problemOf(error)}`)
    return true
  }
}

function verifyWith(settings: Settings, namespace: string, path: string, principal: string | undefined): number {
  const { quiet, options, fingerprintHash } = settings
  const wanted = readOptions(options, ['verify-time', 'print-pubkey'])
  const signature = wanted && readSignature(path)
  const good = wanted && signature && isGood(signature, namespace, { ...settings, principal, time: wanted.time })
  if (!good) {
    if (!quiet) print('Could not verify signature.\n')
    return 255
  }
  if (!quiet) {
    const whose = principal === undefined ? 'with' : `for ${principal} with`
    const shown = fingerprint(signature.publicKey.blob, fingerprintHash)
    print(`Good "${namespace}" signature ${whose} ${label(signature)} key ${shown}\n`)
  }
  if (wanted.printPublicKey) print(`${formatPublicKeyLine(signature.certificate ?? signature.publicKey)}\n`)
  return 0
}

/** -Y check-novalidate: whether a signature over stdin is right, whoever made it. */
export function checkNoValidate(settings: Settings): number {
  const namespace = required(settings.text.get('n'), 'check-novalidate: missing namespace')
  const path = required(settings.text.get('s'), 'check-novalidate: missing signature file')
  return verifyWith(settings, namespace, path, undefined)
}

/** -Y verify: whether a signature over stdin is right and its key may sign for -I. */
export function verify(settings: Settings): number {
  const namespace = required(settings.text.get('n'), 'verify: missing namespace')
  const path = required(settings.text.get('s'), 'verify: missing signature file')
  required(settings.file, 'sign: missing allowed keys file')
  const principal = settings.text.get('I') ?? required(undefined, 'verify: missing principal identity')
  return verifyWith(settings, namespace, path, principal)
}

/** -Y find-principals: for whom the key of a signature may sign. */
export function findPrincipals(settings: Settings): number {
  const path = required(settings.text.get('s'), 'find-principals:missing signature file')
  const list = required(settings.file, 'find-principals:missing allowed keys file')
  const wanted = readOptions(settings.options, ['verify-time'])
  const signature = wanted && readSignature(path)
  const text = signature && readAllowed(list)
  if (wanted && signature && text !== undefined) {
    const { publicKey: key, certificate } = signature
    for (const entry of allowedSigners(text)) {
      const verdict =
        'problem' in entry ? { refused: entry.problem } : judgeSigner(entry, { key, certificate, ...wanted })
      if (verdict && 'found' in verdict) {
        for (const principal of verdict.principals) print(`${principal}\n`)
        return 0
      }
      if (verdict) complain(`${list}:${entry.line}: ${sanitize(verdict.refused, true)}`)
    }
  }
  complain('No principal matched.')
  return 255
}

/** ssh-keygen ends this work with numbers of its own errors, as a byte. */
const matchStatus = { notFound: 210, unreadable: 232, badOption: 246, badLine: 252 } as const

/** -Y match-principals: the lines of a list that a name matches. */
export function matchPrincipals(settings: Settings): number {
  const list = required(settings.file, 'match-principals:missing allowed keys file')
  const principal = settings.text.get('I') ?? required(undefined, 'match-principals: missing principal ID')
  if (!readOptions(settings.options, [])) return matchStatus.badOption
  const text = readAllowed(list)
  const found: string[] = []
  let status: number = text === undefined ? matchStatus.unreadable : matchStatus.notFound
  for (const entry of text === undefined ? [] : allowedSigners(text, principal)) {
    if ('problem' in entry) {
      complain(`${list}:${entry.line}: ${entry.problem}`)
      found.length = 0
      status = matchStatus.badLine
      break
    }
    found.push(entry.principals)
  }
  if (found.length === 0) {
    complain('No principal matched.')
    return status
  }
  print(found.map(principals => `${principals}\n`).join(''))
  return 0
}
