/**
 * How polynomials of sntrup761 become bytes (NTRU Prime, round 3 submission, §3.2): in a mixed radix that wastes next to
 * nothing. Lengths depend on the parameters alone.
 */
import { p } from './sntrup761-numbers'

/** From here on, a radix gives a byte away. */
const radixLimit: u32 = 16384

/** Digits and radices of all levels, one after another: p, and half as many each time. */
const places: usize = 1544
const digits = memory.data(places * 4, 16)
const radices = memory.data(places * 4, 16)
/** What a pair gave away as bytes, and how many bits, where its first digit is. */
const lows = memory.data(places * 4, 16)
const lowBits = memory.data(places, 16)

function word(at: usize, i: usize): u32 {
  return load<u32>(at + i * 4)
}

/** `polynomial` holds p digits (uint16) below `radix`. Joins them in pairs, level by level, giving out bytes on the way. */
export function encode(bytes: usize, polynomial: usize, radix: u32): void {
  for (let i: usize = 0; i < p; i++) {
    store<u32>(digits + i * 4, load<u16>(polynomial + i * 2))
    store<u32>(radices + i * 4, radix)
  }
  let count = p
  while (count > 1) {
    for (let i: usize = 0; i + 1 < count; i += 2) {
      let digit = word(digits, i) + word(digits, i + 1) * word(radices, i)
      let joined = word(radices, i) * word(radices, i + 1)
      while (joined >= radixLimit) {
        store<u8>(bytes++, u8(digit))
        digit >>= 8
        joined = (joined + 255) >> 8
      }
      store<u32>(digits + i * 2, digit)
      store<u32>(radices + i * 2, joined)
    }
    if (count & 1) {
      store<u32>(digits + (count - 1) * 2, word(digits, count - 1))
      store<u32>(radices + (count - 1) * 2, word(radices, count - 1))
    }
    count = (count + 1) >> 1
  }
  let digit = word(digits, 0)
  for (let last = word(radices, 0); last > 1; last = (last + 255) >> 8) {
    store<u8>(bytes++, u8(digit))
    digit >>= 8
  }
}

/**
 * The reverse, for bytes that anyone may have sent: each digit is below its radix whatever they are. What is read here is
 * public.
 */
export function decode(bytes: usize, polynomial: usize, radix: u32): void {
  for (let i: usize = 0; i < p; i++) store<u32>(radices + i * 4, radix)
  decodeLevel(bytes, 0, p)
  for (let i: usize = 0; i < p; i++) store<u16>(polynomial + i * 2, u16(word(digits, i)))
}

function decodeLevel(bytes: usize, first: usize, count: usize): void {
  if (count === 1) {
    const radix = word(radices, first)
    const value = radix > 256 ? u32(load<u16>(bytes)) : u32(load<u8>(bytes))
    store<u32>(digits + first * 4, value % radix)
    return
  }
  const next = first + count
  for (let i: usize = 0; i + 1 < count; i += 2) {
    let low: u32 = 0
    let bits: u32 = 0
    let joined = word(radices, first + i) * word(radices, first + i + 1)
    while (joined >= radixLimit) {
      low |= u32(load<u8>(bytes++)) << bits
      bits += 8
      joined = (joined + 255) >> 8
    }
    store<u32>(lows + (first + i) * 4, low)
    store<u8>(lowBits + first + i, u8(bits))
    store<u32>(radices + (next + (i >> 1)) * 4, joined)
  }
  const half = count >> 1
  if (count & 1) store<u32>(radices + (next + half) * 4, word(radices, first + count - 1))
  decodeLevel(bytes, next, count - half)
  for (let i: usize = 0; i + 1 < count; i += 2) {
    const at = first + i
    const joined = word(lows, at) + (word(digits, next + (i >> 1)) << u32(load<u8>(lowBits + at)))
    store<u32>(digits + at * 4, joined % word(radices, at))
    store<u32>(digits + (at + 1) * 4, (joined / word(radices, at)) % word(radices, at + 1))
  }
  if (count & 1) store<u32>(digits + (first + count - 1) * 4, word(digits, next + half))
}
