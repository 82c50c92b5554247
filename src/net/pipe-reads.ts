import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { resizePipe } from '../native/process.ts'
import { type ReadingOptions, readMemory, type Take } from './large-reads.ts'

/** Bytes of one read. */
const pieceLength = 256 * 1024

/**
 * Bytes that a pipe holds once much went through it, the most that Linux allows everybody. With its usual 64 KiB, a
 * program and its reader wait for each other all the time: that costs both of them, and whoever gets the small pieces,
 * twice the processor time. Not from the start, since what all pipes of a user may hold is bounded (pipe(7)).
 */
const largePipe = 1024 * 1024
const worthwhile = 4 * 1024 * 1024

/** A pipe that is made larger once it is worth it. Its descriptor must be open. */
export class GrowingPipe {
  readonly #descriptor: number
  #bytes = 0

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  passed(count: number): void {
    if (this.#bytes >= worthwhile) return
    this.#bytes += count
    if (this.#bytes >= worthwhile) resizePipe(this.#descriptor, largePipe)
  }
}

/** Reads a pipe or a socket to its end, in pieces that `take` is given: no `data` event tells of them. */
export function readPipe(fd: number, take: Take, buffer = readMemory(pieceLength)): Readable {
  const growing = new GrowingPipe(fd)
  const callback = (count: number): boolean => {
    growing.passed(count)
    return take(buffer.subarray(0, count))
  }
  const options: ReadingOptions = { fd, readable: true, writable: false, onread: { buffer, callback } }
  return new Socket(options)
}
