import { bitLength } from '../../lib/crypto/dh.ts'

/** A group for Diffie-Hellman group exchange, from moduli(5). */
export interface ModuliGroup {
  /** Bits of the modulus. */
  readonly bits: number
  /** Generator. */
  readonly g: Buffer
  /** Safe prime. */
  readonly p: Buffer
}

/** Longest line that is looked at: a modulus of 16384 bits has 4096 digits. */
const maxLineLength = 8192
const maxBits = 16_384
const safePrime = 2
const testedComposite = 0x01

function decodeHex(text: string): Buffer | undefined {
  if (!/^[0-9a-f]+$/i.test(text)) return undefined
  const digits = text.replace(/^0+/, '')
  return digits === '' ? undefined : Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex')
}

/**
 * One line: time, type, tests, tries, size, generator and modulus. Undefined for comments, and for candidates that are
 * not safe primes, have not passed a test, or do not have the size they claim.
 */
function parseLine(line: string): ModuliGroup | undefined {
  if (line.length > maxLineLength) return undefined
  const words = line.trim().split(/[ \t]+/)
  if (words.length !== 7 || words[0]!.startsWith('#')) return undefined
  const numbers = words.slice(0, 5).map(word => (/^\d{1,20}$/.test(word) ? Number(word) : Number.NaN))
  const [, type, tests, tries, size] = numbers as [number, number, number, number, number]
  const tested = (tests & testedComposite) === 0 && (tests & ~testedComposite) !== 0
  // The size in the file is of the highest bit, so the modulus has one more.
  const bits = size + 1
  if (type !== safePrime || !tested || !(tries > 0) || !(bits <= maxBits)) return undefined
  const g = decodeHex(words[5]!)
  const p = decodeHex(words[6]!)
  if (!g || !p || bitLength(p) !== bits || (p.at(-1)! & 1) === 0) return undefined
  const generatorFits = bitLength(g) < bits && (g.length > 1 || g[0]! > 1)
  return generatorFits ? { bits, g, p } : undefined
}

/** The usable groups of a moduli file. What is malformed or unproven is passed over, as in OpenSSH. */
export function parseModuli(text: string): ModuliGroup[] {
  return text
    .split('\n')
    .map(parseLine)
    .filter(group => group !== undefined)
}

/**
 * A group for a client that asked for `min` to `max` bits and would like `preferred` (RFC 4419 §3): the smallest size
 * above the wish, else the largest below; among equals `random` picks, a function that gives 0 ≤ n < count.
 */
export function chooseModuliGroup(
  groups: readonly ModuliGroup[],
  min: number,
  preferred: number,
  max: number,
  random: (count: number) => number,
): ModuliGroup | undefined {
  const sizes = groups.map(group => group.bits).filter(bits => bits >= min && bits <= max)
  if (sizes.length === 0) return undefined
  const enough = sizes.filter(bits => bits >= preferred)
  const best = enough.length > 0 ? enough.reduce((a, b) => Math.min(a, b)) : sizes.reduce((a, b) => Math.max(a, b))
  const candidates = groups.filter(group => group.bits === best)
  return candidates[random(candidates.length)]
}
