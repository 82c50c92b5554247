/** Pieces up to this size are copied together, so that many tiny packets cost no more memory than their bytes. */
const smallPiece = 1024
const slabSize = 16 * 1024

export interface HeldPiece {
  /** Type of extended data; 0 for plain data. */
  readonly type: number
  data: Buffer
}

/**
 * Data of a channel that waits for its reader, in order. It is bounded by the channel's window, since nobody says
 * `consumed` for what is held.
 */
export class HeldData {
  readonly #pieces: HeldPiece[] = []
  /** The last piece's memory, while it is ours and has room. */
  #slab: { readonly buffer: Buffer; start: number; end: number } | undefined

  get isEmpty(): boolean {
    return this.#pieces.length === 0
  }

  push(type: number, data: Buffer): void {
    if (data.length > smallPiece) {
      this.#slab = undefined
      this.#pieces.push({ type, data })
      return
    }
    const last = this.#pieces.at(-1)
    let slab = this.#slab
    if (!slab || slab.end + data.length > slabSize) {
      slab = this.#slab = { buffer: Buffer.allocUnsafeSlow(slabSize), start: 0, end: 0 }
    } else if (last?.type === type) {
      data.copy(slab.buffer, slab.end)
      slab.end += data.length
      last.data = slab.buffer.subarray(slab.start, slab.end)
      return
    }
    slab.start = slab.end
    data.copy(slab.buffer, slab.end)
    slab.end += data.length
    this.#pieces.push({ type, data: slab.buffer.subarray(slab.start, slab.end) })
  }

  shift(): HeldPiece | undefined {
    const piece = this.#pieces.shift()
    if (this.#pieces.length === 0) this.#slab = undefined
    return piece
  }
}
