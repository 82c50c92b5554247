import type { OnReadOpts } from 'node:net'
import type { Duplex } from 'node:stream'

/**
 * Bytes of one read. Node's own are 64 KiB, each into new memory: on a fast path, most of what a read costs is that there
 * is one.
 */
const pieceLength = 512 * 1024

let shared: Buffer | undefined

/** All sockets and programs are read into it, as a piece is taken before anything else runs. At most 512 KiB. */
export function readMemory(length = pieceLength): Buffer {
  shared ??= Buffer.allocUnsafeSlow(pieceLength)
  return shared.subarray(0, length)
}

/** Takes a piece of the stream, whose memory is used again. False: no more until the socket is resumed. */
export type Take = (piece: Buffer) => boolean

/** Reads a socket in large pieces, for one who takes them. */
export class LargeReads {
  #take: Take | undefined
  /** What came before there was somebody to take it: one read. */
  #early: Buffer | undefined

  /** For the making of the socket (`net.connect`). */
  readonly options: OnReadOpts = {
    buffer: readMemory(),
    callback: (count, buffer) => this.#arrived(Buffer.from(buffer.buffer, buffer.byteOffset, count)),
  }

  #arrived(bytes: Buffer): boolean {
    if (this.#take) return this.#take(bytes)
    this.#early = Buffer.from(bytes)
    return false
  }

  /** Whoever takes the stream's bytes: no `data` event tells of them. */
  takenBy(stream: Duplex, take: Take): void {
    const early = this.#early
    this.#take = take
    this.#early = undefined
    if (!early || take(early)) stream.resume()
  }
}

const known = new WeakMap<Duplex, LargeReads>()

/** Whether a stream is read so, it says itself. */
export const largeReadsOf = (stream: Duplex): LargeReads | undefined => known.get(stream)

export const setLargeReads = (stream: Duplex, reads: LargeReads): void => void known.set(stream, reads)
