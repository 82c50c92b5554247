import { Duplex, type Readable, type Writable } from 'node:stream'

/**
 * Two one-way streams as one: stdin and stdout of this process, or stdout and stdin of a child. Back pressure goes
 * through in both directions; the end of the reading half does not end the writing one.
 */
export class JoinedStream extends Duplex {
  readonly #readable: Readable
  readonly #writable: Writable
  readonly #onDestroy: () => void

  constructor(readable: Readable, writable: Writable, onDestroy: () => void = () => {}) {
    super({ allowHalfOpen: true })
    this.#readable = readable
    this.#writable = writable
    this.#onDestroy = onDestroy
    readable.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) readable.pause()
    })
    readable.on('end', () => this.push(null))
    readable.on('error', error => this.destroy(error))
    // A program that reads no more may still have something to say: its end is what counts.
    writable.on('error', () => {})
    readable.pause()
  }

  override _read(): void {
    this.#readable.resume()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (this.#writable.destroyed || this.#writable.write(chunk)) callback()
    else {
      const done = (): void => {
        this.#writable.off('drain', done).off('close', done)
        callback()
      }
      this.#writable.on('drain', done).on('close', done)
    }
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#writable.end()
    callback()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#readable.destroy()
    this.#writable.destroy()
    this.#onDestroy()
    callback(error)
  }
}
