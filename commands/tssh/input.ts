import { fstatSync, readSync, statSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type { Channel } from '../../lib/connection/channel.ts'
import { readPipe } from '../../src/net/pipe-reads.ts'

/** What passes stdin on to a channel. */
export interface Input {
  pause(): void
  /** After a pause, and when the channel may be written to again. */
  resume(): void
  stop(): void
}

/** Takes what is typed; what it gives back goes to the server. */
export interface InputFilter {
  take(data: Buffer, send: (data: Buffer) => void): void
  stop(): void
}

/** Passes stdin on, through the filter of a terminal where there is one. */
export function forwardInput(channel: Channel, filter?: InputFilter): Input {
  const kind = kindOf(0)
  if (kind === 'null') return noInput(channel)
  if (kind === 'file' && !filter) return new FileInput(channel)
  return (kind === 'pipe' && !filter && pipeInput(channel)) || streamInput(channel, filter)
}

/** The channel's input ends before it began. */
export function noInput(channel: Channel): Input {
  channel.eof()
  return { pause() {}, resume() {}, stop() {} }
}

/** Nothing to read is told sooner than by reading. */
function kindOf(fd: number): 'null' | 'file' | 'pipe' | 'other' {
  try {
    const entry = fstatSync(fd)
    if (entry.isFile()) return 'file'
    if (entry.isFIFO() || entry.isSocket()) return 'pipe'
    if (!entry.isCharacterDevice()) return 'other'
    return entry.rdev === statSync('/dev/null', { throwIfNoEntry: false })?.rdev ? 'null' : 'other'
  } catch {
    return 'other'
  }
}

/** Bytes of one read, into memory that the channel borrows. */
const pieceLength = 256 * 1024
/** Bytes after which other events have their turn. */
const turnLength = 512 * 1024

/**
 * A file, read where it is used: Node's stream has another thread read each 64 KiB, and the two wake each other up, which
 * costs more than to read and seal them. A file keeps nobody waiting as a pipe does.
 */
class FileInput implements Input {
  readonly #channel: Channel
  readonly #memory = Buffer.allocUnsafeSlow(pieceLength)
  #state: 'resting' | 'planned' | 'over' = 'resting'
  #turn: NodeJS.Immediate | undefined

  constructor(channel: Channel) {
    this.#channel = channel
    this.resume()
  }

  pause(): void {
    if (this.#state !== 'planned') return
    clearImmediate(this.#turn)
    this.#state = 'resting'
  }

  resume(): void {
    if (this.#state !== 'resting') return
    this.#state = 'planned'
    this.#turn = setImmediate(() => this.#pass())
  }

  stop(): void {
    this.pause()
    this.#state = 'over'
  }

  #pass(): void {
    this.#state = 'resting'
    for (let passed = 0; passed < turnLength; ) {
      const piece = this.#read()
      if (!piece) {
        this.#state = 'over'
        this.#channel.eof()
        return
      }
      if (!this.#channel.writeBorrowed(piece)) return
      passed += piece.length
    }
    this.resume()
  }

  /** The next piece; undefined at the end, which an error is too. */
  #read(): Buffer | undefined {
    try {
      const count = readSync(0, this.#memory, 0, pieceLength, null)
      return count > 0 ? this.#memory.subarray(0, count) : undefined
    } catch {
      return undefined
    }
  }
}

/**
 * A pipe or a socket. Node's stream would have new memory for each 64 KiB, which costs more than to seal and send them.
 * Undefined for a socket that Node cannot read, such as one of datagrams.
 */
function pipeInput(channel: Channel): Input | undefined {
  let stdin: Readable
  try {
    stdin = readPipe(0, piece => channel.writeBorrowed(piece), Buffer.allocUnsafeSlow(pieceLength))
  } catch {
    return undefined
  }
  const over = (): void => channel.eof()
  stdin.on('end', over)
  stdin.on('error', over)
  const pause = (): void => void stdin.pause()
  return { pause, resume: () => void stdin.resume(), stop: pause }
}

function streamInput(channel: Channel, filter: InputFilter | undefined): Input {
  const { stdin } = process
  const send = (data: Buffer): void => {
    if (!channel.write(data)) stdin.pause()
  }
  const onData = (data: Buffer): void => (filter ? filter.take(data, send) : send(data))
  stdin.on('data', onData)
  stdin.on('end', () => channel.eof())
  stdin.on('error', () => channel.eof())
  return {
    pause: () => void stdin.pause(),
    resume: () => void stdin.resume(),
    stop() {
      filter?.stop()
      stdin.off('data', onData)
      stdin.pause()
    },
  }
}
