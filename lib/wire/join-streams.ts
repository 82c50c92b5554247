import type { ByteStream, ByteStreamSink } from './byte-stream.ts'

/**
 * Passes on what comes from either stream to the other, no faster than that takes it, half-closes included. `throttle` is
 * asked for each piece that goes from `a` to `b`.
 */
export function joinStreams(
  a: ByteStream,
  b: ByteStream,
  throttle?: (bytes: number) => Promise<void> | undefined,
): void {
  const there = new Passage(a, b, throttle)
  const back = new Passage(b, a)
  a.sink = there.sink(back)
  b.sink = back.sink(there)
}

/** One direction. */
class Passage {
  readonly #from: ByteStream
  readonly #to: ByteStream
  readonly #throttle: ((bytes: number) => Promise<void> | undefined) | undefined
  /** Bytes that were written and wait for the other side to be writable. */
  #held = 0
  #state: 'open' | 'abandoned' = 'open'
  /** Pieces wait in turn, the end after them. */
  #turn: Promise<void> | undefined

  constructor(from: ByteStream, to: ByteStream, throttle?: (bytes: number) => Promise<void> | undefined) {
    this.#from = from
    this.#to = to
    this.#throttle = throttle
  }

  /** What the source tells; the way back learns from it that the source takes data again. */
  sink(back: Passage): ByteStreamSink {
    return {
      data: data => this.#inTurn(() => this.#pass(data), this.#throttle?.(data.length)),
      eof: () => this.#inTurn(() => this.#to.eof()),
      closed: error => {
        back.#abandon()
        // The other side may still have its last words, such as an exit status.
        this.#inTurn(() => (error ? this.#to.close() : this.#to.eof()))
      },
      writable: () => back.#release(),
    }
  }

  #inTurn(action: () => void, wait?: Promise<void>): void {
    if (!wait && !this.#turn) {
      action()
      return
    }
    const turn = Promise.all([this.#turn, wait]).then(() => {
      if (this.#turn === turn) this.#turn = undefined
      action()
    })
    this.#turn = turn
  }

  #pass(data: Buffer): void {
    if (this.#state === 'abandoned' || this.#to.write(data)) this.#from.consumed(data.length)
    else this.#held += data.length
  }

  /** Nobody takes this any more: what comes is dropped. */
  #abandon(): void {
    this.#state = 'abandoned'
    this.#release()
  }

  #release(): void {
    const count = this.#held
    this.#held = 0
    if (count > 0) this.#from.consumed(count)
  }
}
