import { KeyError } from '../../lib/errors.ts'
import { type Certificate, type KeyOrCertificateLine, parseKeyOrCertificateLine } from '../../lib/keys/certificate.ts'
import { checkCertificate } from '../../lib/keys/certificate-check.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import { formatAbsoluteTime, parseAbsoluteTime } from './absolute-time.ts'
import { matchPattern, matchPatternList } from './pattern.ts'

/** The list of who may sign (ssh-keygen(1), ALLOWED SIGNERS): `principals [options] key`. */

export interface AllowedSigner {
  /** From 1. */
  readonly line: number
  /** A list of patterns. */
  readonly principals: string
  readonly key: PublicKey
  readonly certificate: Certificate | undefined
  /** The key is an authority: certificates that it signed are meant. */
  readonly certAuthority: boolean
  /** A list of patterns; undefined for any namespace. */
  readonly namespaces: string | undefined
  /** Seconds since 1970. */
  readonly validAfter: number | undefined
  readonly validBefore: number | undefined
}

/** A line that makes no sense. */
export interface BadLine {
  readonly line: number
  readonly problem: string
}

/** Who signed, and when the signature counts. */
export interface SignerQuery {
  readonly key: PublicKey
  readonly certificate: Certificate | undefined
  /** Seconds since 1970. */
  readonly time: number
  readonly namespace?: string
}

/**
 * The lines of a list, in order; with `principal`, only those that name it, and others are not looked at. A line that makes
 * no sense is the last one: what comes after it does not count, as in OpenSSH.
 */
export function* allowedSigners(text: string, principal?: string): Generator<AllowedSigner | BadLine> {
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const read = readLine(line, index + 1, principal)
    if (!read) continue
    yield read
    if ('problem' in read) return
  }
}

function readLine(text: string, line: number, principal: string | undefined): AllowedSigner | BadLine | undefined {
  const [, quoted, plain, rest = ''] = /^(?:"([^"]*)"|(\S+))[ \t]+(.*)$/s.exec(text) ?? []
  const principals = quoted ?? plain
  if (!principals) return { line, problem: 'invalid line' }
  if (principal !== undefined && matchPatternList(principal, principals) !== 'match') return undefined
  const alone = readKey(rest)
  if (alone) return entry(line, principals, '', alone)
  const options = leadingOptions(rest)
  if (options === undefined) return { line, problem: 'invalid options' }
  const after = rest.slice(options.length)
  if (after === '') return { line, problem: 'missing key' }
  const found = readKey(after)
  return found ? entry(line, principals, options, found) : { line, problem: 'invalid key' }
}

function readKey(text: string): KeyOrCertificateLine | undefined {
  try {
    return parseKeyOrCertificateLine(text)
  } catch (error) {
    if (error instanceof KeyError) return undefined
    throw error
  }
}

/** What stands before the first blank outside quotes, such as options; undefined when a quote is not closed. */
export function leadingOptions(text: string): string | undefined {
  let quoted = false
  let at = 0
  for (; at < text.length && (quoted || (text[at] !== ' ' && text[at] !== '\t')); at++) {
    if (text[at] === '\\' && text[at + 1] === '"') at++
    else if (text[at] === '"') quoted = !quoted
  }
  return quoted ? undefined : text.slice(0, at)
}

function entry(
  line: number,
  principals: string,
  options: string,
  { key, certificate }: KeyOrCertificateLine,
): AllowedSigner | BadLine {
  const read = readOptions(options)
  if (typeof read === 'string') return { line, problem: `bad options: ${read}` }
  return { line, principals, key, certificate, ...read }
}

type Options = Pick<AllowedSigner, 'certAuthority' | 'namespaces' | 'validAfter' | 'validBefore'>

/** @returns what is wrong, in OpenSSH's words */
function readOptions(text: string): Options | string {
  let certAuthority = false
  const values: { namespaces?: string; 'valid-after'?: string; 'valid-before'?: string } = {}
  for (let rest = text; rest !== ''; ) {
    const flag = /^cert-authority(?=,|$)/i.exec(rest)
    const option = /^(namespaces|valid-after|valid-before)=/i.exec(rest)
    if (flag) {
      certAuthority = true
      rest = rest.slice(flag[0].length)
    } else if (option) {
      const name = option[1]!.toLowerCase() as keyof typeof values
      if (values[name] !== undefined) return `multiple "${name}" clauses`
      const quoted = /^"((?:\\"|[^"])*)"/.exec(rest.slice(option[0].length))
      if (!quoted) return rest[option[0].length] === '"' ? 'missing end quote' : 'missing start quote'
      values[name] = quoted[1]!.replace(/\\"/g, '"')
      rest = rest.slice(option[0].length + quoted[0].length)
    }
    if (rest === '') break
    if (!rest.startsWith(',')) return 'unknown key option'
    rest = rest.slice(1)
    if (rest === '') return 'unexpected end-of-options'
  }
  const [after, before] = [values['valid-after'], values['valid-before']].map(value =>
    value === undefined ? undefined : parseAbsoluteTime(value) || Number.NaN,
  )
  if (Number.isNaN(after)) return 'invalid "valid-after" time'
  if (Number.isNaN(before)) return 'invalid "valid-before" time'
  if (after !== undefined && before !== undefined && before <= after)
    return '"valid-before" time is before "valid-after"'
  return { certAuthority, namespaces: values.namespaces, validAfter: after, validBefore: before }
}

/** `found`, or why this line's key does not count, in OpenSSH's words; undefined when it is another key. */
export type SignerVerdict =
  | { readonly found: true; readonly principals: readonly string[] }
  | { readonly refused: string }

/**
 * Whether a line lets this key sign. Without a principal it says for whom: all that the line names, of an authority those
 * of the certificate that its patterns match.
 */
export function judgeSigner(entry: AllowedSigner, query: SignerQuery, principal?: string): SignerVerdict | undefined {
  const { key, certificate, time, namespace } = query
  const names = entry.principals.split(',')
  let principals: readonly string[] = names
  if (!entry.certAuthority) {
    const same = certificate
      ? entry.certificate?.blob.equals(certificate.blob)
      : !entry.certificate && entry.key.equals(key)
    if (!same) return undefined
  } else {
    if (!certificate?.signatureKey.equals(entry.key)) return undefined
    const problem = certificateProblem(certificate, principal, time)
    if (principal !== undefined && problem) return { refused: `certificate not authorized: ${problem}` }
    if (principal === undefined) {
      principals = problem
        ? []
        : names.flatMap(pattern => certificate.principals.filter(name => matchPattern(name, pattern)))
      if (principals.length === 0) return { refused: 'no valid principals found' }
    }
  }
  if (
    entry.namespaces !== undefined &&
    namespace !== undefined &&
    matchPatternList(namespace, entry.namespaces) !== 'match'
  )
    return { refused: `key is not permitted for use in signature namespace "${namespace}"` }
  const shown = (seconds: number): string => formatAbsoluteTime(BigInt(seconds))
  if (entry.validAfter !== undefined && time < entry.validAfter)
    return { refused: `key is not yet valid: verify time ${shown(time)} < valid-after ${shown(entry.validAfter)}` }
  if (entry.validBefore !== undefined && time > entry.validBefore)
    return { refused: `key has expired: verify time ${shown(time)} > valid-before ${shown(entry.validBefore)}` }
  return { found: true, principals }
}

function certificateProblem(certificate: Certificate, principal: string | undefined, time: number): string | undefined {
  try {
    checkCertificate(certificate, { kind: 'user', principal, now: BigInt(time) })
    return undefined
  } catch (error) {
    if (error instanceof KeyError) return error.message
    throw error
  }
}
