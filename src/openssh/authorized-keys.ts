import { messageOf, sanitize } from '../../lib/errors.ts'
import { isPlainAlgorithm, keyTypeOf } from '../../lib/keys/algorithms.ts'
import type { Certificate } from '../../lib/keys/certificate.ts'
import { checkCertificate } from '../../lib/keys/certificate-check.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { ShownKey } from '../../lib/keys/shown-key.ts'
import type { DistinguishedName } from '../../lib/keys/x509/name.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import {
  certificateKeyOptions,
  describeKeyOptions,
  type EffectiveOptions,
  endOfOptions,
  type KeyOptions,
  mergeKeyOptions,
  parseKeyOptions,
} from './key-options.ts'
import { matchCidrList, matchHostAndAddress } from './pattern.ts'

/** authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT). */

/** Who wants to log in, and from where. */
export interface LoginContext {
  readonly user: string
  /** The client's address. */
  readonly address: string
  /** Its name, where names are looked up. */
  readonly host?: string
  readonly now: Date
  /** What the lines are called in the log: a file's name. */
  readonly source?: string
  readonly log?: Log
  /** Takes what the user may read once logged in, by whatever key. */
  readonly tell?: ((text: string) => void) | undefined
  /** Which options count here, for what is told of them. */
  readonly effective?: EffectiveOptions
  /** Whose the X.509 certificate is that was shown, where it was one. */
  readonly subject?: DistinguishedName
}

/** Says something in the log, and to the user. */
export function remark({ log, tell }: LoginContext, text: string): void {
  log?.debug1?.(text)
  tell?.(text)
}

/** Longest line that is read, in characters. */
const lineLimit = 64 * 1024

/**
 * The options of the first line that has this key, or the authority of this certificate, and applies to this client.
 * Text is one character per byte. A line with an option that is unknown or malformed authorises nobody; it does not hide
 * the next one.
 */
export function matchAuthorizedKey(text: string, shown: ShownKey, context: LoginContext): KeyOptions | undefined {
  const written = (shown.certificate?.signatureKey ?? shown.publicKey).blob.toString('base64')
  /** Most lines are other keys'. White space within base64 means nothing, and hides a key from this quick look. */
  const mayHave = (part: string): boolean => part.includes(written) || /[\r\v\f]/.test(part)
  if (!mayHave(text)) return undefined
  for (const { content, place } of keyLines(text, mayHave, context)) {
    const options = judgeLine(content, shown, context, place)
    if (options) return options
  }
  return undefined
}

/** The lines that may hold what is looked for, and what they are called in the log. */
export function* keyLines(
  text: string,
  mayHave: (line: string) => boolean,
  { source = 'authorized keys' }: LoginContext,
): Generator<{ readonly content: string; readonly place: string }> {
  for (const [index, line] of text.split('\n').entries()) {
    if (!mayHave(line)) continue
    // A line ends at a NUL, as it does for sshd; a longer one than we read authorises nobody.
    const content = line.split('\0', 1)[0]!.replace(/^[ \t]+/, '')
    if (content === '' || content.startsWith('#') || content.length > lineLimit) continue
    yield { content, place: `${source}:${index + 1}` }
  }
}

function judgeLine(
  line: string,
  { publicKey, certificate }: ShownKey,
  context: LoginContext,
  place: string,
): KeyOptions | undefined {
  const { log = silentLog } = context
  const wanted = certificate?.signatureKey ?? publicKey
  const parts = findKey(line, wanted)
  if (parts === 'open-quote') log.error(`invalid key option string at ${place}`)
  if (typeof parts === 'string') return undefined
  const options = parseKeyOptions(parts.options)
  if ('problem' in options) {
    remark(context, `${place}: bad key options: ${options.problem}`)
    return undefined
  }
  // An authority is no key, and a key no authority.
  if (options.certAuthority !== (certificate !== undefined)) return undefined
  const name = (): string => `${wanted.label} ${fingerprint(wanted.blob)}`
  log.debug1?.(`${place}: matching ${certificate ? 'CA' : 'key'} found: ${name()}`)
  if (!optionsApply(options, context, place, certificate !== undefined)) {
    log.error(`Refused by key options at ${place}`)
    context.tell?.('Refused by key options')
    return undefined
  }
  if (!certificate) {
    log.verbose?.(`Accepted key ${name()} found at ${place}`)
    return options
  }
  const merged = certify(certificate, options, context, place)
  const id = `certificate ID "${sanitize(certificate.keyId, true)}"`
  if (typeof merged === 'string') {
    log.error(
      `Refusing ${id} serial=${certificate.serial} signed by ${wanted.label} CA ${fingerprint(wanted.blob)} via ${place}: ${merged}`,
    )
    context.tell?.(refusalOf(certificate, merged))
    return undefined
  }
  log.verbose?.(`Accepted ${id} (serial ${certificate.serial}) signed by CA ${name()} found at ${place}`)
  return merged
}

/** What the user is told of a certificate that was refused. */
export const refusalOf = ({ keyId, serial }: Certificate, reason: string): string =>
  `Refused Certificate ID "${sanitize(keyId, true)}" serial=${serial}: ${reason}`

/** Whether the line is of this key, and the options before it. */
function findKey(line: string, wanted: PublicKey): { readonly options: string } | 'other' | 'open-quote' {
  const [bare] = readKey(line)
  if (bare !== undefined) {
    if (isKey(bare, wanted)) return { options: '' }
    // Of another type than asked for, sshd may still take the type for an option: it never is one.
    if (bare.type === wanted.type) return 'other'
  }
  const end = endOfOptions(line)
  if (end === undefined) return 'open-quote'
  const [found] = readKey(line.slice(end).replace(/^[ \t]+/, ''))
  return found !== undefined && isKey(found, wanted) ? { options: line } : 'other'
}

interface WrittenKey {
  readonly type: string
  readonly blob: Buffer
}

const isKey = ({ type, blob }: WrittenKey, key: PublicKey): boolean => type === key.type && blob.equals(key.blob)

/** `type base64` at the start of a text. */
function readKey(text: string): [WrittenKey | undefined] {
  const [, name, base64] = /^([^ \t]+)[ \t]+([^ \t]+)/.exec(text) ?? []
  if (name === undefined || base64 === undefined || !isPlainAlgorithm(name)) return [undefined]
  const type = keyTypeOf(name)
  const blob = type === undefined ? undefined : decodeBase64(base64)
  return [type !== undefined && blob ? { type, blob } : undefined]
}

/** Base64 as b64_pton(3) takes it: padded, without stray bits; white space may stand anywhere. */
function decodeBase64(text: string): Buffer | undefined {
  const digits = text.replace(/[\r\n\v\f]/g, '')
  if (digits.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(digits)) return undefined
  const bytes = Buffer.from(digits, 'base64')
  return bytes.toString('base64') === digits ? bytes : undefined
}

/** What a certificate of this authority may do under the options of its line; a string is why it is refused. */
function certify(
  certificate: Certificate,
  options: KeyOptions,
  context: LoginContext,
  place: string,
): KeyOptions | string {
  const own = certifiedOptions(certificate)
  if (typeof own === 'string') return own
  if (!optionsApply(own, context, place, false)) return 'Refused by certificate options'
  const merged = mergeKeyOptions(options, own)
  if ('problem' in merged) return merged.problem
  // Names on the line take the place of the user's own.
  if (options.principals !== undefined && !listsOne(options.principals, certificate.principals))
    return 'Certificate does not contain an authorized principal'
  return (
    certificateProblem(certificate, options.principals === undefined ? context.user : undefined, context.now) ?? merged
  )
}

/** The certificate's own options, or why they are none. */
export function certifiedOptions(certificate: Certificate): KeyOptions | string {
  try {
    return certificateKeyOptions(certificate)
  } catch (error) {
    return `Invalid certificate options: ${messageOf(error)}`
  }
}

/** Why a certificate opens no login at this time for this user (or for whoever its names were matched with). */
export function certificateProblem(
  certificate: Certificate,
  principal: string | undefined,
  now: Date,
): string | undefined {
  try {
    checkCertificate(certificate, {
      kind: 'user',
      principal,
      now: BigInt(Math.floor(now.getTime() / 1000)),
      // The engine has judged the authority's algorithm already.
      authorityAlgorithms: [certificate.signatureAlgorithm],
    })
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

/** Whether a list of principals has one of these names. An empty name ends the list, as in sshd. */
export function listsOne(principals: string, certified: readonly string[]): boolean {
  const names = principals.split(',')
  const end = names.indexOf('')
  const held = certified.map(bytesOf)
  return (end < 0 ? names : names.slice(0, end)).some(name => held.includes(name))
}

/** Text as files are read: one character per byte. */
export const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')

/**
 * Whether options let this client in at this time. `authority` says that `cert-authority` may stand there.
 */
export function optionsApply(options: KeyOptions, context: LoginContext, place: string, authority: boolean): boolean {
  const { from, sourceAddress, validBefore } = options
  const { address, host = address, user, now, log = silentLog } = context
  if (validBefore !== undefined && validBefore < Math.floor(now.getTime() / 1000)) {
    remark(context, `${place}: entry expired at ${new Date(validBefore * 1000).toISOString()}`)
    return false
  }
  if (options.principals !== undefined && !options.certAuthority) {
    remark(context, `${place}: principals on non-CA key`)
    return false
  }
  if (!authority && options.certAuthority) {
    remark(context, `${place}: cert-authority flag invalid here`)
    return false
  }
  const who = `Authentication tried for ${sanitize(user, true)} with`
  if (options.subjects.some(matches => !context.subject || !matches(context.subject))) {
    remark(context, `${place}: subject is not that of an X.509 certificate`)
    return false
  }
  if (from !== undefined) {
    const match = matchHostAndAddress(host, address, from)
    if (match === 'invalid') remark(context, `${place}: invalid from criteria`)
    if (match !== 'match') {
      log.info?.(
        `${place}: ${who} correct key but not from a permitted host (host=${sanitize(host, true)}, ip=${address}, required=${sanitize(from, true)}).`,
      )
      context.tell?.(`${place}: Your host '${sanitize(host, true)}' is not permitted to use this key for login.`)
      return false
    }
  }
  if (sourceAddress !== undefined) {
    const match = matchCidrList(address, sourceAddress)
    if (match === 'invalid') log.error(`${place}: Certificate source-address invalid`)
    if (match !== 'match') {
      log.info?.(`${place}: ${who} valid certificate but not from a permitted source address (${address}).`)
      context.tell?.(`${place}: Your address '${address}' is not permitted to use this certificate for login.`)
      return false
    }
  }
  for (const line of describeKeyOptions(options, context.effective)) remark(context, `${place}: ${line}`)
  return true
}
