import { isProbablePrime } from '../crypto/prime.ts'

/** The search for safe primes p = 2q + 1 (moduli(5)): a sieve finds candidates for q, and tests choose among them. */

/** Values of the type and tests fields. */
export const modulusType = { safe: 2, sophieGermain: 4 } as const
export const modulusTest = { composite: 1, sieve: 2, millerRabin: 4 } as const

/** Bits of a segment of the sieve, so that it fits the processor's cache. */
const segmentLength = 1 << 20

export interface SieveOptions {
  /** Where to begin: q is at least this. Odd. */
  readonly start: bigint
  /** How many numbers from `start` on are looked at, odd and even. */
  readonly span: number
  /** Multiples of the odd primes up to here are left out. */
  readonly primeLimit: number
}

/** The odd primes up to a limit. */
export function oddPrimes(limit: number): Uint32Array {
  const half = Math.max(0, (limit - 1) >> 1)
  const composite = new Uint8Array(half)
  let count = 0
  for (let i = 0; i < half; i++) {
    if (composite[i]) continue
    count++
    const prime = 2 * i + 3
    for (let at = (prime * prime - 3) / 2; at < half; at += prime) composite[at] = 1
  }
  const primes = new Uint32Array(count)
  for (let i = 0, at = 0; i < half; i++) if (!composite[i]) primes[at++] = 2 * i + 3
  return primes
}

/** `value` modulo numbers below 2^31, digit by digit: BigInt division would take ten times as long. */
function remainders(value: bigint): (modulus: number) => number {
  const digitBits = 22
  const digits: number[] = []
  for (let rest = value; rest > 0n; rest >>= BigInt(digitBits))
    digits.push(Number(rest & ((1n << BigInt(digitBits)) - 1n)))
  digits.reverse()
  const scale = 2 ** digitBits
  return modulus => {
    let remainder = 0
    for (const digit of digits) remainder = (remainder * scale + digit) % modulus
    return remainder
  }
}

/** Odd q from `start` on where neither q nor 2q + 1 has a small factor, in order. */
export function* sieveCandidates({ start, span, primeLimit }: SieveOptions): Generator<bigint> {
  const primes = oddPrimes(primeLimit)
  const remainderOf = remainders(start)
  // For each prime, the next index i at which it divides start + 2i, and at which it divides 2(start + 2i) + 1.
  const nextQ = new Float64Array(primes.length)
  const nextP = new Float64Array(primes.length)
  for (let i = 0; i < primes.length; i++) {
    const prime = primes[i]!
    const remainder = remainderOf(prime)
    // Half of -start, modulo an odd prime.
    const half = (value: number): number => (value % 2 === 0 ? value / 2 : (value + prime) / 2)
    nextQ[i] = half((prime - remainder) % prime)
    // start + 2i = (prime - 1) / 2, the only value for which 2q + 1 is a multiple.
    nextP[i] = half(((prime - 1) / 2 - remainder + prime) % prime)
  }
  const total = Math.floor(span / 2)
  const composite = new Uint8Array(Math.min(segmentLength, total))
  for (let base = 0; base < total; base += segmentLength) {
    const length = Math.min(segmentLength, total - base)
    composite.fill(0)
    for (let i = 0; i < primes.length; i++) {
      const prime = primes[i]!
      nextQ[i] = strike(composite, length, nextQ[i]!, prime)
      nextP[i] = strike(composite, length, nextP[i]!, prime)
    }
    for (let i = 0; i < length; i++) if (!composite[i]) yield start + 2n * BigInt(base + i)
  }
}

/** Marks multiples; returns where the next one is, counted from the segment after this. */
function strike(composite: Uint8Array, length: number, first: number, step: number): number {
  let at = first
  for (; at < length; at += step) composite[at] = 1
  return at - segmentLength
}

/** A generator of the group's large subgroup, found from p alone: 2 or 5; undefined when neither is known to be one. */
export function generatorOf(p: bigint): number | undefined {
  if (p % 24n === 11n) return 2
  const last = p % 10n
  return last === 3n || last === 7n ? 5 : undefined
}

/**
 * Whether p = 2q + 1 and q are both prime. A single round on q weeds out nearly all; q is looked at closely once p is
 * known to be prime.
 */
export function isSafePrime(p: bigint, rounds: number): boolean {
  const q = p >> 1n
  return isProbablePrime(q, 1) && isProbablePrime(p, rounds) && isProbablePrime(q, Math.max(1, rounds - 1))
}

/** A line of moduli(5): what was found, when, by which tests. */
export interface ModulusLine {
  readonly type: number
  readonly tests: number
  readonly tries: number
  /** The number of the highest bit, from 0. */
  readonly size: number
  readonly generator: number
  readonly modulus: bigint
}

const fieldsPattern = /^\S{14}\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+([0-9a-f]+)\s+([0-9a-f]+)\s*$/i

/** Longest line that is looked at: 16384 bits in hexadecimal, with what stands before. */
const lineLimit = 100 + 16384 / 4

/** Undefined for comments and lines that make no sense. */
export function parseModulusLine(line: string): ModulusLine | undefined {
  const fields = line.length > lineLimit ? null : fieldsPattern.exec(line)
  if (!fields) return undefined
  const [type, tests, tries, size] = fields.slice(1, 5).map(Number) as [number, number, number, number]
  return { type, tests, tries, size, generator: Number.parseInt(fields[5]!, 16), modulus: BigInt(`0x${fields[6]}`) }
}

export function formatModulusLine({ type, tests, tries, size, generator, modulus }: ModulusLine, now: Date): string {
  const stamp = now.toISOString().replace(/[-:T]|\..*/g, '')
  const hex = modulus.toString(16).toUpperCase()
  // Whole bytes, as OpenSSL prints numbers.
  const digits = hex.length % 2 === 0 ? hex : `0${hex}`
  return `${stamp} ${type} ${tests} ${tries} ${size} ${generator.toString(16)} ${digits}`
}

export interface ScreenOptions {
  readonly rounds: number
  /** Only groups of this generator; undefined for any. */
  readonly generator: number | undefined
}

/** Smallest modulus that is looked at: the number of its highest bit. */
const smallestSize = 511

/** What screening makes of a candidate: the line for the moduli file, or why there is none. */
export type Screened = ModulusLine | 'no-candidate' | 'not-prime'

/** Tests a candidate: q of a sieve, or p of a line that was tested before. */
export function screenCandidate(candidate: ModulusLine, { rounds, generator }: ScreenOptions): Screened {
  const { type, tests } = candidate
  if (tests & modulusTest.composite || type > 5) return 'no-candidate'
  const sieved = type === modulusType.sophieGermain
  const modulus = sieved ? 2n * candidate.modulus + 1n : candidate.modulus
  const size = candidate.size + (sieved ? 1 : 0)
  if (modulus >> BigInt(size) !== 1n || size < smallestSize) return 'no-candidate'
  const known = (sieved ? 0 : candidate.generator) || generatorOf(modulus)
  if (known === undefined || (generator !== undefined && generator !== known)) return 'no-candidate'
  if (!isSafePrime(modulus, rounds)) return 'not-prime'
  return {
    type: modulusType.safe,
    tests: tests | modulusTest.millerRabin,
    tries: rounds + (tests & modulusTest.millerRabin ? candidate.tries : 0),
    size,
    generator: known,
    modulus,
  }
}
