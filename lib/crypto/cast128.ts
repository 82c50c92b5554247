import type { Block } from './block-cipher.ts'
import { toWords } from './blowfish.ts'
import { cast128Boxes } from './cast128-boxes.ts'

let boxes: Uint32Array | undefined

/** S5 to S8 and the byte of the key that each is asked for, XORed: `places` are of boxes in this order. */
type Lookup = readonly [box: 5 | 6 | 7 | 8, place: number]

/** How 16 bytes become the next 16 (RFC 2144 §2.4): per word the old word, then five lookups; the first four in the new bytes. */
interface Mixing {
  readonly word: number
  readonly old: number
  readonly fresh: readonly Lookup[]
  readonly last: Lookup
}

/** From x to z. The first word has no fresh bytes yet: its lookups are all of x. */
const forward: readonly Mixing[] = [
  { word: 0, old: 0, fresh: [], last: [7, 8] },
  { word: 1, old: 2, fresh: order(0, 2, 1, 3), last: [8, 10] },
  { word: 2, old: 3, fresh: order(7, 6, 5, 4), last: [5, 9] },
  { word: 3, old: 1, fresh: order(10, 9, 11, 8), last: [6, 11] },
]
const forwardFirst = order(13, 15, 12, 14)

/** From z back to x. */
const backward: readonly Mixing[] = [
  { word: 0, old: 2, fresh: [], last: [7, 0] },
  { word: 1, old: 0, fresh: order(0, 2, 1, 3), last: [8, 2] },
  { word: 2, old: 1, fresh: order(7, 6, 5, 4), last: [5, 1] },
  { word: 3, old: 3, fresh: order(10, 9, 11, 8), last: [6, 3] },
]
const backwardFirst = order(5, 7, 4, 6)

function order(...places: readonly number[]): readonly Lookup[] {
  return places.map((place, i): Lookup => [(5 + i) as Lookup[0], place])
}

/** Four subkeys from z or x: five places each, for S5 to S8 and then the box of the subkey's own number. */
const subkeyPlaces: readonly (readonly (readonly number[])[])[] = [
  [
    [8, 9, 7, 6, 2],
    [10, 11, 5, 4, 6],
    [12, 13, 3, 2, 9],
    [14, 15, 1, 0, 12],
  ],
  [
    [3, 2, 12, 13, 8],
    [1, 0, 14, 15, 13],
    [7, 6, 8, 9, 3],
    [5, 4, 10, 11, 7],
  ],
  [
    [3, 2, 12, 13, 9],
    [1, 0, 14, 15, 12],
    [7, 6, 8, 9, 2],
    [5, 4, 10, 11, 6],
  ],
  [
    [8, 9, 7, 6, 3],
    [10, 11, 5, 4, 7],
    [12, 13, 3, 2, 8],
    [14, 15, 1, 0, 13],
  ],
]

/** CAST-128 (RFC 2144) with a key of 16 bytes. */
export class Cast128 implements Block {
  readonly words = 2
  private readonly s: Uint32Array
  private readonly masking: Uint32Array
  private readonly rotation: Uint32Array

  constructor(key: Buffer) {
    boxes ??= toWords(Buffer.from(cast128Boxes, 'base64'))
    this.s = boxes
    const subkeys = this.schedule(key)
    this.masking = subkeys.subarray(0, 16)
    this.rotation = subkeys.subarray(16).map(word => word & 31)
  }

  encrypt(block: Uint32Array): void {
    let left = block[0]!
    let right = block[1]!
    for (let round = 0; round < 16; round++) {
      const next = left ^ this.round(right, round)
      left = right
      right = next
    }
    block[0] = right
    block[1] = left
  }

  decrypt(block: Uint32Array): void {
    let left = block[0]!
    let right = block[1]!
    for (let round = 15; round >= 0; round--) {
      const next = left ^ this.round(right, round)
      left = right
      right = next
    }
    block[0] = right
    block[1] = left
  }

  /** Three kinds of rounds take turns (§2.2). */
  private round(data: number, round: number): number {
    const { s } = this
    const mask = this.masking[round]!
    const by = this.rotation[round]!
    const kind = round % 3
    const mixed = kind === 0 ? mask + data : kind === 1 ? mask ^ data : mask - data
    const i = (mixed << by) | ((mixed >>> 0) >>> (32 - by))
    const word = by === 0 ? mixed : i
    const a = s[(word >>> 24) & 0xff]!
    const b = s[256 + ((word >>> 16) & 0xff)]!
    const c = s[512 + ((word >>> 8) & 0xff)]!
    const d = s[768 + (word & 0xff)]!
    if (kind === 0) return ((a ^ b) - c + d) | 0
    if (kind === 1) return ((a - b + c) | 0) ^ d
    return (((a + b) | 0) ^ c) - d
  }

  private schedule(key: Buffer): Uint32Array {
    const subkeys = new Uint32Array(32)
    let x = Buffer.from(key)
    for (let half = 0; half < 2; half++) {
      for (const [quarter, places] of subkeyPlaces.entries()) {
        x = quarter % 2 === 0 ? this.mix(x, forward, forwardFirst) : this.mix(x, backward, backwardFirst)
        for (const [i, own] of places.entries()) {
          const lookups = [...order(...own.slice(0, 4)), [5 + i, own[4]!] as unknown as Lookup]
          subkeys[half * 16 + quarter * 4 + i] = this.lookUp(x, lookups)
        }
      }
    }
    return subkeys
  }

  private mix(from: Buffer, mixings: readonly Mixing[], first: readonly Lookup[]): Buffer<ArrayBuffer> {
    const to = Buffer.alloc(16)
    for (const { word, old, fresh, last } of mixings) {
      const mixed = word === 0 ? this.lookUp(from, first) : this.lookUp(to, fresh)
      to.writeUInt32BE((from.readUInt32BE(old * 4) ^ mixed ^ this.lookUp(from, [last])) >>> 0, word * 4)
    }
    return to
  }

  private lookUp(bytes: Buffer, lookups: readonly Lookup[]): number {
    let result = 0
    for (const [box, place] of lookups) result ^= this.s[(box - 1) * 256 + bytes[place]!]!
    return result
  }
}
