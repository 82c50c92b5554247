/** Bytes that are asked of the system at once: few enough that a piece which is kept does not keep much with it. */
const slabLength = 256 * 1024

let slab = Buffer.alloc(0)
let used = 0

/** New memory of any content that nobody else writes to, cut from larger pieces: to ask for each costs more than a packet. */
export function room(length: number): Buffer {
  if (length > slabLength / 2) return Buffer.allocUnsafeSlow(length)
  if (used + length > slab.length) {
    slab = Buffer.allocUnsafeSlow(slabLength)
    used = 0
  }
  const start = used
  used += length
  return slab.subarray(start, used)
}
