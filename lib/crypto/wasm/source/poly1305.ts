/**
 * Poly1305 (RFC 8439 §2.5) on five limbs of 26 bits. Long inputs go four blocks at a time in two SIMD lanes: with the
 * powers of r, h' = (h + m0) r^4 + m1 r^3 + m2 r^2 + m3 r needs one carry instead of four.
 */

const mask: u64 = 0x3ffffff
/** 2^128 of a whole block, in the highest limb. */
const wholeBlock: u64 = 1 << 24
/** Below so many bytes the powers of r are not worth their price. */
const simdThreshold: i32 = 192
const groupLength: i32 = 64

/** Everything secret lies here, so that `finish` can wipe it at once. Numbers are five u64 limbs. */
const state = memory.data(640, 16)
const accumulator = state
const r1 = state + 48
const r2 = state + 96
const r3 = state + 144
const r4 = state + 192
/** Lanes to multiply with: limbs 0 to 4, then five times limbs 1 to 4. */
const everyGroup = state + 240
const lastGroup = state + 384
const pad = state + 528
const partial = state + 544
const stateLength = 640

let powersKnown = false

/** Takes the 32-byte one-time key. */
export function start(key: usize): void {
  memory.fill(accumulator, 0, 40)
  const low = load<u64>(key) & 0x0ffffffc0fffffff
  const high = load<u64>(key, 8) & 0x0ffffffc0ffffffc
  split(r1, low, high, 0)
  store<u64>(pad, load<u64>(key, 16))
  store<u64>(pad, load<u64>(key, 24), 8)
  powersKnown = false
}

/** Absorbs bytes; only the last call may have a length that is no multiple of 16. */
export function absorb(from: usize, length: i32): void {
  if (length >= simdThreshold) {
    const grouped = length & -groupLength
    absorbGroups(from, grouped)
    from += grouped
    length -= grouped
  }
  while (length >= 16) {
    absorbBlock(from, wholeBlock)
    from += 16
    length -= 16
  }
  if (length > 0) {
    memory.fill(partial, 0, 16)
    memory.copy(partial, from, length)
    store<u8>(partial + length, 1)
    absorbBlock(partial, 0)
  }
}

/** Writes the 16-byte tag and forgets the key. */
export function finish(tag: usize): void {
  let h0 = load<u64>(accumulator)
  let h1 = load<u64>(accumulator, 8)
  let h2 = load<u64>(accumulator, 16)
  let h3 = load<u64>(accumulator, 24)
  let h4 = load<u64>(accumulator, 32)
  // Two rounds of carries leave every limb below 2^26.
  for (let round = 0; round < 2; round++) {
    h1 += h0 >> 26
    h0 &= mask
    h2 += h1 >> 26
    h1 &= mask
    h3 += h2 >> 26
    h2 &= mask
    h4 += h3 >> 26
    h3 &= mask
    h0 += (h4 >> 26) * 5
    h4 &= mask
  }
  h1 += h0 >> 26
  h0 &= mask
  // h - p, which is taken when it is not negative, without a branch.
  let g0 = h0 + 5
  let g1 = h1 + (g0 >> 26)
  let g2 = h2 + (g1 >> 26)
  let g3 = h3 + (g2 >> 26)
  const g4 = h4 + (g3 >> 26) - (1 << 26)
  const keep = 0 - (g4 >> 63)
  g0 &= mask
  g1 &= mask
  g2 &= mask
  g3 &= mask
  h0 = (h0 & keep) | (g0 & ~keep)
  h1 = (h1 & keep) | (g1 & ~keep)
  h2 = (h2 & keep) | (g2 & ~keep)
  h3 = (h3 & keep) | (g3 & ~keep)
  h4 = (h4 & keep) | (g4 & ~keep)
  const low = h0 | (h1 << 26) | (h2 << 52)
  const high = (h2 >> 12) | (h3 << 14) | (h4 << 40)
  const sum = low + load<u64>(pad)
  store<u64>(tag, sum)
  store<u64>(tag, high + load<u64>(pad, 8) + u64(sum < low), 8)
  memory.fill(state, 0, stateLength)
}

function split(to: usize, low: u64, high: u64, top: u64): void {
  store<u64>(to, low & mask)
  store<u64>(to, (low >> 26) & mask, 8)
  store<u64>(to, ((low >> 52) | (high << 12)) & mask, 16)
  store<u64>(to, (high >> 14) & mask, 24)
  store<u64>(to, (high >> 40) | top, 32)
}

function absorbBlock(from: usize, top: u64): void {
  const low = load<u64>(from)
  const high = load<u64>(from, 8)
  store<u64>(accumulator, load<u64>(accumulator) + (low & mask))
  store<u64>(accumulator, load<u64>(accumulator, 8) + ((low >> 26) & mask), 8)
  store<u64>(accumulator, load<u64>(accumulator, 16) + (((low >> 52) | (high << 12)) & mask), 16)
  store<u64>(accumulator, load<u64>(accumulator, 24) + ((high >> 14) & mask), 24)
  store<u64>(accumulator, load<u64>(accumulator, 32) + ((high >> 40) | top), 32)
  multiply(accumulator, accumulator, r1)
}

/** a b modulo 2^130 - 5, but not fully reduced. */
function multiply(to: usize, a: usize, b: usize): void {
  const a0 = load<u64>(a)
  const a1 = load<u64>(a, 8)
  const a2 = load<u64>(a, 16)
  const a3 = load<u64>(a, 24)
  const a4 = load<u64>(a, 32)
  const b0 = load<u64>(b)
  const b1 = load<u64>(b, 8)
  const b2 = load<u64>(b, 16)
  const b3 = load<u64>(b, 24)
  const b4 = load<u64>(b, 32)
  const s1 = b1 * 5
  const s2 = b2 * 5
  const s3 = b3 * 5
  const s4 = b4 * 5
  const d0 = a0 * b0 + a1 * s4 + a2 * s3 + a3 * s2 + a4 * s1
  const d1 = a0 * b1 + a1 * b0 + a2 * s4 + a3 * s3 + a4 * s2 + (d0 >> 26)
  const d2 = a0 * b2 + a1 * b1 + a2 * b0 + a3 * s4 + a4 * s3 + (d1 >> 26)
  const d3 = a0 * b3 + a1 * b2 + a2 * b1 + a3 * b0 + a4 * s4 + (d2 >> 26)
  const d4 = a0 * b4 + a1 * b3 + a2 * b2 + a3 * b1 + a4 * b0 + (d3 >> 26)
  const h0 = (d0 & mask) + (d4 >> 26) * 5
  store<u64>(to, h0 & mask)
  store<u64>(to, (d1 & mask) + (h0 >> 26), 8)
  store<u64>(to, d2 & mask, 16)
  store<u64>(to, d3 & mask, 24)
  store<u64>(to, d4 & mask, 32)
}

/** Lays the limbs of four powers beside one another: the low two lanes meet the accumulator, the high two the input. */
function spread(to: usize, a: usize, b: usize, c: usize, d: usize): void {
  for (let limb: usize = 0; limb < 5; limb++) {
    const at = limb * 8
    const lanes = to + limb * 16
    store<u32>(lanes, load<u32>(a + at))
    store<u32>(lanes, load<u32>(b + at), 4)
    store<u32>(lanes, load<u32>(c + at), 8)
    store<u32>(lanes, load<u32>(d + at), 12)
    if (limb > 0) v128.store(lanes + 64, i32x4.mul(v128.load(lanes), i32x4.splat(5)))
  }
}

function computePowers(): void {
  multiply(r2, r1, r1)
  multiply(r3, r2, r1)
  multiply(r4, r2, r2)
  spread(everyGroup, r4, r4, r2, r2)
  // The lanes of the accumulator become one number: each gets the power that its blocks are worth.
  spread(lastGroup, r4, r3, r2, r1)
  powersKnown = true
}

function low(a: v128, b: v128): v128 {
  return i64x2.extmul_low_i32x4_u(a, b)
}

function high(a: v128, b: v128): v128 {
  return i64x2.extmul_high_i32x4_u(a, b)
}

function product(a: v128, b: v128): v128 {
  return i64x2.add(low(a, b), high(a, b))
}

function sum(a: v128, b: v128, c: v128, d: v128, e: v128): v128 {
  return i64x2.add(i64x2.add(i64x2.add(a, b), i64x2.add(c, d)), e)
}

/** `length` is a multiple of 64 and not 0. */
function absorbGroups(from: usize, length: i32): void {
  if (!powersKnown) computePowers()
  const limbs = i64x2.splat(mask)
  const top = i64x2.splat(wholeBlock)
  let h0 = v128.load64_zero(accumulator)
  let h1 = v128.load64_zero(accumulator, 8)
  let h2 = v128.load64_zero(accumulator, 16)
  let h3 = v128.load64_zero(accumulator, 24)
  let h4 = v128.load64_zero(accumulator, 32)
  const end = from + length
  while (from < end) {
    const by = from + groupLength === end ? lastGroup : everyGroup
    const first = v128.load(from)
    const second = v128.load(from, 16)
    const third = v128.load(from, 32)
    const fourth = v128.load(from, 48)
    const a = i64x2.shuffle(first, second, 0, 2)
    const b = i64x2.shuffle(first, second, 1, 3)
    const c = i64x2.shuffle(third, fourth, 0, 2)
    const d = i64x2.shuffle(third, fourth, 1, 3)
    h0 = i64x2.add(h0, v128.and(a, limbs))
    h1 = i64x2.add(h1, v128.and(i64x2.shr_u(a, 26), limbs))
    h2 = i64x2.add(h2, v128.and(v128.or(i64x2.shr_u(a, 52), i64x2.shl(b, 12)), limbs))
    h3 = i64x2.add(h3, v128.and(i64x2.shr_u(b, 14), limbs))
    h4 = i64x2.add(h4, v128.or(i64x2.shr_u(b, 40), top))
    const m0 = v128.and(c, limbs)
    const m1 = v128.and(i64x2.shr_u(c, 26), limbs)
    const m2 = v128.and(v128.or(i64x2.shr_u(c, 52), i64x2.shl(d, 12)), limbs)
    const m3 = v128.and(i64x2.shr_u(d, 14), limbs)
    const m4 = v128.or(i64x2.shr_u(d, 40), top)
    const x0 = i32x4.shuffle(h0, m0, 0, 2, 4, 6)
    const x1 = i32x4.shuffle(h1, m1, 0, 2, 4, 6)
    const x2 = i32x4.shuffle(h2, m2, 0, 2, 4, 6)
    const x3 = i32x4.shuffle(h3, m3, 0, 2, 4, 6)
    const x4 = i32x4.shuffle(h4, m4, 0, 2, 4, 6)
    const y0 = v128.load(by)
    const y1 = v128.load(by, 16)
    const y2 = v128.load(by, 32)
    const y3 = v128.load(by, 48)
    const y4 = v128.load(by, 64)
    const s1 = v128.load(by, 80)
    const s2 = v128.load(by, 96)
    const s3 = v128.load(by, 112)
    const s4 = v128.load(by, 128)
    const d0 = sum(product(x0, y0), product(x1, s4), product(x2, s3), product(x3, s2), product(x4, s1))
    let d1 = sum(product(x0, y1), product(x1, y0), product(x2, s4), product(x3, s3), product(x4, s2))
    let d2 = sum(product(x0, y2), product(x1, y1), product(x2, y0), product(x3, s4), product(x4, s3))
    let d3 = sum(product(x0, y3), product(x1, y2), product(x2, y1), product(x3, y0), product(x4, s4))
    let d4 = sum(product(x0, y4), product(x1, y3), product(x2, y2), product(x3, y1), product(x4, y0))
    d1 = i64x2.add(d1, i64x2.shr_u(d0, 26))
    d2 = i64x2.add(d2, i64x2.shr_u(d1, 26))
    d3 = i64x2.add(d3, i64x2.shr_u(d2, 26))
    d4 = i64x2.add(d4, i64x2.shr_u(d3, 26))
    const over = i64x2.shr_u(d4, 26)
    h0 = i64x2.add(v128.and(d0, limbs), i64x2.add(over, i64x2.shl(over, 2)))
    h1 = i64x2.add(v128.and(d1, limbs), i64x2.shr_u(h0, 26))
    h0 = v128.and(h0, limbs)
    h2 = v128.and(d2, limbs)
    h3 = v128.and(d3, limbs)
    h4 = v128.and(d4, limbs)
    from += groupLength
  }
  store<u64>(accumulator, i64x2.extract_lane(h0, 0) + i64x2.extract_lane(h0, 1))
  store<u64>(accumulator, i64x2.extract_lane(h1, 0) + i64x2.extract_lane(h1, 1), 8)
  store<u64>(accumulator, i64x2.extract_lane(h2, 0) + i64x2.extract_lane(h2, 1), 16)
  store<u64>(accumulator, i64x2.extract_lane(h3, 0) + i64x2.extract_lane(h3, 1), 24)
  store<u64>(accumulator, i64x2.extract_lane(h4, 0) + i64x2.extract_lane(h4, 1), 32)
}
