import type { Block } from './block-cipher.ts'
import { toWords } from './blowfish.ts'

/** SEED's two S-boxes (RFC 4269 §2.2). */
const firstBox =
  'qYXW01QdrCVdQxgeUfzKYyhEIJ3g4sgXpY8De7sT0u5wjD+oMt32dOyVC1dcW70BJBxzmBDM8tks53KDm9GGyWBQo+sNtp5Pt1rGeKYSr9Vhw7RBUn2NCB+ZABkEU/fh/XYvJ7CLDquibpNNaXwJCr/v88WHFP5k3i5LGgYha2YC9ZKKDLN+0HpHluUmgK3foTA3rjYVIjj0p0VMgemElzXLzjxxEceJdfva+JRZgsT/STlnwM/XuA+OQiORbNukNPFIwm89LUC+PrzBqrpOVTvcaH+c2EpWd6DtRrUrZfrjubGfXvnmsjHqbV/k8M2IFjpY1GIpBzPoGwV5kGoqmg=='
const secondBox =
  'OOgtps/es7ivYFXHRG9rW8NiM7UpoOKn05ERBhy8NkvviGyoF8QW9MJF4dY/PY6YKE72PqX5Dd/YK2Z6Jy/xckLUQcBzZ6yL962AH8osqjTSC+7pXZQY+FeuCMUTzYa5/33BMfWKarHRINcCIgRocQfbnZlhvuZZ3VGQ3Jqjq9CBD0ca4+yNv5Z7XKKhYyNNyJ6cOgwuum6fWvKS80l4zBX7cHV/NRADZG3GdNW06gl2Gf5AEuC9BfoB8CpeqVZDhRSJm7DlSHmX/B6CIYwbX3dUsh0lTwBG7VhS637ayf0wlWU8tuS7fA5QOSYyhGmTN+ckpMtTCofZTIOPzjtKtw=='

const rounds = 16
const goldenRatio = 0x9e3779b9
/** m0 to m3 of the G function. */
const masks = [0xfc, 0xf3, 0xcf, 0x3f] as const

/** G as four tables of words, one for each byte of its input, lowest first. */
let tables: readonly Uint32Array[] | undefined

function buildTables(): readonly Uint32Array[] {
  const boxes = [Buffer.from(firstBox, 'base64'), Buffer.from(secondBox, 'base64')] as const
  return [0, 1, 2, 3].map(byte =>
    Uint32Array.from({ length: 256 }, (_, x) => {
      const value = boxes[byte % 2]![x]!
      let word = 0
      for (let out = 0; out < 4; out++) word |= (value & masks[(byte + out) % 4]!) << (8 * out)
      return word >>> 0
    }),
  )
}

const rotate = (x: number, by: number): number => (by === 0 ? x : (x << by) | (x >>> (32 - by)))

/** SEED (RFC 4269) with a key of 16 bytes. */
export class Seed implements Block {
  readonly words = 4
  private readonly tables: readonly Uint32Array[]
  /** Two words for each round. */
  private readonly subkeys = new Uint32Array(2 * rounds)

  constructor(key: Buffer) {
    tables ??= buildTables()
    this.tables = tables
    let [a, b, c, d] = toWords(key) as unknown as [number, number, number, number]
    for (let i = 0; i < rounds; i++) {
      const constant = rotate(goldenRatio, i)
      this.subkeys[2 * i] = this.g(a + c - constant)
      this.subkeys[2 * i + 1] = this.g(b - d + constant)
      // The halves take turns: one byte to the right, or to the left.
      if (i % 2 === 0) [a, b] = [(a >>> 8) | (b << 24), (b >>> 8) | (a << 24)]
      else [c, d] = [(c << 8) | (d >>> 24), (d << 8) | (c >>> 24)]
    }
  }

  encrypt(block: Uint32Array): void {
    this.run(block, i => i)
  }

  decrypt(block: Uint32Array): void {
    this.run(block, i => rounds - 1 - i)
  }

  private run(block: Uint32Array, subkeyOf: (round: number) => number): void {
    let [l0, l1, r0, r1] = block as unknown as [number, number, number, number]
    for (let i = 0; i < rounds; i++) {
      const key = 2 * subkeyOf(i)
      // F (§2.1).
      const c = r0 ^ this.subkeys[key]!
      let d = r1 ^ this.subkeys[key + 1]!
      d = this.g(c ^ d)
      let e = this.g(d + c)
      d = this.g(e + d)
      e = (e + d) | 0
      const [n0, n1] = [l0 ^ e, l1 ^ d]
      l0 = r0
      l1 = r1
      r0 = n0
      r1 = n1
    }
    block[0] = r0
    block[1] = r1
    block[2] = l0
    block[3] = l1
  }

  private g(x: number): number {
    const [t0, t1, t2, t3] = this.tables as [Uint32Array, Uint32Array, Uint32Array, Uint32Array]
    return t0[x & 0xff]! ^ t1[(x >>> 8) & 0xff]! ^ t2[(x >>> 16) & 0xff]! ^ t3[(x >>> 24) & 0xff]!
  }
}
