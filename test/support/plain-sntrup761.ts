import { createHash } from 'node:crypto'
import type { RandomSource } from '../../lib/crypto/random.ts'

/**
 * Streamlined NTRU Prime 761 as its specification writes it (NTRU Prime, round 3 submission, §3 and §4), by schoolbook
 * arithmetic with no thought of time: what lib/crypto is compared with. It draws from a source in the same order.
 */

const p = 761
const q = 4591
const weight = 286

type Polynomial = readonly number[]

const modulo = (x: number, m: number): number => ((x % m) + m) % m
const centred = (x: number, m: number): number => modulo(x + (m - 1) / 2, m) - (m - 1) / 2

function product(a: Polynomial, b: Polynomial, m: number): Polynomial {
  const sums = new Array<number>(2 * p).fill(0)
  for (let i = 0; i < p; i++) for (let j = 0; j < p; j++) sums[i + j]! += a[i]! * b[j]!
  for (let i = 2 * p - 1; i >= p; i--) {
    sums[i - p]! += sums[i]!
    sums[i - p + 1]! += sums[i]!
  }
  return sums.slice(0, p).map(sum => centred(sum, m))
}

function inverseOf(a: number, m: number): number {
  for (let x = 1; x < m; x++) if (modulo(a * x, m) === 1) return x
  throw new RangeError('no inverse')
}

const degree = (a: Polynomial): number => a.findLastIndex(coefficient => coefficient !== 0)

/** 1/a modulo x^p - x - 1 and m, by Euclid's algorithm; undefined when there is none. */
function reciprocal(a: Polynomial, m: number): Polynomial | undefined {
  const zeros = (): number[] => new Array<number>(p + 1).fill(0)
  let [f, g] = [zeros(), zeros()]
  let [u, v] = [zeros(), zeros()]
  f[0] = m - 1
  f[1] = m - 1
  f[p] = 1
  for (const [i, coefficient] of a.entries()) g[i] = modulo(coefficient, m)
  v[0] = 1
  // u·a = f and v·a = g all the time.
  while (degree(g) > 0) {
    const scale = inverseOf(g[degree(g)]!, m)
    while (degree(f) >= degree(g)) {
      const shift = degree(f) - degree(g)
      const factor = modulo(f[degree(f)]! * scale, m)
      for (let i = 0; i + shift <= p; i++) {
        f[i + shift] = modulo(f[i + shift]! - factor * g[i]!, m)
        u[i + shift] = modulo(u[i + shift]! - factor * v[i]!, m)
      }
    }
    ;[f, g, u, v] = [g, f, v, u]
  }
  if (degree(g) < 0) return undefined
  const scale = inverseOf(g[0]!, m)
  return v.slice(0, p).map(coefficient => centred(coefficient * scale, m))
}

/** §3.2: pairs of digits become digits of the joined radix, less the bytes that are given out. */
function encode(digits: Polynomial, radices: Polynomial): number[] {
  const bytes: number[] = []
  const reduced = (digit: number, radix: number, limit: number): [number, number] => {
    if (radix < limit) return [digit, radix]
    bytes.push(digit % 256)
    return reduced(Math.floor(digit / 256), Math.ceil(radix / 256), limit)
  }
  if (digits.length === 1) {
    reduced(digits[0]!, radices[0]!, 2)
    return bytes
  }
  const pairs: [number, number][] = []
  for (let i = 0; i < digits.length; i += 2) {
    const [digit, radix] = [digits[i]!, radices[i]!]
    const isLast = i + 1 === digits.length
    pairs.push(isLast ? [digit, radix] : reduced(digit + radix * digits[i + 1]!, radix * radices[i + 1]!, 16384))
  }
  const higher = encode(
    pairs.map(([digit]) => digit),
    pairs.map(([, radix]) => radix),
  )
  return [...bytes, ...higher]
}

function decode(bytes: readonly number[], radices: Polynomial): number[] {
  if (radices.length === 1) return [bytes.reduceRight((sum, byte) => sum * 256 + byte, 0) % radices[0]!]
  let at = 0
  const lows: [number, number][] = []
  const joined: number[] = []
  for (let i = 0; i + 1 < radices.length; i += 2) {
    let [low, unit, radix] = [0, 1, radices[i]! * radices[i + 1]!]
    for (; radix >= 16384; radix = Math.ceil(radix / 256)) {
      low += unit * bytes[at++]!
      unit *= 256
    }
    lows.push([low, unit])
    joined.push(radix)
  }
  if (radices.length % 2 === 1) joined.push(radices.at(-1)!)
  const high = decode(bytes.slice(at), joined)
  return radices.map((radix, i) => {
    const [low, unit] = lows[i >> 1] ?? [0, 1]
    const both = low + unit * high[i >> 1]!
    return i % 2 === 0 ? both % radix : Math.floor(both / radices[i - 1]!) % radix
  })
}

const all = (radix: number): number[] => new Array<number>(p).fill(radix)
const encodeLarge = (h: Polynomial): Buffer =>
  Buffer.from(
    encode(
      h.map(c => c + 2295),
      all(q),
    ),
  )
const decodeLarge = (bytes: Buffer): Polynomial => decode([...bytes], all(q)).map(digit => digit - 2295)
const encodeRounded = (h: Polynomial): Buffer =>
  Buffer.from(
    encode(
      h.map(c => (c - centred(c, 3) + 2295) / 3),
      all(1531),
    ),
  )
const decodeRounded = (bytes: Buffer): Polynomial => decode([...bytes], all(1531)).map(digit => digit * 3 - 2295)

function encodeSmall(small: Polynomial): Buffer {
  const bytes = Buffer.alloc(191)
  for (const [i, coefficient] of small.entries()) bytes[i >> 2]! |= (coefficient + 1) << ((i & 3) * 2)
  return bytes
}

const hash = (prefix: number, ...parts: Uint8Array[]): Buffer =>
  createHash('sha512')
    .update(Buffer.concat([Buffer.of(prefix), ...parts]))
    .digest()
    .subarray(0, 32)

const drawWords = (source: RandomSource): number[] => {
  const bytes = source(p * 4)
  return Array.from({ length: p }, (_, i) => bytes.readUInt32LE(i * 4))
}

const drawSmall = (source: RandomSource): Polynomial =>
  drawWords(source).map(word => Math.floor(((word % 2 ** 30) * 3) / 2 ** 30) - 1)

const drawShort = (source: RandomSource): Polynomial =>
  drawWords(source)
    .map((word, i) => (i < weight ? word - (word % 2) : word - (word % 4) + 1))
    .sort((a, b) => a - b)
    .map(word => (word % 4) - 1)

function hide(r: Polynomial, publicKey: Buffer): Buffer {
  const confirmation = hash(2, hash(3, encodeSmall(r)), hash(4, publicKey))
  return Buffer.concat([encodeRounded(product(decodeLarge(publicKey), r, q)), confirmation])
}

export interface PlainKey {
  readonly publicKey: Buffer
  /** As it is in files of test vectors: f, 1/g, the public key, what replaces r, Hash_4 of the public key. */
  readonly secretKey: Buffer
  decapsulate(ciphertext: Buffer): Buffer
}

export function plainGenerate(source: RandomSource): PlainKey {
  let g = drawSmall(source)
  let inverse = reciprocal(g, 3)
  while (!inverse) {
    g = drawSmall(source)
    inverse = reciprocal(g, 3)
  }
  const inverseOfG = inverse
  const f = drawShort(source)
  const inverseOfTriple = reciprocal(
    f.map(coefficient => 3 * coefficient),
    q,
  )!
  const publicKey = encodeLarge(product(inverseOfTriple, g, q))
  const rejection = source(191)
  return {
    publicKey,
    secretKey: Buffer.concat([encodeSmall(f), encodeSmall(inverseOfG), publicKey, rejection, hash(4, publicKey)]),
    decapsulate(ciphertext) {
      const e = product(decodeRounded(ciphertext.subarray(0, 1007)), f, q).map(c => centred(centred(3 * c, q), 3))
      const candidate = product(e, inverseOfG, 3)
      const isShort = candidate.filter(coefficient => coefficient !== 0).length === weight
      const r = isShort ? candidate : candidate.map((_, i) => (i < weight ? 1 : 0))
      const isRight = hide(r, publicKey).equals(ciphertext)
      return hash(isRight ? 1 : 0, hash(3, isRight ? encodeSmall(r) : rejection), ciphertext)
    },
  }
}

export function plainEncapsulate(publicKey: Buffer, source: RandomSource) {
  const r = drawShort(source)
  const ciphertext = hide(r, publicKey)
  return { ciphertext, sharedSecret: hash(1, hash(3, encodeSmall(r)), ciphertext) }
}
