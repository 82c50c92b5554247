import type { StreamCipher } from './aes.ts'

/** The stream cipher of RFC 4345 §4 and RFC 4253 §6.3; its first `skip` bytes are thrown away. */
export function arcfour(key: Buffer, skip: number): StreamCipher {
  const state = Uint8Array.from({ length: 256 }, (_, i) => i)
  let j = 0
  for (let i = 0; i < 256; i++) {
    const swapped = state[i]!
    j = (j + swapped + key[i % key.length]!) & 0xff
    state[i] = state[j]!
    state[j] = swapped
  }
  let x = 0
  let y = 0
  const run: StreamCipher = data => {
    const out = Buffer.allocUnsafe(data.length)
    for (let i = 0; i < data.length; i++) {
      x = (x + 1) & 0xff
      const a = state[x]!
      y = (y + a) & 0xff
      const b = state[y]!
      state[x] = b
      state[y] = a
      out[i] = data[i]! ^ state[(a + b) & 0xff]!
    }
    return out
  }
  run(new Uint8Array(skip))
  return run
}
