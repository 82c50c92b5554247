/**
 * Streamlined NTRU Prime with p = 761, q = 4591, w = 286: what works on polynomials. Coefficients are centred, -2295..2295
 * modulo q and -1..1 modulo 3. No branch, no index and no division depends on a secret.
 *
 * A polynomial is an array of 768 int16: seven zeros follow its 761 coefficients, so that vectors of eight fill it.
 */
import { decode, encode } from './sntrup761-codec'
import { p, polynomialLength, q, reduce3, reduceQ } from './sntrup761-numbers'

const weight: usize = 286
const half: i32 = (q - 1) / 2
const smallLength: usize = 191

/** What everything starts from, p × uint32; and what is given and taken as bytes. */
export const random = memory.data(p * 4, 16)
export const publicKey = memory.data(1158, 16)
/** f and 1/g, with two bits for each coefficient. */
export const secretKey = memory.data(2 * smallLength, 16)
/** The rounded polynomial. */
export const ciphertext = memory.data(1007, 16)
/** The short polynomial r as bytes. */
export const input = memory.data(smallLength, 16)

const r = memory.data(polynomialLength, 16)
const f = memory.data(polynomialLength, 16)
const g = memory.data(polynomialLength, 16)
const large = memory.data(polynomialLength, 16)

/** Sums of a product before they are reduced: p × int32. */
const sums = memory.data(768 * 4, 16)
/** The second factor, folded and backwards: index j holds what meets x^(760 - j). */
const backwards = memory.data(1536 * 2, 16)

/** The four polynomials of the division steps, each after a place that takes what is shifted out of it. */
const stepLength = 16 + 768 * 2
const steps = memory.data(4 * stepLength, 16)
const stepF = steps + 16
const stepG = stepF + stepLength
const stepV = stepG + stepLength
const stepR = stepV + stepLength
let delta: i32 = 1

function small(at: usize, i: usize): i32 {
  return load<i16>(at + i * 2)
}

/** Random coefficients -1, 0, 1: a third of 2^30 each, nearly. The bias is below 2^-28. */
function drawSmall(at: usize): void {
  for (let i: usize = 0; i < p; i++) {
    const word = u64(load<u32>(random + i * 4) & 0x3fffffff)
    store<i16>(at + i * 2, i16((word * 3) >> 30) - 1)
  }
}

/** Exactly `weight` coefficients ±1 at random places: random words with marks in their two low bits, sorted. */
function drawShort(at: usize): void {
  for (let i: usize = 0; i < p; i++) {
    const place = random + i * 4
    const word = load<u32>(place)
    store<u32>(place, i < weight ? word & ~1 : (word & ~3) | 1)
  }
  sortWords()
  for (let i: usize = 0; i < p; i++) store<i16>(at + i * 2, i16(load<u32>(random + i * 4) & 3) - 1)
}

/** Batcher's merge exchange (Knuth, The Art of Computer Programming 5.2.2 M): which words it compares depends on nothing. */
function sortWords(): void {
  for (let step: i32 = 512; step > 0; step >>= 1) {
    let distance = step
    let residue = 0
    for (let span: i32 = 512; ; span >>= 1) {
      for (let i = 0; i < i32(p) - distance; i++) {
        if ((i & step) === residue) orderPair(random + i * 4, random + (i + distance) * 4)
      }
      if (span === step) break
      distance = span - step
      residue = step
    }
  }
}

function orderPair(first: usize, second: usize): void {
  const a = load<u32>(first)
  const b = load<u32>(second)
  const swap = u32((i64(b) - i64(a)) >> 63) & (a ^ b)
  store<u32>(first, a ^ swap)
  store<u32>(second, b ^ swap)
}

/**
 * `sums` become the product with a polynomial of coefficients -1, 0, 1. As x^p = x + 1, what lies beyond p comes back
 * twice: the second factor is folded before, so that each sum is one product of rows. They stay below 2^23.
 */
function multiply(at: usize, factor: usize): void {
  memory.fill(backwards, 0, 1536 * 2)
  for (let i: i32 = 0; i < i32(p); i++) {
    // x^i, and x^(i-p) + x^(i-p+1) for what lies p lower.
    const coefficient = small(factor, i)
    addBackwards(i, coefficient)
    addBackwards(i - i32(p), coefficient)
    addBackwards(i - i32(p) + 1, coefficient)
  }
  for (let k: usize = 0; k < p; k++) store<i32>(sums + k * 4, rowProduct(at, backwards + (p - 1 - k) * 2))
  // Into x^0 nothing comes back from x^(p-1).
  let excess: i32 = 0
  for (let i: usize = 0; i < p; i++) excess += small(at, i) * small(factor, p - 1 - i)
  store<i32>(sums, load<i32>(sums) - excess)
}

function addBackwards(exponent: i32, coefficient: i32): void {
  const place = backwards + (i32(p) - 1 - exponent) * 2
  store<i16>(place, load<i16>(place) + i16(coefficient))
}

function rowProduct(a: usize, b: usize): i32 {
  let first = i32x4.splat(0)
  let second = i32x4.splat(0)
  for (let offset: usize = 0; offset < polynomialLength; offset += 32) {
    first = i32x4.add(first, i32x4.dot_i16x8_s(v128.load(a + offset), v128.load(b + offset)))
    second = i32x4.add(second, i32x4.dot_i16x8_s(v128.load(a + offset, 16), v128.load(b + offset, 16)))
  }
  const total = i32x4.add(first, second)
  return (
    i32x4.extract_lane(total, 0) +
    i32x4.extract_lane(total, 1) +
    i32x4.extract_lane(total, 2) +
    i32x4.extract_lane(total, 3)
  )
}

/** 1/a modulo q, by Fermat: a^(q-2). */
function reciprocalQ(a: i32): i32 {
  let result = a
  for (let i: i32 = 1; i < q - 2; i++) result = reduceQ(a * result)
  return result
}

/** -1 (all bits) when x is not 0, for |x| < 2^16. */
function isNonzero(x: i32): i32 {
  return (x | -x) >> 31
}

/**
 * The constant-time extended Euclid of Bernstein and Yang ("Fast constant-time gcd computation and modular inversion",
 * §7): f and g reversed, v and r the multipliers.
 */
function beginDivision(divisor: usize, first: i32): void {
  memory.fill(steps, 0, 4 * stepLength)
  store<i16>(stepF, 1)
  store<i16>(stepF + (p - 1) * 2, -1)
  store<i16>(stepF + p * 2, -1)
  for (let i: usize = 0; i < p; i++) store<i16>(stepG + i * 2, load<i16>(divisor + (p - 1 - i) * 2))
  store<i16>(stepR, i16(first))
  delta = 1
}

/** -1 (all bits) when this step exchanges f and g, v and r. */
function turn(g0: i32): i32 {
  const swap = (-delta >> 31) & isNonzero(g0)
  delta = (delta ^ (swap & (delta ^ -delta))) + 1
  return swap
}

/** 2^15/q, times 2^14: makes of a factor what estimates the quotient of its products. */
const perQ: i32 = 116941
function quotientOf(factor: i32): i16 {
  return i16((factor * perQ + 0x2000) >> 14)
}

/**
 * a·x - b·y modulo q: the quotient is estimated from the factors, whose own quotients are given. What comes out is below
 * 5470 in size when x and y are, for factors of at most (q-1)/2.
 */
function cross(a: v128, aQuotient: v128, x: v128, b: v128, bQuotient: v128, y: v128): v128 {
  const value = i16x8.sub(i16x8.mul(a, x), i16x8.mul(b, y))
  const quotient = i16x8.sub(i16x8.q15mulr_sat_s(x, aQuotient), i16x8.q15mulr_sat_s(y, bQuotient))
  return i16x8.sub(value, i16x8.mul(quotient, i16x8.splat(i16(q))))
}

/**
 * One step modulo q. Only `low` bytes of f and g are of use to the steps that follow, and v and r have no more than
 * `high` bytes.
 */
export function stepQ(low: usize, high: usize): void {
  const f0 = reduceQ(load<i16>(stepF))
  const g0 = reduceQ(load<i16>(stepG))
  const swap = turn(g0)
  const exchanged = i16x8.splat(i16(swap))
  // Exchanged, f0·g - g0·f is g0·f - f0·g.
  const a = (f0 ^ swap) - swap
  const b = (g0 ^ swap) - swap
  const aFactor = i16x8.splat(i16(a))
  const bFactor = i16x8.splat(i16(b))
  const aQuotient = i16x8.splat(quotientOf(a))
  const bQuotient = i16x8.splat(quotientOf(b))
  for (let at: usize = 0; at < low; at += 16) {
    const x = v128.load(stepF + at)
    const y = v128.load(stepG + at)
    v128.store(stepF + at, v128.bitselect(y, x, exchanged))
    // Divided by x.
    v128.store(stepG + at - 2, cross(aFactor, aQuotient, y, bFactor, bQuotient, x))
  }
  for (let at: usize = high; at > 0; ) {
    at -= 16
    // Times x.
    const x = v128.load(stepV + at - 2)
    const y = v128.load(stepR + at)
    v128.store(stepV + at, v128.bitselect(y, x, exchanged))
    v128.store(stepR + at, cross(aFactor, aQuotient, y, bFactor, bQuotient, x))
  }
}

/** a·x + y modulo 3, for a factor given by masks: whether it is not 0, and whether it is negative. */
function addModulo3(y: v128, x: v128, nonzero: v128, negative: v128): v128 {
  const sum = i16x8.add(y, v128.and(i16x8.sub(v128.xor(x, negative), negative), nonzero))
  const more = v128.and(i16x8.gt_s(sum, i16x8.splat(1)), i16x8.splat(3))
  const less = v128.and(i16x8.lt_s(sum, i16x8.splat(-1)), i16x8.splat(3))
  return i16x8.add(i16x8.sub(sum, more), less)
}

/** One step modulo 3. */
export function step3(low: usize, high: usize): void {
  const g0 = small(stepG, 0)
  const sign = -(small(stepF, 0) * g0)
  const exchanged = i16x8.splat(i16(turn(g0)))
  const nonzero = i16x8.splat(i16(isNonzero(sign)))
  const negative = i16x8.splat(i16(sign >> 31))
  for (let at: usize = 0; at < low; at += 16) {
    const x = v128.load(stepF + at)
    const y = v128.load(stepG + at)
    const f1 = v128.bitselect(y, x, exchanged)
    v128.store(stepF + at, f1)
    v128.store(stepG + at - 2, addModulo3(v128.bitselect(x, y, exchanged), f1, nonzero, negative))
  }
  for (let at: usize = high; at > 0; ) {
    at -= 16
    const x = v128.load(stepV + at - 2)
    const y = v128.load(stepR + at)
    const v1 = v128.bitselect(y, x, exchanged)
    v128.store(stepV + at, v1)
    v128.store(stepR + at, addModulo3(v128.bitselect(x, y, exchanged), v1, nonzero, negative))
  }
}

const stepCount: usize = 2 * p - 1
/** Whole vectors for so many coefficients. */
function vectors(coefficients: usize): usize {
  return ((min(coefficients, p + 1) + 7) & ~7) * 2
}

/** 1/(3a) modulo q. Every short a but 0 has one: x^p - x - 1 is irreducible modulo q. */
function reciprocalOfTriple(at: usize, a: usize): void {
  beginDivision(a, reciprocalQ(3))
  for (let i: usize = 0; i < stepCount; i++) stepQ(vectors(stepCount - i + 1), vectors(i + 2))
  const scale = reciprocalQ(reduceQ(load<i16>(stepF)))
  for (let i: usize = 0; i < p; i++) {
    store<i16>(at + i * 2, i16(reduceQ(scale * i32(load<i16>(stepV + (p - 1 - i) * 2)))))
  }
}

/** 1/a modulo 3; false when a has none: then the caller draws another a, which tells nothing of the next. */
function reciprocal3(at: usize, a: usize): bool {
  beginDivision(a, 1)
  for (let i: usize = 0; i < stepCount; i++) step3(vectors(stepCount - i + 1), vectors(i + 2))
  const sign = small(stepF, 0)
  for (let i: usize = 0; i < p; i++) store<i16>(at + i * 2, i16(sign * small(stepV, p - 1 - i)))
  return delta === 0
}

/** Coefficients -1, 0, 1: four to a byte. */
function encodeSmall(at: usize, polynomial: usize): void {
  memory.fill(at, 0, smallLength)
  for (let i: usize = 0; i < p; i++) {
    const place = at + (i >> 2)
    store<u8>(place, load<u8>(place) | u8((small(polynomial, i) + 1) << i32((i & 3) * 2)))
  }
}

function decodeSmall(polynomial: usize, at: usize): void {
  for (let i: usize = 0; i < p; i++) {
    store<i16>(polynomial + i * 2, i16((load<u8>(at + (i >> 2)) >> u8((i & 3) * 2)) & 3) - 1)
  }
}

/** Takes `random` for g, and gives 1/g in `secretKey`; false when g has none. */
export function drawG(): bool {
  drawSmall(g)
  const found = reciprocal3(r, g)
  encodeSmall(secretKey + smallLength, r)
  return found
}

/** Takes `random` for f, and gives it in `secretKey` and, with the g that was drawn, g/(3f) in `publicKey`. */
export function drawF(): void {
  drawShort(f)
  encodeSmall(secretKey, f)
  reciprocalOfTriple(large, f)
  multiply(large, g)
  for (let i: usize = 0; i < p; i++) store<u16>(large + i * 2, u16(reduceQ(load<i32>(sums + i * 4)) + half))
  encode(publicKey, large, q)
}

/** Takes `random` for r. */
export function drawInput(): void {
  drawShort(r)
}

/** What hides r under `publicKey`: `ciphertext`; and r in `input`. */
export function hide(): void {
  encodeSmall(input, r)
  decode(publicKey, large, q)
  for (let i: usize = 0; i < p; i++) store<i16>(large + i * 2, i16(small(large, i) - half))
  multiply(large, r)
  for (let i: usize = 0; i < p; i++) {
    const coefficient = reduceQ(load<i32>(sums + i * 4))
    // To the nearest multiple of 3, and a third of that: a multiplication that is exact in this range.
    const rounded = coefficient - reduce3(coefficient) + half
    store<u16>(large + i * 2, u16((rounded * 10923) >> 15))
  }
  encode(ciphertext, large, (q + 2) / 3)
}

/** Takes r out of `ciphertext` with `secretKey`: c·3f, brought to R/3 and divided by g. */
export function reveal(): void {
  decode(ciphertext, large, (q + 2) / 3)
  for (let i: usize = 0; i < p; i++) store<i16>(large + i * 2, i16(small(large, i) * 3 - half))
  decodeSmall(f, secretKey)
  multiply(large, f)
  for (let i: usize = 0; i < p; i++) {
    store<i16>(large + i * 2, i16(reduce3(reduceQ(3 * reduceQ(load<i32>(sums + i * 4))))))
  }
  decodeSmall(g, secretKey + smallLength)
  multiply(large, g)
  let count: i32 = 0
  for (let i: usize = 0; i < p; i++) {
    const coefficient = reduce3(load<i32>(sums + i * 4))
    store<i16>(r + i * 2, i16(coefficient))
    count += coefficient & 1
  }
  // All ones when the weight is wrong: then r becomes a fixed short polynomial, and the confirmation will not fit.
  const wrong = isNonzero(count - i32(weight))
  for (let i: usize = 0; i < p; i++) {
    const coefficient = small(r, i)
    store<i16>(r + i * 2, i16(coefficient ^ (wrong & (coefficient ^ i32(i < weight)))))
  }
}

/** Forgets all that was given and made. */
export function wipe(): void {
  memory.fill(0, 0, usize(memory.size()) << 16)
  delta = 1
}
