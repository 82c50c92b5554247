import type { Certificate } from '../../lib/keys/certificate.ts'
import { forever } from '../../lib/keys/certificate.ts'
import { formatAbsoluteTime, parseAbsoluteTime } from '../../src/openssh/absolute-time.ts'
import { parseTime } from '../../src/openssh/values.ts'
import { fatal } from './settings.ts'

/** When a certificate is valid, as -V takes it and -L shows it. */
export interface Validity {
  /** Seconds since 1970. */
  readonly validAfter: bigint
  readonly validBefore: bigint
}

/** What clocks that are a little late are granted, in seconds. */
const leeway = 59n

/** `+1d`, or two of: a time, `+` or `-` and an interval, `0x` and seconds, `always`, `forever`. @throws CommandError */
export function parseValidity(text: string, now: bigint): Validity {
  if (text.startsWith('+') && !text.includes(':')) {
    const life = parseTime(text.slice(1))
    if (life === undefined) return fatal(`Invalid relative certificate life ${text}`)
    return { validAfter: ((now - leeway) / 60n) * 60n, validBefore: now + BigInt(life) }
  }
  const colon = text.indexOf(':')
  const [from, to] = [text.slice(0, colon), text.slice(colon + 1)]
  if (colon <= 0 || to === '') return fatal(`Invalid certificate life specification ${text}`)
  const validAfter = from === 'always' ? 0n : parseEnd(from, 'from', now)
  const validBefore = to === 'forever' ? forever : parseEnd(to, 'to', now)
  if (validBefore <= validAfter) fatal('Empty certificate validity interval')
  return { validAfter, validBefore }
}

function parseEnd(text: string, which: 'from' | 'to', now: bigint): bigint {
  if (/^[+-]/.test(text)) {
    const seconds = parseTime(text.slice(1))
    if (seconds === undefined) return fatal(`Invalid relative certificate time ${text}`)
    if (text.startsWith('+')) return now + BigInt(seconds)
    return BigInt(seconds) > now ? fatal(`Certificate time ${text} cannot be represented`) : now - BigInt(seconds)
  }
  if (text.startsWith('0x')) {
    if (!/^0x[0-9a-f]+$/i.test(text)) fatal('Invalid certificate time: not a number')
    const value = BigInt(text)
    return value > forever ? fatal('Invalid certificate time: Numerical result out of range') : value
  }
  const time = parseAbsoluteTime(text)
  return time === undefined ? fatal(`Invalid ${which} time "${text}"`) : BigInt.asUintN(64, BigInt(time))
}

export function describeValidity({ validAfter, validBefore }: Pick<Certificate, 'validAfter' | 'validBefore'>): string {
  const [from, to] = [formatAbsoluteTime(validAfter), formatAbsoluteTime(validBefore)]
  if (validAfter === 0n && validBefore === forever) return 'forever'
  if (validAfter === 0n) return `before ${to}`
  return validBefore === forever ? `after ${from}` : `from ${from} to ${to}`
}
