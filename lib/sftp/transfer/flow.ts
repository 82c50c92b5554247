import { SftpError } from '../status.ts'

/** Bytes in flight that a job begins with (64 requests of 32 KiB, as OpenSSH), and the most that it grows to. */
const initialBytes = 2 * 1024 * 1024
const maximumBytes = 32 * 1024 * 1024
/** What fills a path whose round trip is below so many milliseconds. */
const shortPaths = [
  { below: 2.5, bytes: 768 * 1024 },
  { below: 5, bytes: initialBytes },
]
/** A larger flow is kept growing when it moved this much more. */
const worthwhile = 1.1
/** Measurements without a gain after which growing is tried again. */
const patience = 16

export interface FlowOptions {
  /** Requests in flight; by default as many as the bytes allow. */
  readonly maximumRequests?: number | undefined
  /** Bytes a second. */
  readonly rate?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Milliseconds of the longest round trip to an end; undefined when that is not known. */
  readonly roundTrip?: number | undefined
  /** Milliseconds on a clock that only goes forward. */
  readonly now?: () => number
}

/** More than fills a short path would only push data out of the processor's caches, here and at the server. */
function mostBytes(roundTrip = Number.POSITIVE_INFINITY): number {
  return shortPaths.find(({ below }) => roundTrip < below)?.bytes ?? maximumBytes
}

/**
 * What a job may have in flight: bytes that were asked for and not yet written. It doubles as long as that makes the job
 * faster, so a long path fills and a short one does not waste memory.
 */
export class Flow {
  limit: number
  readonly #maximumRequests: number
  readonly #maximumBytes: number
  readonly #rate: number | undefined
  readonly #now: () => number
  readonly #signal: AbortSignal | undefined
  #bytes = 0
  #requests = 0
  readonly #waiting: (() => void)[] = []
  /** Since the last measurement. */
  #moved = 0
  #since: number
  #best = 0
  #idle = 0
  /** When the bytes let through so far are due by the rate. */
  #due = 0

  constructor(options: FlowOptions = {}) {
    this.#maximumRequests = options.maximumRequests ?? Number.POSITIVE_INFINITY
    this.#maximumBytes = mostBytes(options.roundTrip)
    this.limit = Math.min(initialBytes, this.#maximumBytes)
    this.#rate = options.rate
    this.#now = options.now ?? (() => performance.now())
    this.#signal = options.signal
    this.#since = this.#now()
    options.signal?.addEventListener('abort', () => this.#wake())
  }

  #free(bytes: number): boolean {
    if (this.#requests === 0) return true
    return this.#bytes + bytes <= this.limit && this.#requests < this.#maximumRequests
  }

  /** Takes room for a request when there is some now. */
  tryTake(bytes: number): boolean {
    if (this.#rate !== undefined && this.#due > this.#now()) return false
    if (!this.#free(bytes)) return false
    this.#bytes += bytes
    this.#requests++
    if (this.#rate !== undefined) this.#due = Math.max(this.#due, this.#now()) + (bytes / this.#rate) * 1000
    return true
  }

  /** Waits for room. @throws SftpError aborted */
  async take(bytes: number): Promise<void> {
    for (;;) {
      if (this.#signal?.aborted) throw new SftpError('aborted')
      if (this.tryTake(bytes)) return
      const delay = this.#rate === undefined ? 0 : this.#due - this.#now()
      // Due in the meantime, and nobody in flight who would wake us.
      if (delay <= 0 && this.#free(bytes)) continue
      await new Promise<void>(resolve => {
        this.#waiting.push(resolve)
        if (delay > 0) setTimeout(resolve, delay)
      })
    }
  }

  /** Gives the room of a request back. `moved`: bytes that reached the target. */
  give(bytes: number, moved = bytes): void {
    this.#bytes -= bytes
    this.#requests--
    this.#moved += moved
    if (this.#moved >= this.limit * 2) this.#measure()
    this.#wake()
  }

  #measure(): void {
    const now = this.#now()
    const rate = this.#moved / Math.max(now - this.#since, 0.001)
    this.#since = now
    this.#moved = 0
    this.#idle++
    if (rate < this.#best * worthwhile && this.#idle < patience) return
    this.#best = Math.max(this.#best, rate)
    this.#idle = 0
    this.limit = Math.min(this.limit * 2, this.#maximumBytes)
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
