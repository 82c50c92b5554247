/**
 * Finds one name among lines that begin with hashed names: `|1|`, a salt of 20 bytes in base64, `|`, and the HMAC-SHA1 of a
 * name under the salt in base64. A file of hashed hosts has to be hashed as a whole for each look-up.
 */

/** Bytes that `lines` holds. */
export const capacity: i32 = 65536
/** The lines; what follows is read but not looked at. */
export const lines = memory.data(65536 + 80, 16)
/** The name as the last blocks of SHA-1's padding (FIPS 180-4 §5.1.1) make it, as native words. */
export const text = memory.data(1024, 16)
/** The value of each character of base64, 255 for all others. */
export const values = memory.data(256, 16)
/** How many lines were passed over since it was set. */
export let passed: i32 = 0

const saltAt: i32 = 3
const middle: i32 = 31
const hashAt: i32 = 32
const after: i32 = 60

const salt = memory.data(24, 16)
const expected = memory.data(24, 16)
const state = memory.data(20, 16)
const schedule = memory.data(320, 16)

let textLength: i32 = 0

/** @param length bytes of `text`: a multiple of 64 */
export function begin(length: i32): void {
  textLength = length
}

/** 20 bytes from 27 characters and a `=`. */
function decode(at: usize, out: usize): bool {
  let wrong: u32 = 0
  for (let i: usize = 0; i < 24; i += 4) {
    const a = <u32>load<u8>(values + load<u8>(at + i))
    const b = <u32>load<u8>(values + load<u8>(at + i + 1))
    const c = <u32>load<u8>(values + load<u8>(at + i + 2))
    const d = <u32>load<u8>(values + load<u8>(at + i + 3))
    wrong |= a | b | c | d
    const bits = (a << 18) | (b << 12) | (c << 6) | d
    store<u8>(out, bits >> 16)
    store<u8>(out, bits >> 8, 1)
    store<u8>(out, bits, 2)
    out += 3
  }
  const a = <u32>load<u8>(values + load<u8>(at + 24))
  const b = <u32>load<u8>(values + load<u8>(at + 25))
  const c = <u32>load<u8>(values + load<u8>(at + 26))
  wrong |= a | b | c
  store<u8>(out, (a << 2) | (b >> 4))
  store<u8>(out, (b << 4) | (c >> 2), 1)
  return wrong < 64 && load<u8>(at + 27) == 0x3d
}

function word(i: usize): u32 {
  return load<u32>(schedule + i * 4)
}

/** SHA-1's step (FIPS 180-4 §6.1.2) over the sixteen words at the head of `schedule`. */
function compress(): void {
  for (let at: usize = schedule + 64; at < schedule + 320; at += 4) {
    store<u32>(at, rotl<u32>(load<u32>(at - 12) ^ load<u32>(at - 32) ^ load<u32>(at - 56) ^ load<u32>(at - 64), 1))
  }
  let a = load<u32>(state)
  let b = load<u32>(state, 4)
  let c = load<u32>(state, 8)
  let d = load<u32>(state, 12)
  let e = load<u32>(state, 16)
  for (let t: usize = 0; t < 20; t += 5) {
    e += rotl<u32>(a, 5) + (d ^ (b & (c ^ d))) + 0x5a827999 + word(t)
    b = rotl<u32>(b, 30)
    d += rotl<u32>(e, 5) + (c ^ (a & (b ^ c))) + 0x5a827999 + word(t + 1)
    a = rotl<u32>(a, 30)
    c += rotl<u32>(d, 5) + (b ^ (e & (a ^ b))) + 0x5a827999 + word(t + 2)
    e = rotl<u32>(e, 30)
    b += rotl<u32>(c, 5) + (a ^ (d & (e ^ a))) + 0x5a827999 + word(t + 3)
    d = rotl<u32>(d, 30)
    a += rotl<u32>(b, 5) + (e ^ (c & (d ^ e))) + 0x5a827999 + word(t + 4)
    c = rotl<u32>(c, 30)
  }
  for (let t: usize = 20; t < 40; t += 5) {
    e += rotl<u32>(a, 5) + (b ^ c ^ d) + 0x6ed9eba1 + word(t)
    b = rotl<u32>(b, 30)
    d += rotl<u32>(e, 5) + (a ^ b ^ c) + 0x6ed9eba1 + word(t + 1)
    a = rotl<u32>(a, 30)
    c += rotl<u32>(d, 5) + (e ^ a ^ b) + 0x6ed9eba1 + word(t + 2)
    e = rotl<u32>(e, 30)
    b += rotl<u32>(c, 5) + (d ^ e ^ a) + 0x6ed9eba1 + word(t + 3)
    d = rotl<u32>(d, 30)
    a += rotl<u32>(b, 5) + (c ^ d ^ e) + 0x6ed9eba1 + word(t + 4)
    c = rotl<u32>(c, 30)
  }
  for (let t: usize = 40; t < 60; t += 5) {
    e += rotl<u32>(a, 5) + ((b & c) | (d & (b | c))) + 0x8f1bbcdc + word(t)
    b = rotl<u32>(b, 30)
    d += rotl<u32>(e, 5) + ((a & b) | (c & (a | b))) + 0x8f1bbcdc + word(t + 1)
    a = rotl<u32>(a, 30)
    c += rotl<u32>(d, 5) + ((e & a) | (b & (e | a))) + 0x8f1bbcdc + word(t + 2)
    e = rotl<u32>(e, 30)
    b += rotl<u32>(c, 5) + ((d & e) | (a & (d | e))) + 0x8f1bbcdc + word(t + 3)
    d = rotl<u32>(d, 30)
    a += rotl<u32>(b, 5) + ((c & d) | (e & (c | d))) + 0x8f1bbcdc + word(t + 4)
    c = rotl<u32>(c, 30)
  }
  for (let t: usize = 60; t < 80; t += 5) {
    e += rotl<u32>(a, 5) + (b ^ c ^ d) + 0xca62c1d6 + word(t)
    b = rotl<u32>(b, 30)
    d += rotl<u32>(e, 5) + (a ^ b ^ c) + 0xca62c1d6 + word(t + 1)
    a = rotl<u32>(a, 30)
    c += rotl<u32>(d, 5) + (e ^ a ^ b) + 0xca62c1d6 + word(t + 2)
    e = rotl<u32>(e, 30)
    b += rotl<u32>(c, 5) + (d ^ e ^ a) + 0xca62c1d6 + word(t + 3)
    d = rotl<u32>(d, 30)
    a += rotl<u32>(b, 5) + (c ^ d ^ e) + 0xca62c1d6 + word(t + 4)
    c = rotl<u32>(c, 30)
  }
  store<u32>(state, load<u32>(state) + a)
  store<u32>(state, load<u32>(state, 4) + b, 4)
  store<u32>(state, load<u32>(state, 8) + c, 8)
  store<u32>(state, load<u32>(state, 12) + d, 12)
  store<u32>(state, load<u32>(state, 16) + e, 16)
}

/** The state after a block of the key, masked (RFC 2104 §2). */
function absorbKey(mask: u32): void {
  store<u32>(state, 0x67452301)
  store<u32>(state, 0xefcdab89, 4)
  store<u32>(state, 0x98badcfe, 8)
  store<u32>(state, 0x10325476, 12)
  store<u32>(state, 0xc3d2e1f0, 16)
  for (let i: usize = 0; i < 20; i += 4) store<u32>(schedule + i, bswap<u32>(load<u32>(salt + i)) ^ mask)
  for (let i: usize = 20; i < 64; i += 4) store<u32>(schedule + i, mask)
  compress()
}

/** Whether the HMAC of the text under `salt` is `expected`. */
function matches(): bool {
  absorbKey(0x36363636)
  for (let at: usize = 0; at < <usize>textLength; at += 64) {
    memory.copy(schedule, text + at, 64)
    compress()
  }
  const a = load<u32>(state)
  const b = load<u32>(state, 4)
  const c = load<u32>(state, 8)
  const d = load<u32>(state, 12)
  const e = load<u32>(state, 16)
  absorbKey(0x5c5c5c5c)
  store<u32>(schedule, a)
  store<u32>(schedule, b, 4)
  store<u32>(schedule, c, 8)
  store<u32>(schedule, d, 12)
  store<u32>(schedule, e, 16)
  store<u32>(schedule, 0x80000000, 20)
  for (let i: usize = 24; i < 60; i += 4) store<u32>(schedule + i, 0)
  // The length in bits: a block of the key and 20 bytes.
  store<u32>(schedule, 672, 60)
  compress()
  for (let i: usize = 0; i < 20; i += 4) {
    if (load<u32>(state + i) != bswap<u32>(load<u32>(expected + i))) return false
  }
  return true
}

/** Where the line ends that goes on at `at`; `end` when it does not before that. */
function lineEnd(at: i32, end: i32): i32 {
  const newline = i8x16.splat(0x0a)
  while (at < end) {
    const found = i8x16.bitmask(i8x16.eq(v128.load(lines + at), newline))
    if (found != 0) {
      const where = at + ctz<i32>(found)
      return where < end ? where : end
    }
    at += 16
  }
  return end
}

/**
 * Passes over whole lines, from one that begins at `at`, while they begin with a hash that is not the name's.
 * @returns where the first other line begins, or one that does not end before `end`
 */
export function search(at: i32, end: i32): i32 {
  while (at + after < end) {
    const line = lines + <usize>at
    if ((load<u32>(line) & 0xffffff) != 0x7c317c || load<u8>(line + middle) != 0x7c) return at
    const blank = load<u8>(line + after)
    if (blank != 0x20 && blank != 0x09) return at
    if (!decode(line + saltAt, salt) || !decode(line + hashAt, expected)) return at
    const stop = lineEnd(at + after, end)
    if (stop == end || matches()) return at
    passed++
    at = stop + 1
  }
  return at
}
