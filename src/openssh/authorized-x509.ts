import { KeyError, sanitize } from '../../lib/errors.ts'
import type { PublicKey } from '../../lib/keys/public-key.ts'
import type { X509Certificate } from '../../lib/keys/x509/certificate.ts'
import type { X509Chain } from '../../lib/keys/x509/chain.ts'
import { checkX509Chain } from '../../lib/keys/x509/check.ts'
import { formatName } from '../../lib/keys/x509/name.ts'
import { silentLog } from '../../lib/log.ts'
import { keyLines, type LoginContext, listsOne, optionsApply, remark } from './authorized-keys.ts'
import { endOfOptions, type KeyOptions, parseKeyOptions } from './key-options.ts'
import { readX509Entry, type X509Entry } from './x509-entry.ts'

export interface X509LoginContext extends LoginContext {
  /** Authorities that the server trusts, for lines that name subjects alone. */
  readonly trusted: readonly X509Certificate[]
  /** Asked of the keys of the authorities. */
  isRevoked(key: PublicKey): boolean
}

/**
 * The options of the first line of authorized_keys that lets these X.509 certificates in: one that holds the certificate
 * itself; with `cert-authority` one that certifies it, for the user's name or the `principals` of the line; or one with the
 * name of its subject, when the server trusts its authority. Text is one character per byte.
 */
export function matchAuthorizedX509(text: string, chain: X509Chain, context: X509LoginContext): KeyOptions | undefined {
  const login = { ...context, subject: chain.certificates[0].subject }
  for (const { content, place } of keyLines(text, line => line.includes('x509v3-'), context)) {
    const options = judgeLine(content, chain, login, place)
    if (options) return options
  }
  return undefined
}

function judgeLine(line: string, chain: X509Chain, context: X509LoginContext, place: string): KeyOptions | undefined {
  const { log = silentLog } = context
  const found = splitLine(line)
  if (!found) return undefined
  const options = parseKeyOptions(found.options)
  if ('problem' in options) {
    remark(context, `${place}: bad key options: ${options.problem}`)
    return undefined
  }
  const trusted = trustedBy(found.entry, options, chain, context)
  if (!trusted) return undefined
  if (!optionsApply(options, context, place, options.certAuthority)) {
    log.error(`Refused by key options at ${place}`)
    context.tell?.('Refused by key options')
    return undefined
  }
  const problem = x509Problem(chain, options, context, {
    trusted,
    byName: !found.entry.certificate || options.certAuthority,
  })
  if (problem !== undefined) {
    log.error(`Refusing certificate via ${place}: ${problem}`)
    context.tell?.(`Refused certificate: ${problem}`)
    return undefined
  }
  log.verbose?.(`Accepted certificate ${describeOwner(chain)} found at ${place}`)
  return options
}

function splitLine(line: string): { readonly options: string; readonly entry: X509Entry } | undefined {
  const bare = readX509Entry(line)
  if (bare) return { options: '', entry: bare }
  const end = endOfOptions(line)
  const entry = end === undefined ? undefined : readX509Entry(line.slice(end))
  return entry && { options: line, entry }
}

/** Who may have certified this chain, if the line is about it at all. */
function trustedBy(
  { certificate, subject }: X509Entry,
  { certAuthority }: KeyOptions,
  { certificates: [own] }: X509Chain,
  { trusted }: X509LoginContext,
): readonly X509Certificate[] | undefined {
  if (subject) return !certAuthority && subject(own.subject) ? trusted : undefined
  // An authority is no key, and a key no authority.
  return certAuthority === certificate.der.equals(own.der) ? undefined : [certificate]
}

/** Why a chain opens no login at this time for this user, or whoever its names were matched with. */
export function x509Problem(
  chain: X509Chain,
  { principals }: Pick<KeyOptions, 'principals'>,
  { user, now, isRevoked }: X509LoginContext,
  { trusted, byName }: { readonly trusted: readonly X509Certificate[]; readonly byName: boolean },
): string | undefined {
  if (principals !== undefined && !listsOne(principals, chain.certificates[0].userNames))
    return 'Certificate does not contain an authorized principal'
  try {
    checkX509Chain(chain, {
      kind: 'user',
      principal: byName && principals === undefined ? user : undefined,
      now: BigInt(Math.floor(now.getTime() / 1000)),
      trusted,
      isRevoked,
    })
    return undefined
  } catch (error) {
    if (!(error instanceof KeyError)) throw error
    return error.message
  }
}

export const describeOwner = ({ certificates: [{ subject, serial }] }: X509Chain): string =>
  `"${sanitize(formatName(subject), true)}" (serial ${serial})`
