/** Below it, pieces are cut from Node's pool: many of these are kept, or never given back, which would hold a whole slab. */
const smallest = 1024

/** Bytes that are asked of the system at once: few enough that a piece which is kept does not keep much with it. */
const slabLength = 272 * 1024

/** Slabs that may be used again; what was cut from an older one is not looked for. No WeakMap: V8 frees its keys late. */
const mostKnown = 16

interface Slab {
  readonly memory: Buffer
  /** The same, as to ask a Buffer for it takes a while. */
  readonly buffer: ArrayBufferLike
  used: number
  /** Pieces that were not given back. */
  pieces: number
}

const known: Slab[] = []
let slab: Slab | undefined
let givenBack = 0

/** How many bytes have come back so far, in all. */
export const bytesGivenBack = (): number => givenBack

function nextSlab(): Slab {
  const free = known.find(({ pieces }) => pieces === 0)
  if (free) return free
  const memory = Buffer.allocUnsafeSlow(slabLength)
  const made = { memory, buffer: memory.buffer, used: 0, pieces: 0 }
  known.push(made)
  if (known.length > mostKnown) known.shift()
  return made
}

/** New memory of any content that nobody else writes to, cut from larger pieces: to ask for each costs more than a packet. */
export function room(length: number): Buffer {
  if (length < smallest) return Buffer.allocUnsafe(length)
  if (length > slabLength / 2) return Buffer.allocUnsafeSlow(length)
  if (!slab || slab.used + length > slabLength) slab = nextSlab()
  const start = slab.used
  slab.used += length
  slab.pieces++
  return slab.memory.subarray(start, slab.used)
}

/**
 * For who got a piece from `room`, or a view of one, and whom alone it reached: nothing refers to it any more. Memory that
 * is used again is still in the processor's cache. Nobody has to; never twice for one piece. Other memory is left alone.
 *
 * @returns whether it will be used again
 */
export function giveBack(piece: Buffer): boolean {
  const { buffer } = piece
  const own = slab?.buffer === buffer ? slab : known.find(own => own.buffer === buffer)
  if (!own) return false
  givenBack += piece.length
  if (--own.pieces === 0) own.used = 0
  return true
}
