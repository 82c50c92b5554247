import { KeyError } from '../errors.ts'

/** An inclusive range of serial numbers. */
export interface SerialRange {
  readonly first: bigint
  readonly last: bigint
}

/** Most ranges of one set (64 MiB): what a list of revoked certificates may make us hold. */
const rangeLimit = 1 << 22

/** Serial numbers of certificates, from 1 up, held as ranges that do not touch. */
export class SerialSet {
  /** First and last by turns. */
  #ranges = new BigUint64Array(16)
  #count = 0
  /** Whether the ranges are in order and apart; ranges that come in order, as they do from files, keep it so. */
  #tidy = true

  /** @throws KeyError `malformed` for an empty range and for 0, which certificates without a number have */
  add(first: bigint, last: bigint = first): void {
    if (first > last || first === 0n) throw new KeyError('malformed', 'bad range of certificate serial numbers')
    if (this.#count > 0) {
      const at = 2 * (this.#count - 1)
      const [before, end] = [this.#ranges[at]!, this.#ranges[at + 1]!]
      if (first >= before && first <= end + 1n) {
        if (last > end) this.#ranges[at + 1] = last
        return
      }
      if (first < before) this.#tidy = false
    }
    if (this.#count >= rangeLimit) throw new KeyError('unsupported', 'too many certificate serial numbers')
    if (2 * this.#count === this.#ranges.length) {
      const grown = new BigUint64Array(this.#ranges.length * 2)
      grown.set(this.#ranges)
      this.#ranges = grown
    }
    this.#ranges[2 * this.#count] = first
    this.#ranges[2 * this.#count + 1] = last
    this.#count++
  }

  has(serial: bigint): boolean {
    this.#tidyUp()
    let [low, high] = [0, this.#count]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#ranges[2 * middle + 1]! < serial) low = middle + 1
      else high = middle
    }
    return low < this.#count && this.#ranges[2 * low]! <= serial
  }

  /** In order, none touching another. */
  *ranges(): Generator<SerialRange> {
    this.#tidyUp()
    for (let at = 0; at < 2 * this.#count; at += 2) {
      yield { first: this.#ranges[at]!, last: this.#ranges[at + 1]! }
    }
  }

  #tidyUp(): void {
    if (this.#tidy) return
    const old = this.#ranges
    const order = Uint32Array.from({ length: this.#count }, (_, i) => i)
    order.sort((a, b) => (old[2 * a]! < old[2 * b]! ? -1 : 1))
    this.#ranges = new BigUint64Array(old.length)
    this.#count = 0
    this.#tidy = true
    for (const i of order) this.add(old[2 * i]!, old[2 * i + 1]!)
  }
}
