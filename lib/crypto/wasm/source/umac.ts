/**
 * UHASH of UMAC (RFC 4418 §5) with two or four iterations, for messages of at most 2 MiB: longer ones would need the
 * polynomial of 128 bits.
 */

const chunkLength: i32 = 1024
const groupLength: i32 = 32
/** 2^64 - 59, the prime of the polynomial. */
const prime64: u64 = 0xffffffffffffffc5
/** Words from here on are no residues and are marked (§5.4.1). */
const wordRange: u64 = 0xffffffff00000000
const prime36: u64 = 0xfffffffb + (0xf << 32)

/** Bytes that `message` holds. */
export const capacity: i32 = 65536
export const message = memory.data(65536 + 32, 16)
/**
 * The keys, as native numbers: L1 (268 × uint32), then for each of four iterations k64 (uint64, masked), the last four
 * numbers of L3's first key (4 × uint64, modulo 2^36 - 5) and its second (uint64).
 */
export const keys = memory.data(1072 + 4 * 48, 16)
const hashKeys = keys + 1072
const hashKeyLength = 48
const keysLength = 1072 + 4 * 48
/** One uint32 for each iteration, big-endian. */
export const digest = memory.data(16, 16)
const polynomials = memory.data(32, 16)

let iterations: i32 = 0
let isLong = false

export function begin(count: i32): void {
  iterations = count
  isLong = false
  for (let i = 0; i < 4; i++) store<u64>(polynomials + i * 8, 1)
}

/** Takes the first bytes of `message`: a multiple of 1024, and not the last ones. */
export function absorb(length: i32): void {
  isLong = true
  for (let at = 0; at < length; at += chunkLength) absorbChunk(message + at, chunkLength, chunkLength)
}

/** Takes the last bytes, writes `digest` and forgets the keys. */
export function finish(length: i32): void {
  memory.fill(message + length, 0, groupLength)
  let at: i32 = 0
  if (length > chunkLength) {
    isLong = true
    for (; length - at > chunkLength; at += chunkLength) absorbChunk(message + at, chunkLength, chunkLength)
  }
  const left = length - at
  const padded = max((left + groupLength - 1) & -groupLength, groupLength)
  absorbChunk(message + at, left, padded)
  for (let i = 0; i < iterations; i++) {
    const own = hashKeys + i * hashKeyLength
    store<u32>(digest + i * 4, bswap<u32>(innerProduct(load<u64>(polynomials + i * 8), own)))
  }
  memory.fill(keys, 0, keysLength)
  memory.fill(polynomials, 0, 32)
}

/** NH of one chunk (§5.2.2), then the polynomial unless it is the only chunk. */
function absorbChunk(at: usize, length: i32, padded: i32): void {
  for (let i = 0; i < iterations; i += 2) {
    const key = keys + i * 16
    let first = i64x2.splat(0)
    let second = i64x2.splat(0)
    let shared = v128.load(key)
    for (let offset = 0; offset < padded; offset += groupLength) {
      const left = v128.load(at + offset)
      const right = v128.load(at + offset, 16)
      const middle = v128.load(key + offset, 16)
      const next = v128.load(key + offset, 32)
      first = accumulate(first, i32x4.add(left, shared), i32x4.add(right, middle))
      second = accumulate(second, i32x4.add(left, middle), i32x4.add(right, next))
      shared = next
    }
    const bits = u64(length) << 3
    take(i, total(first) + bits)
    take(i + 1, total(second) + bits)
  }
}

function accumulate(sum: v128, a: v128, b: v128): v128 {
  return i64x2.add(sum, i64x2.add(i64x2.extmul_low_i32x4_u(a, b), i64x2.extmul_high_i32x4_u(a, b)))
}

function total(lanes: v128): u64 {
  return u64(i64x2.extract_lane(lanes, 0)) + u64(i64x2.extract_lane(lanes, 1))
}

function take(iteration: i32, word: u64): void {
  const at = polynomials + iteration * 8
  if (!isLong) {
    store<u64>(at, word)
    return
  }
  const key = load<u64>(hashKeys + iteration * hashKeyLength)
  let y = load<u64>(at)
  if (word >= wordRange) {
    y = step(key, y, prime64 - 1)
    word -= 59
  }
  store<u64>(at, step(key, y, word))
}

/** k y + word modulo 2^64 - 59; both halves of `key` are below 2^25. */
function step(key: u64, y: u64, word: u64): u64 {
  const keyHigh = key >> 32
  const keyLow = key & 0xffffffff
  const high = y >> 32
  const low = y & 0xffffffff
  const middle = keyHigh * low + keyLow * high
  // 2^64 is 59.
  const product = add(add((keyHigh * high + (middle >> 32)) * 59, middle << 32), keyLow * low)
  const sum = add(product, word)
  return sum >= prime64 ? sum - prime64 : sum
}

/** a + b, congruent modulo 2^64 - 59. */
function add(a: u64, b: u64): u64 {
  const sum = a + b
  if (sum >= a) return sum
  const folded = sum + 59
  return folded < sum ? folded + 59 : folded
}

/** L3 (§5.5): the upper half of its input is always 0. */
function innerProduct(value: u64, own: usize): u32 {
  const sum =
    (value >> 48) * load<u64>(own, 8) +
    ((value >> 32) & 0xffff) * load<u64>(own, 16) +
    ((value >> 16) & 0xffff) * load<u64>(own, 24) +
    (value & 0xffff) * load<u64>(own, 32)
  return u32(sum % prime36) ^ u32(load<u64>(own, 40))
}
