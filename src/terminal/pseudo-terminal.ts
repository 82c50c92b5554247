import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import { type ForkOptions, forkPty, resizePty } from '../native/fork-pty.ts'
import { type ReadingOptions, readMemory } from '../net/large-reads.ts'

/** What a program on a terminal tells. */
export interface PseudoTerminalEvents {
  /** Memory that is used again afterwards. @returns false to hear no more until `resume` is called */
  output(data: Buffer): boolean
  /** All output was delivered; `signal` is 0 for a program that ended by itself. */
  ended(status: number, signal: number): void
}

/** How long to wait before a terminal whose input queue is full is tried again, in milliseconds. */
const inputRetryDelay = 10

/** Bytes that are passed on at once. */
const pieceLength = 64 * 1024

/** Bytes of a read after which there is probably more: a terminal of Linux gives 4095 at once, an echo is shorter. */
const longRead = 2048

/** A program on a pseudo-terminal of its own, whose session it leads. */
export class PseudoTerminal {
  readonly pid: number
  readonly #master: number
  readonly #slave: number
  readonly #stream: ReadStream
  readonly #events: PseudoTerminalEvents
  readonly #memory = readMemory(pieceLength)
  #end: readonly [status: number, signal: number] | undefined
  #finished = false

  /** @throws Error when the system has no terminal or no process left */
  constructor(words: readonly [string, ...string[]], options: ForkOptions, events: PseudoTerminalEvents) {
    const { pid, master, slavePath } = forkPty(words, options, (...end) => {
      this.#end = end
      this.#stream.pause()
      this.#finish()
    })
    this.pid = pid
    this.#master = master
    // Held until the program ends, so that the master has no end before: not every program that closes its terminal is done.
    this.#slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY)
    this.#events = events
    const callback = (count: number): boolean =>
      events.output(this.#memory.subarray(0, readOn(master, this.#memory, count)))
    const reading: ReadingOptions = { readable: true, onread: { buffer: this.#memory, callback } }
    this.#stream = new ReadStream(master, reading)
    // After a hang-up, a terminal that is read fails with EIO.
    this.#stream.on('error', () => {})
    this.#stream.resume()
  }

  get ended(): boolean {
    return this.#end !== undefined
  }

  /** Types; `taken` is called once the terminal has it all, or nobody can read it any more. */
  write(data: Buffer, taken: () => void): void {
    const written = this.#stream.destroyed ? data.length : writeSome(this.#master, data)
    if (written === data.length) taken()
    else setTimeout(() => this.write(data.subarray(written), taken), inputRetryDelay)
  }

  resume(): void {
    if (this.#end) this.#finish()
    else this.#stream.resume()
  }

  resize(columns: number, rows: number): void {
    if (!this.#stream.destroyed) resizePty(this.#master, columns, rows)
  }

  /** Closes the terminal: whoever still uses it is hung up. */
  close(): void {
    this.#stream.destroy()
    this.#finish()
  }

  /**
   * Delivers what the terminal held when its program ended, as fast as it is taken. Not what a program that was left in the
   * background may still write: that one has no say in when a session ends (as in sshd).
   */
  #finish(): void {
    if (!this.#end || this.#finished) return
    while (!this.#stream.destroyed) {
      const count = readOn(this.#master, this.#memory, 0)
      if (count === 0) break
      if (!this.#events.output(this.#memory.subarray(0, count))) return
    }
    this.#finished = true
    this.#stream.destroy()
    closeSync(this.#slave)
    this.#events.ended(...this.#end)
  }
}

/** Writes what the terminal takes at once. @returns how many bytes are done with: all of them once nobody can read any */
function writeSome(master: number, data: Buffer): number {
  try {
    return writeSync(master, data)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EAGAIN' ? 0 : data.length
  }
}

/**
 * Reads what follows the first `count` bytes in memory, as long as each read is a long one: to send it with them costs a
 * fraction of what packets of 4 KiB do. @returns how many bytes there are now
 */
function readOn(master: number, memory: Buffer, count: number): number {
  let last = count > 0 ? count : longRead
  while (last >= longRead && count < memory.length) {
    last = readSome(master, memory.subarray(count))
    count += last
  }
  return count
}

/** Reads what a terminal has at once. @returns 0 for nothing */
function readSome(master: number, target: Buffer): number {
  try {
    return readSync(master, target)
  } catch {
    return 0
  }
}
