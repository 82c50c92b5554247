/**
 * HMAC-SHA1 of one short message under very many keys: what a lookup in a hashed known_hosts file is. A call into
 * OpenSSL for each line would cost several times the four blocks that are hashed.
 */

const blockBytes = 64
const initialState: readonly number[] = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476, 0xc3d2e1f0 | 0]

const words = new Int32Array(80)

/** One step of SHA-1 (FIPS 180-4 §6.1.2) over the sixteen words at the head of `words`. */
function compress(state: Int32Array): void {
  for (let t = 16; t < 80; t++) {
    const mixed = words[t - 3]! ^ words[t - 8]! ^ words[t - 14]! ^ words[t - 16]!
    words[t] = (mixed << 1) | (mixed >>> 31)
  }
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  let e = state[4]!
  // Four loops, one for each function, because a branch inside one loop is what costs here.
  for (let t = 0; t < 20; t++) {
    const next = (((a << 5) | (a >>> 27)) + (d ^ (b & (c ^ d))) + 0x5a827999 + e + words[t]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let t = 20; t < 40; t++) {
    const next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) + 0x6ed9eba1 + e + words[t]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let t = 40; t < 60; t++) {
    const next = (((a << 5) | (a >>> 27)) + ((b & c) | (d & (b | c))) - 0x70e44324 + e + words[t]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  for (let t = 60; t < 80; t++) {
    const next = (((a << 5) | (a >>> 27)) + (b ^ c ^ d) - 0x359d3e2a + e + words[t]!) | 0
    e = d
    d = c
    c = (b << 30) | (b >>> 2)
    b = a
    a = next
  }
  state[0] = (state[0]! + a) | 0
  state[1] = (state[1]! + b) | 0
  state[2] = (state[2]! + c) | 0
  state[3] = (state[3]! + d) | 0
  state[4] = (state[4]! + e) | 0
}

/** The words of the last blocks of an inner or outer hash of HMAC: `bytes`, a one bit, zeros, and the length in bits with one key block before it. */
export function sha1Words(bytes: Uint8Array): Int32Array {
  const padded = Buffer.alloc(Math.ceil((bytes.length + 9) / blockBytes) * blockBytes)
  padded.set(bytes)
  padded[bytes.length] = 0x80
  padded.writeUInt32BE((blockBytes + bytes.length) * 8, padded.length - 4)
  return Int32Array.from({ length: padded.length / 4 }, (_, i) => padded.readInt32BE(i * 4))
}

/**
 * Prepares the HMAC of `message`. The result takes a key of at most 64 bytes whose length is a multiple of 4, and writes
 * 20 bytes into `digest`.
 */
export function shortHmacSha1(message: Uint8Array): (key: Buffer, digest: Buffer) => void {
  const text = sha1Words(message)
  const state = new Int32Array(5)
  const inner = new Int32Array(5)
  const tail = sha1Words(new Uint8Array(20))
  const keyBlock = (key: Buffer, mask: number): void => {
    state.set(initialState)
    for (let i = 0; i < 16; i++) words[i] = (i * 4 < key.length ? key.readInt32BE(i * 4) : 0) ^ mask
    compress(state)
  }
  return (key, digest) => {
    keyBlock(key, 0x36363636)
    for (let at = 0; at < text.length; at += 16) {
      for (let i = 0; i < 16; i++) words[i] = text[at + i]!
      compress(state)
    }
    inner.set(state)
    keyBlock(key, 0x5c5c5c5c)
    for (let i = 0; i < 16; i++) words[i] = i < 5 ? inner[i]! : tail[i]!
    compress(state)
    for (let i = 0; i < 5; i++) digest.writeInt32BE(state[i]!, i * 4)
  }
}
