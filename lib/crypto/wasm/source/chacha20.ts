/**
 * ChaCha20 as djb has it (64-bit block counter, 64-bit nonce), four blocks at a time: each vector holds one word of the
 * state for four blocks.
 */

/** Bytes that one call of `keystream` makes. */
export const streamLength: usize = 256

export const stream = memory.data(256, 16)

function rotate(x: v128, by: i32): v128 {
  return v128.or(i32x4.shl(x, by), i32x4.shr_u(x, 32 - by))
}

function rotate16(x: v128): v128 {
  return i8x16.shuffle(x, x, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
}

function rotate8(x: v128): v128 {
  return i8x16.shuffle(x, x, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14)
}

/** Writes blocks `counter` to `counter + 3` to `stream`. The counter stays below 2^32. */
export function keystream(key: usize, nonce: usize, counter: u32): void {
  const k0 = v128.load32_splat(key)
  const k1 = v128.load32_splat(key, 4)
  const k2 = v128.load32_splat(key, 8)
  const k3 = v128.load32_splat(key, 12)
  const k4 = v128.load32_splat(key, 16)
  const k5 = v128.load32_splat(key, 20)
  const k6 = v128.load32_splat(key, 24)
  const k7 = v128.load32_splat(key, 28)
  const counters = i32x4.add(i32x4.splat(counter), i32x4(0, 1, 2, 3))
  const n0 = v128.load32_splat(nonce)
  const n1 = v128.load32_splat(nonce, 4)
  let x0 = i32x4.splat(0x61707865)
  let x1 = i32x4.splat(0x3320646e)
  let x2 = i32x4.splat(0x79622d32)
  let x3 = i32x4.splat(0x6b206574)
  let x4 = k0
  let x5 = k1
  let x6 = k2
  let x7 = k3
  let x8 = k4
  let x9 = k5
  let x10 = k6
  let x11 = k7
  let x12 = counters
  let x13 = i32x4.splat(0)
  let x14 = n0
  let x15 = n1
  for (let round = 0; round < 10; round++) {
    x0 = i32x4.add(x0, x4)
    x12 = rotate16(v128.xor(x12, x0))
    x8 = i32x4.add(x8, x12)
    x4 = rotate(v128.xor(x4, x8), 12)
    x0 = i32x4.add(x0, x4)
    x12 = rotate8(v128.xor(x12, x0))
    x8 = i32x4.add(x8, x12)
    x4 = rotate(v128.xor(x4, x8), 7)
    x1 = i32x4.add(x1, x5)
    x13 = rotate16(v128.xor(x13, x1))
    x9 = i32x4.add(x9, x13)
    x5 = rotate(v128.xor(x5, x9), 12)
    x1 = i32x4.add(x1, x5)
    x13 = rotate8(v128.xor(x13, x1))
    x9 = i32x4.add(x9, x13)
    x5 = rotate(v128.xor(x5, x9), 7)
    x2 = i32x4.add(x2, x6)
    x14 = rotate16(v128.xor(x14, x2))
    x10 = i32x4.add(x10, x14)
    x6 = rotate(v128.xor(x6, x10), 12)
    x2 = i32x4.add(x2, x6)
    x14 = rotate8(v128.xor(x14, x2))
    x10 = i32x4.add(x10, x14)
    x6 = rotate(v128.xor(x6, x10), 7)
    x3 = i32x4.add(x3, x7)
    x15 = rotate16(v128.xor(x15, x3))
    x11 = i32x4.add(x11, x15)
    x7 = rotate(v128.xor(x7, x11), 12)
    x3 = i32x4.add(x3, x7)
    x15 = rotate8(v128.xor(x15, x3))
    x11 = i32x4.add(x11, x15)
    x7 = rotate(v128.xor(x7, x11), 7)
    x0 = i32x4.add(x0, x5)
    x15 = rotate16(v128.xor(x15, x0))
    x10 = i32x4.add(x10, x15)
    x5 = rotate(v128.xor(x5, x10), 12)
    x0 = i32x4.add(x0, x5)
    x15 = rotate8(v128.xor(x15, x0))
    x10 = i32x4.add(x10, x15)
    x5 = rotate(v128.xor(x5, x10), 7)
    x1 = i32x4.add(x1, x6)
    x12 = rotate16(v128.xor(x12, x1))
    x11 = i32x4.add(x11, x12)
    x6 = rotate(v128.xor(x6, x11), 12)
    x1 = i32x4.add(x1, x6)
    x12 = rotate8(v128.xor(x12, x1))
    x11 = i32x4.add(x11, x12)
    x6 = rotate(v128.xor(x6, x11), 7)
    x2 = i32x4.add(x2, x7)
    x13 = rotate16(v128.xor(x13, x2))
    x8 = i32x4.add(x8, x13)
    x7 = rotate(v128.xor(x7, x8), 12)
    x2 = i32x4.add(x2, x7)
    x13 = rotate8(v128.xor(x13, x2))
    x8 = i32x4.add(x8, x13)
    x7 = rotate(v128.xor(x7, x8), 7)
    x3 = i32x4.add(x3, x4)
    x14 = rotate16(v128.xor(x14, x3))
    x9 = i32x4.add(x9, x14)
    x4 = rotate(v128.xor(x4, x9), 12)
    x3 = i32x4.add(x3, x4)
    x14 = rotate8(v128.xor(x14, x3))
    x9 = i32x4.add(x9, x14)
    x4 = rotate(v128.xor(x4, x9), 7)
  }
  transpose(
    0,
    i32x4.add(x0, i32x4.splat(0x61707865)),
    i32x4.add(x1, i32x4.splat(0x3320646e)),
    i32x4.add(x2, i32x4.splat(0x79622d32)),
    i32x4.add(x3, i32x4.splat(0x6b206574)),
  )
  transpose(16, i32x4.add(x4, k0), i32x4.add(x5, k1), i32x4.add(x6, k2), i32x4.add(x7, k3))
  transpose(32, i32x4.add(x8, k4), i32x4.add(x9, k5), i32x4.add(x10, k6), i32x4.add(x11, k7))
  transpose(48, i32x4.add(x12, counters), x13, i32x4.add(x14, n0), i32x4.add(x15, n1))
}

/** From one word of four blocks to four words of one block. */
function transpose(at: usize, a: v128, b: v128, c: v128, d: v128): void {
  const lowAb = i32x4.shuffle(a, b, 0, 4, 1, 5)
  const highAb = i32x4.shuffle(a, b, 2, 6, 3, 7)
  const lowCd = i32x4.shuffle(c, d, 0, 4, 1, 5)
  const highCd = i32x4.shuffle(c, d, 2, 6, 3, 7)
  v128.store(stream + at, i64x2.shuffle(lowAb, lowCd, 0, 2))
  v128.store(stream + at, i64x2.shuffle(lowAb, lowCd, 1, 3), 64)
  v128.store(stream + at, i64x2.shuffle(highAb, highCd, 0, 2), 128)
  v128.store(stream + at, i64x2.shuffle(highAb, highCd, 1, 3), 192)
}

/** XORs `length` bytes in place with `stream`, from byte `offset` of it on. */
export function mix(at: usize, length: usize, offset: usize): void {
  let from = stream + offset
  const end = at + length
  while (at + 16 <= end) {
    v128.store(at, v128.xor(v128.load(at), v128.load(from)))
    at += 16
    from += 16
  }
  while (at < end) {
    store<u8>(at, load<u8>(at) ^ load<u8>(from))
    at++
    from++
  }
}

/** Forgets the last key stream. */
export function wipe(): void {
  memory.fill(stream, 0, streamLength)
}
