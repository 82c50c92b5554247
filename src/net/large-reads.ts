import { type ConnectOpts, type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'
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
  /** What came before there was somebody to take it: one read, and `early`. */
  #early: Buffer | undefined

  /** For the making of the socket (`net.connect`). */
  readonly options: OnReadOpts = {
    buffer: readMemory(),
    callback: (count, buffer) => this.#arrived(Buffer.from(buffer.buffer, buffer.byteOffset, count)),
  }

  /** `early` is what was read already. */
  constructor(early?: Buffer) {
    this.#early = early
  }

  #arrived(bytes: Buffer): boolean {
    if (this.#take) return this.#take(bytes)
    this.#early = this.#early ? Buffer.concat([this.#early, bytes]) : Buffer.from(bytes)
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

/** For the making of a socket that reads into memory of ours: Node documents `onread` for all, its types for those that connect. */
export type ReadingOptions = SocketConstructorOpts & Pick<ConnectOpts, 'onread'>

interface TakingOptions extends ReadingOptions {
  /** What Node's own code hands connections on by. A descriptor would have two owners. */
  readonly handle: object
}

/**
 * The connection of a socket that was accepted or came from another process, as a socket that reads in large pieces: those
 * that Node makes by itself cannot be told to. To be called before anything else is done with the other one, which ends.
 */
export function readLarge(accepted: Socket): Socket {
  const holder = accepted as Socket & { _handle?: object | null }
  const { _handle: handle } = holder
  // It was destroyed.
  if (!handle) return accepted
  const early: Buffer | null = accepted.read()
  const reads = new LargeReads(early ?? undefined)
  const options: TakingOptions = { handle, onread: reads.options }
  const socket = new Socket(options)
  holder._handle = null
  accepted.destroy()
  setLargeReads(socket, reads)
  return socket
}
