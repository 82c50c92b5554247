import { readFileSync } from 'node:fs'
import { equalBytes } from '../../lib/crypto/constant-time.ts'
import { cryptPassword } from '../../src/native/crypt.ts'

/** A line of shadow(5). Days count from 1970; undefined where the field is empty. */
export interface ShadowEntry {
  readonly hash: string
  readonly lastChange: number | undefined
  readonly maximumAge: number | undefined
  readonly warning: number | undefined
  readonly expires: number | undefined
}

/** Of all systems that have the format. */
const shadowFile = '/etc/shadow'
const daySeconds = 24 * 60 * 60
const today = (now: Date): number => Math.floor(now.getTime() / 1000 / daySeconds)

/** The entry of a user in the text of shadow(5). */
export function parseShadow(text: string, user: string): ShadowEntry | undefined {
  const line = text.split('\n').find(candidate => candidate.startsWith(`${user}:`))
  if (line === undefined) return undefined
  const [, hash = '', ...numbers] = line.split(':')
  const number = (index: number): number | undefined => {
    const word = numbers[index] ?? ''
    return /^\d{1,9}$/.test(word) ? Number(word) : undefined
  }
  return { hash, lastChange: number(0), maximumAge: number(2), warning: number(3), expires: number(5) }
}

/** The text of /etc/shadow; empty when it cannot be read. */
export function readShadow(file: string = shadowFile): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** passwd(1) locks an account with a `!` before the hash. */
export const isLocked = ({ hash }: ShadowEntry): boolean => hash.startsWith('!')

/** The whole account has expired. */
export const accountExpired = ({ expires }: ShadowEntry, now: Date): boolean =>
  expires !== undefined && expires < today(now)

/** What sshd logs of a password that is too old; undefined while it holds. */
export function passwordExpiry({ lastChange, maximumAge }: ShadowEntry, now: Date): string | undefined {
  if (lastChange === 0) return 'password has expired (root forced)'
  if (lastChange === undefined || maximumAge === undefined) return undefined
  return lastChange + maximumAge < today(now) ? 'password has expired (password aged)' : undefined
}

/** What a user is told when the password or the account is about to expire. */
export function expiryWarnings(entry: ShadowEntry, now: Date): string[] {
  const { lastChange, maximumAge, warning = 0, expires } = entry
  const warn = (what: string, last: number | undefined): string[] => {
    const left = last === undefined ? Number.NaN : last - today(now)
    return left >= 0 && left <= warning ? [`Your ${what} will expire in ${left} day${left === 1 ? '' : 's'}.\n`] : []
  }
  const passwordEnds = lastChange === undefined || maximumAge === undefined ? undefined : lastChange + maximumAge
  return [...warn('account', expires), ...warn('password', passwordEnds)]
}

/** A setting for users who have no hash, so that their refusal takes as long as another's. */
export function decoySetting(text: string): string {
  // The method of the first account with a password is the method of most.
  const method = /^[^:\n]+:(\$[^:\n]+)\$[^$:\n]+:/m.exec(text)?.[1]
  return method ? `${method}$` : '$6$tsshdtsshdtsshd$'
}

/**
 * Whether the password is the one of this hash. Takes the same time for a missing or locked hash, whose answer is no.
 * @throws NativeError when crypt(3) cannot be called
 */
export function passwordMatches(password: string, hash: string | undefined, decoy: string): boolean {
  if (hash === '') {
    // An account without a password: only the empty one is right.
    cryptPassword(password, decoy)
    return password === ''
  }
  const usable = hash !== undefined && !/^[!*x]/.test(hash) ? hash : undefined
  const computed = cryptPassword(password, usable ?? decoy)
  if (usable === undefined || computed === undefined) return false
  const [one, other] = [Buffer.from(computed), Buffer.from(usable)]
  return one.length === other.length && equalBytes(one, other)
}
