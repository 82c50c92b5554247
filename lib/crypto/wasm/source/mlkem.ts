import {
  absorb,
  absorbByte,
  begin,
  hashSuffix,
  pad,
  sha3of512Rate,
  shake128Rate,
  shake256Rate,
  shakeSuffix,
  squeeze,
  wipeSponge,
} from './keccak'

/**
 * ML-KEM (FIPS 203) with k = 3 and 4, after the algorithms of the same numbers. Coefficients are uint16 below q between two
 * steps. Neither a division nor a branch nor an address depends on a secret.
 */

const q: i32 = 3329
const polynomialLength: usize = 512
/** Bytes of a polynomial as `encode` with 12 bits makes it. */
const encodedLength: usize = 384
/** Four polynomials. */
const vectorLength: i32 = 4 * 512

/** d and z to make a key (32 bytes each), m to encapsulate. */
export const seed = memory.data(64, 16)
export const publicKey = memory.data(1568, 16)
/** The decapsulation key of §7.1: what decrypts, the public key, its hash, z. */
export const secretKey = memory.data(3168, 16)
export const ciphertext = memory.data(1568, 16)
export const sharedSecret = memory.data(32, 16)

const again = memory.data(1568, 16)
const decrypted = memory.data(32, 16)
/** Two halves of what SHA3-512 gives. */
const halves = memory.data(64, 16)
const keyHash = memory.data(32, 16)
const bytes = memory.data(168, 16)
const secrets = memory.data(vectorLength, 16)
const others = memory.data(512, 16)
const sampled = memory.data(512, 16)
const sum = memory.data(512, 16)
/** 17^BitRev7(i) (appendix A). */
const zetas = memory.data(256, 16)

let k: usize = 3

fillZetas()

function fillZetas(): void {
  for (let i: usize = 0; i < 128; i++) {
    let power: i32 = 1
    for (let bit: usize = 0; bit < 7; bit++) {
      power = reduce(power * power)
      if ((i >> bit) & 1) power = reduce(power * 17)
    }
    store<u16>(zetas + i * 2, u16(power))
  }
}

/** A key from `seed` (16). */
export function generate(rank: usize): void {
  k = rank
  begin(sha3of512Rate)
  absorb(seed, 32)
  absorbByte(u8(k))
  pad(hashSuffix)
  squeeze(halves, 64)
  const length = k * encodedLength
  memory.copy(publicKey + length, halves, 32)
  for (let i: usize = 0; i < k; i++) {
    sampleSmall(secrets + i * polynomialLength, halves + 32, u8(i))
    transform(secrets + i * polynomialLength)
    encode(secrets + i * polynomialLength, 12, secretKey + i * encodedLength)
  }
  for (let i: usize = 0; i < k; i++) {
    sampleSmall(sum, halves + 32, u8(k + i))
    transform(sum)
    for (let j: usize = 0; j < k; j++) {
      sampleUniform(halves, u8(j), u8(i))
      addProduct(sampled, secrets + j * polynomialLength)
    }
    encode(sum, 12, publicKey + i * encodedLength)
  }
  const end = secretKey + length
  memory.copy(end, publicKey, length + 32)
  hashOf(publicKey, end + length + 32)
  memory.copy(end + length + 64, seed + 32, 32)
}

/** A secret from `seed`, and the ciphertext for `publicKey` (17). @returns 0 when that is no key (§7.2), else 1 */
export function encapsulate(rank: usize): i32 {
  k = rank
  if (!isKey()) return 0
  hashOf(publicKey, keyHash)
  shareWith(seed)
  memory.copy(sharedSecret, halves, 32)
  encrypt(seed, ciphertext)
  return 1
}

/** The secret in `ciphertext`, for `secretKey` (18). */
export function decapsulate(rank: usize): void {
  k = rank
  const length = k * encodedLength
  memory.copy(publicKey, secretKey + length, length + 32)
  memory.copy(keyHash, secretKey + 2 * length + 32, 32)
  decrypt()
  shareWith(decrypted)
  encrypt(decrypted, again)
  const total = ciphertextLength()
  begin(shake256Rate)
  absorb(secretKey + 2 * length + 64, 32)
  absorb(ciphertext, i32(total))
  pad(shakeSuffix)
  squeeze(sharedSecret, 32)
  let difference: i32 = 0
  for (let i: usize = 0; i < total; i++) difference |= i32(load<u8>(ciphertext + i) ^ load<u8>(again + i))
  // All ones when both are the same.
  const right = u8((difference - 1) >> 31)
  for (let i: usize = 0; i < 32; i++) {
    const rejected = load<u8>(sharedSecret + i)
    store<u8>(sharedSecret + i, rejected ^ (right & (rejected ^ load<u8>(halves + i))))
  }
}

/** Forgets everything. */
export function wipe(): void {
  memory.fill(seed, 0, 64)
  memory.fill(publicKey, 0, 1568)
  memory.fill(secretKey, 0, 3168)
  memory.fill(ciphertext, 0, 1568)
  memory.fill(sharedSecret, 0, 32)
  memory.fill(again, 0, 1568)
  memory.fill(decrypted, 0, 32)
  memory.fill(halves, 0, 64)
  memory.fill(keyHash, 0, 32)
  memory.fill(bytes, 0, 168)
  memory.fill(secrets, 0, vectorLength)
  memory.fill(others, 0, polynomialLength)
  memory.fill(sampled, 0, polynomialLength)
  memory.fill(sum, 0, polynomialLength)
  wipeSponge()
}

/** Bits of a coefficient in the two parts of a ciphertext (table 2). */
function firstBits(): i32 {
  return k === 3 ? 10 : 11
}

function secondBits(): i32 {
  return k === 3 ? 4 : 5
}

function ciphertextLength(): usize {
  return 32 * (k * firstBits() + secondBits())
}

/** H of the public key. */
function hashOf(key: usize, target: usize): void {
  begin(shake256Rate)
  absorb(key, i32(k * encodedLength + 32))
  pad(hashSuffix)
  squeeze(target, 32)
}

/** G of a message and `keyHash`: the secret, and what the encryption draws from. */
function shareWith(message: usize): void {
  begin(sha3of512Rate)
  absorb(message, 32)
  absorb(keyHash, 32)
  pad(hashSuffix)
  squeeze(halves, 64)
}

/** Whether all coefficients are below q. The key is no secret. */
function isKey(): bool {
  for (let i: usize = 0; i < k; i++) {
    decode(publicKey + i * encodedLength, 12, sum)
    for (let j: usize = 0; j < polynomialLength; j += 2) if (i32(load<u16>(sum + j)) >= q) return false
  }
  return true
}

/** K-PKE.Encrypt (14), with randomness from the second half. */
function encrypt(message: usize, target: usize): void {
  const matrixSeed = publicKey + k * encodedLength
  for (let i: usize = 0; i < k; i++) {
    sampleSmall(secrets + i * polynomialLength, halves + 32, u8(i))
    transform(secrets + i * polynomialLength)
  }
  for (let i: usize = 0; i < k; i++) {
    memory.fill(sum, 0, polynomialLength)
    for (let j: usize = 0; j < k; j++) {
      sampleUniform(matrixSeed, u8(i), u8(j))
      addProduct(sampled, secrets + j * polynomialLength)
    }
    transformBack(sum)
    sampleSmall(others, halves + 32, u8(k + i))
    add(sum, others)
    compress(sum, firstBits())
    encode(sum, firstBits(), target + i * 32 * firstBits())
  }
  memory.fill(sum, 0, polynomialLength)
  for (let i: usize = 0; i < k; i++) {
    decode(publicKey + i * encodedLength, 12, others)
    addProduct(others, secrets + i * polynomialLength)
  }
  transformBack(sum)
  sampleSmall(others, halves + 32, u8(2 * k))
  add(sum, others)
  decode(message, 1, others)
  decompress(others, 1)
  add(sum, others)
  compress(sum, secondBits())
  encode(sum, secondBits(), target + k * 32 * firstBits())
}

/** K-PKE.Decrypt (15). */
function decrypt(): void {
  memory.fill(sum, 0, polynomialLength)
  for (let i: usize = 0; i < k; i++) {
    decode(ciphertext + i * 32 * firstBits(), firstBits(), others)
    decompress(others, firstBits())
    transform(others)
    decode(secretKey + i * encodedLength, 12, secrets)
    addProduct(others, secrets)
  }
  transformBack(sum)
  decode(ciphertext + k * 32 * firstBits(), secondBits(), others)
  decompress(others, secondBits())
  for (let i: usize = 0; i < polynomialLength; i += 2) {
    store<u16>(sum + i, u16(subtract(load<u16>(others + i), load<u16>(sum + i))))
  }
  compress(sum, 1)
  encode(sum, 1, decrypted)
}

// ---- numbers modulo q ----

/** For 0 <= x < 2^24. */
function reduce(x: i32): i32 {
  // 2^24 / q, rounded down: at most one q is left too much.
  return below(x - i32((i64(x) * 5039) >> 24) * q)
}

/** For 0 <= x < 2q. */
function below(x: i32): i32 {
  const rest = x - q
  return rest + ((rest >> 31) & q)
}

function subtract(a: i32, b: i32): i32 {
  return below(a - b + q)
}

function add(target: usize, other: usize): void {
  for (let i: usize = 0; i < polynomialLength; i += 2) {
    store<u16>(target + i, u16(below(i32(load<u16>(target + i)) + i32(load<u16>(other + i)))))
  }
}

/** 2^40 / q, rounded up: exact for what is divided here. */
const inverse: u64 = 330282857

/** §4.2.1. */
function compress(at: usize, bits: i32): void {
  for (let i: usize = 0; i < polynomialLength; i += 2) {
    const scaled = (u64(load<u16>(at + i)) << bits) + 1664
    store<u16>(at + i, u16(i32((scaled * inverse) >> 40) & ((1 << bits) - 1)))
  }
}

function decompress(at: usize, bits: i32): void {
  for (let i: usize = 0; i < polynomialLength; i += 2) {
    store<u16>(at + i, u16((i32(load<u16>(at + i)) * q + (1 << (bits - 1))) >> bits))
  }
}

/** ByteEncode (5): the lowest bits first. */
function encode(at: usize, bits: i32, target: usize): void {
  let held: u32 = 0
  let count: i32 = 0
  for (let i: usize = 0; i < polynomialLength; i += 2) {
    held |= u32(load<u16>(at + i)) << count
    for (count += bits; count >= 8; count -= 8) {
      store<u8>(target++, u8(held))
      held >>= 8
    }
  }
}

/** ByteDecode (6), without the reduction. */
function decode(at: usize, bits: i32, target: usize): void {
  let held: u32 = 0
  let count: i32 = 0
  for (let i: usize = 0; i < polynomialLength; i += 2) {
    for (; count < bits; count += 8) held |= u32(load<u8>(at++)) << count
    store<u16>(target + i, u16(held & ((1 << bits) - 1)))
    held >>= bits
    count -= bits
  }
}

// ---- samples ----

/** SampleNTT (7) of a seed that everybody knows, into `sampled`. */
function sampleUniform(from: usize, column: u8, row: u8): void {
  begin(shake128Rate)
  absorb(from, 32)
  absorbByte(column)
  absorbByte(row)
  pad(shakeSuffix)
  let filled: usize = 0
  while (filled < polynomialLength) {
    squeeze(bytes, shake128Rate)
    for (let i: usize = 0; i < usize(shake128Rate) && filled < polynomialLength; i += 3) {
      const three = i32(load<u16>(bytes + i)) | (i32(load<u8>(bytes + i, 2)) << 16)
      const first = three & 0xfff
      const second = three >> 12
      if (first < q) {
        store<u16>(sampled + filled, u16(first))
        filled += 2
      }
      if (second < q && filled < polynomialLength) {
        store<u16>(sampled + filled, u16(second))
        filled += 2
      }
    }
  }
}

/** SamplePolyCBD (8) with η = 2, of PRF. */
function sampleSmall(target: usize, from: usize, nonce: u8): void {
  begin(shake256Rate)
  absorb(from, 32)
  absorbByte(nonce)
  pad(shakeSuffix)
  squeeze(bytes, 128)
  for (let i: usize = 0; i < 128; i++) {
    const byte = i32(load<u8>(bytes + i))
    // In each pair of bits, how many are set.
    const pairs = (byte & 0x55) + ((byte >> 1) & 0x55)
    store<u16>(target + i * 4, u16(subtract(pairs & 3, (pairs >> 2) & 3)))
    store<u16>(target + i * 4, u16(subtract((pairs >> 4) & 3, pairs >> 6)), 2)
  }
}

// ---- the number-theoretic transform ----

/** NTT (9). */
function transform(at: usize): void {
  let zeta = zetas
  for (let distance: usize = 256; distance >= 4; distance >>= 1) {
    for (let start: usize = 0; start < polynomialLength; start += 2 * distance) {
      zeta += 2
      const factor = i32(load<u16>(zeta))
      for (let i = at + start; i < at + start + distance; i += 2) {
        const product = reduce(factor * i32(load<u16>(i + distance)))
        const value = i32(load<u16>(i))
        store<u16>(i + distance, u16(subtract(value, product)))
        store<u16>(i, u16(below(value + product)))
      }
    }
  }
}

/** NTT^-1 (10). */
function transformBack(at: usize): void {
  let zeta = zetas + 256
  for (let distance: usize = 4; distance <= 256; distance <<= 1) {
    for (let start: usize = 0; start < polynomialLength; start += 2 * distance) {
      zeta -= 2
      const factor = i32(load<u16>(zeta))
      for (let i = at + start; i < at + start + distance; i += 2) {
        const value = i32(load<u16>(i))
        const other = i32(load<u16>(i + distance))
        store<u16>(i, u16(below(value + other)))
        store<u16>(i + distance, u16(reduce(factor * subtract(other, value))))
      }
    }
  }
  for (let i: usize = 0; i < polynomialLength; i += 2) {
    store<u16>(at + i, u16(reduce(i32(load<u16>(at + i)) * 3303)))
  }
}

/** Adds a product of two transformed polynomials (11, 12) to `sum`. */
function addProduct(a: usize, b: usize): void {
  for (let i: usize = 0; i < polynomialLength; i += 4) {
    const a0 = i32(load<u16>(a + i))
    const a1 = i32(load<u16>(a + i, 2))
    const b0 = i32(load<u16>(b + i))
    const b1 = i32(load<u16>(b + i, 2))
    const zeta = i32(load<u16>(zetas + 128 + ((i >> 3) << 1)))
    const gamma = (i & 4) === 0 ? zeta : q - zeta
    const even = reduce(a0 * b0) + reduce(reduce(a1 * b1) * gamma)
    const odd = reduce(a0 * b1) + reduce(a1 * b0)
    store<u16>(sum + i, u16(reduce(i32(load<u16>(sum + i)) + even)))
    store<u16>(sum + i, u16(reduce(i32(load<u16>(sum + i, 2)) + odd)), 2)
  }
}
