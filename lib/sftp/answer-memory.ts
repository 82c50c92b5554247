const slabLength = 512 * 1024

/**
 * Memory for the data of answers, used again once nothing that waits to be sent refers to it. What a client asks for may
 * be much more than a file has, and new memory for each request costs more than to read.
 */
export class AnswerMemory {
  #slab = Buffer.alloc(0)
  #used = 0

  /** Room for `length` bytes, which stays free unless `keep` is called next. */
  room(length: number): Buffer {
    if (this.#slab.length - this.#used < length) {
      this.#slab = Buffer.allocUnsafeSlow(Math.max(slabLength, length))
      this.#used = 0
    }
    return this.#slab.subarray(this.#used, this.#used + length)
  }

  /** The first `length` bytes of the room given last are in use. */
  keep(length: number): void {
    this.#used += length
  }

  /** Nobody refers to anything of it. */
  release(): void {
    this.#used = 0
  }
}
