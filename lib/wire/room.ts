/** Bytes that are asked of the system at once: few enough that a piece which is kept does not keep much with it. */
const slabLength = 256 * 1024

/** Slabs that wait to be used again. */
const mostFree = 8

interface Slab {
  readonly memory: Buffer
  used: number
  /** Pieces that were not given back. */
  pieces: number
}

const slabs = new WeakMap<ArrayBufferLike, Slab>()
const free: Slab[] = []
let slab: Slab | undefined

function newSlab(): Slab {
  const made = { memory: Buffer.allocUnsafeSlow(slabLength), used: 0, pieces: 0 }
  slabs.set(made.memory.buffer, made)
  return made
}

/** New memory of any content that nobody else writes to, cut from larger pieces: to ask for each costs more than a packet. */
export function room(length: number): Buffer {
  if (length > slabLength / 2) return Buffer.allocUnsafeSlow(length)
  if (!slab || slab.used + length > slabLength) slab = free.pop() ?? newSlab()
  const start = slab.used
  slab.used += length
  slab.pieces++
  return slab.memory.subarray(start, slab.used)
}

/**
 * For who got a piece from `room`, or a view of one, and whom alone it reached: nothing refers to it any more. Memory that
 * is used again is still in the processor's cache. Nobody has to; never twice for one piece. Other memory is left alone.
 */
export function giveBack(piece: Buffer): void {
  const own = slabs.get(piece.buffer)
  if (!own || --own.pieces > 0) return
  own.used = 0
  if (own !== slab && free.length < mostFree) free.push(own)
}
