/**
 * The hash inside bcrypt_pbkdf: Blowfish whose key schedule is made slow on purpose (eksblowfish). Each of its rounds waits
 * for the tables' answer to the one before, hence two hashes under one passphrase are made at a time: the processor has
 * the time for the second one.
 */

const subkeys: usize = 18
const words: usize = subkeys + 4 * 256
const stateLength = words * 4
/** Times that salt and passphrase go through the key schedule, and that the text is encrypted. */
const cost = 64

/** Blowfish's tables before any key, as native words: given once. */
export const initial = memory.data(4168, 16)
/** SHA-512 of the passphrase and of the salts, as native words. */
export const passphrase = memory.data(64, 16)
export const salts = memory.data(128, 16)
/** The texts that are encrypted, eight native words each: given for each call, and the results. */
export const texts = memory.data(64, 16)

const stateA = memory.data(4168, 16)
const stateB = memory.data(4168, 16)
const fence = memory.data(16, 16)
const boxesA = stateA + subkeys * 4
const boxesB = stateB + subkeys * 4

/** The boxes' places are immediate offsets, so that no addition is left for them. */
function mixA(x: u32): u32 {
  const a = load<u32>((x >> 22) & 0x3fc, boxesA)
  const b = load<u32>((x >> 14) & 0x3fc, boxesA + 1024)
  const c = load<u32>((x >> 6) & 0x3fc, boxesA + 2048)
  const d = load<u32>((x << 2) & 0x3fc, boxesA + 3072)
  return ((a + b) ^ c) + d
}

function mixB(x: u32): u32 {
  const a = load<u32>((x >> 22) & 0x3fc, boxesB)
  const b = load<u32>((x >> 14) & 0x3fc, boxesB + 1024)
  const c = load<u32>((x >> 6) & 0x3fc, boxesB + 2048)
  const d = load<u32>((x << 2) & 0x3fc, boxesB + 3072)
  return ((a + b) ^ c) + d
}

/** The blocks that are encrypted: halves of the one under state A, and of the one under state B. */
let leftA: u32 = 0
let rightA: u32 = 0
let leftB: u32 = 0
let rightB: u32 = 0

/**
 * Keeps the two hashes side by side: the compiler delays what the second one calculates until that is needed, after all
 * rounds of the first, but takes no load past a store. (That made it 1.6 times slower.)
 */
function keepPace(value: u32): void {
  store<u32>(0, value, fence)
}

function encipher(): void {
  let a = leftA ^ load<u32>(0, stateA)
  let b = leftB ^ load<u32>(0, stateB)
  let x = rightA
  let y = rightB
  x ^= mixA(a) ^ load<u32>(0, stateA + 4)
  y ^= mixB(b) ^ load<u32>(0, stateB + 4)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 8)
  b ^= mixB(y) ^ load<u32>(0, stateB + 8)
  keepPace(b)
  x ^= mixA(a) ^ load<u32>(0, stateA + 12)
  y ^= mixB(b) ^ load<u32>(0, stateB + 12)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 16)
  b ^= mixB(y) ^ load<u32>(0, stateB + 16)
  keepPace(b)
  x ^= mixA(a) ^ load<u32>(0, stateA + 20)
  y ^= mixB(b) ^ load<u32>(0, stateB + 20)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 24)
  b ^= mixB(y) ^ load<u32>(0, stateB + 24)
  keepPace(b)
  x ^= mixA(a) ^ load<u32>(0, stateA + 28)
  y ^= mixB(b) ^ load<u32>(0, stateB + 28)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 32)
  b ^= mixB(y) ^ load<u32>(0, stateB + 32)
  keepPace(b)
  x ^= mixA(a) ^ load<u32>(0, stateA + 36)
  y ^= mixB(b) ^ load<u32>(0, stateB + 36)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 40)
  b ^= mixB(y) ^ load<u32>(0, stateB + 40)
  keepPace(b)
  x ^= mixA(a) ^ load<u32>(0, stateA + 44)
  y ^= mixB(b) ^ load<u32>(0, stateB + 44)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 48)
  b ^= mixB(y) ^ load<u32>(0, stateB + 48)
  keepPace(b)
  x ^= mixA(a) ^ load<u32>(0, stateA + 52)
  y ^= mixB(b) ^ load<u32>(0, stateB + 52)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 56)
  b ^= mixB(y) ^ load<u32>(0, stateB + 56)
  keepPace(b)
  x ^= mixA(a) ^ load<u32>(0, stateA + 60)
  y ^= mixB(b) ^ load<u32>(0, stateB + 60)
  keepPace(y)
  a ^= mixA(x) ^ load<u32>(0, stateA + 64)
  b ^= mixB(y) ^ load<u32>(0, stateB + 64)
  keepPace(b)
  leftA = x ^ load<u32>(0, stateA + 68)
  leftB = y ^ load<u32>(0, stateB + 68)
  rightA = a
  rightB = b
}

function mixIn(state: usize, key: usize): void {
  for (let i: usize = 0; i < subkeys; i++) {
    const at = state + i * 4
    store<u32>(at, load<u32>(at) ^ load<u32>(key + (i & 15) * 4))
  }
}

function keep(at: usize): void {
  store<u32>(at, leftA, stateA)
  store<u32>(at, rightA, stateA + 4)
  store<u32>(at, leftB, stateB)
  store<u32>(at, rightB, stateB + 4)
}

function clearBlocks(): void {
  leftA = 0
  rightA = 0
  leftB = 0
  rightB = 0
}

function expand(keyA: usize, keyB: usize): void {
  mixIn(stateA, keyA)
  mixIn(stateB, keyB)
  clearBlocks()
  for (let at: usize = 0; at < stateLength; at += 8) {
    encipher()
    keep(at)
  }
}

function expandWithSalts(): void {
  mixIn(stateA, passphrase)
  mixIn(stateB, passphrase)
  clearBlocks()
  let from: usize = 0
  for (let at: usize = 0; at < stateLength; at += 8) {
    leftA ^= load<u32>(from, salts)
    rightA ^= load<u32>(from, salts + 4)
    leftB ^= load<u32>(from, salts + 64)
    rightB ^= load<u32>(from, salts + 68)
    encipher()
    keep(at)
    from = (from + 8) & 63
  }
}

function encryptText(at: usize): void {
  leftA = load<u32>(at, texts)
  rightA = load<u32>(at, texts + 4)
  leftB = load<u32>(at, texts + 32)
  rightB = load<u32>(at, texts + 36)
  for (let i = 0; i < cost; i++) encipher()
  store<u32>(at, leftA, texts)
  store<u32>(at, rightA, texts + 4)
  store<u32>(at, leftB, texts + 32)
  store<u32>(at, rightB, texts + 36)
}

/** Replaces both texts by their hashes, each under its salt. */
export function hash(): void {
  memory.copy(stateA, initial, stateLength)
  memory.copy(stateB, initial, stateLength)
  expandWithSalts()
  for (let i = 0; i < cost; i++) {
    expand(salts, salts + 64)
    expand(passphrase, passphrase)
  }
  for (let at: usize = 0; at < 32; at += 8) encryptText(at)
}

/** Forgets what `hash` was given and made. */
export function wipe(): void {
  memory.fill(stateA, 0, stateLength)
  memory.fill(stateB, 0, stateLength)
  memory.fill(passphrase, 0, 64)
  memory.fill(salts, 0, 128)
  memory.fill(texts, 0, 64)
  memory.fill(fence, 0, 16)
  clearBlocks()
}
