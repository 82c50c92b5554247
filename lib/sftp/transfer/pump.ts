import type { DataRange, FileHandle } from '../filesystem.ts'
import { SftpError } from '../status.ts'
import type { Flow } from './flow.ts'
import { dataRangesOf, dataRuns } from './holes.ts'

export interface PumpOptions {
  readonly from: FileHandle
  readonly to: FileHandle
  /** Where to begin, and the size that the source has by its attributes. */
  readonly start: number
  readonly size: number
  readonly blockSize: number
  readonly sparse: boolean
  readonly flow: Flow
  readonly signal: AbortSignal | undefined
  /** So many bytes more are there, holes included. */
  moved(bytes: number): void
  /** Gives the step to an error of a read or a write. */
  readFailed(error: unknown): Error
  writeFailed(error: unknown): Error
}

interface Read {
  readonly offset: number
  readonly length: number
  readonly data: Promise<Buffer>
  readonly memory: Buffer
  /** Looks whether the file goes on behind the size that it had. */
  readonly isProbe: boolean
}

/** Bytes in front of a block's memory that the head of a WRITE fits into, handle included, so that both go out as one. */
const before = 320
/** Blocks of memory that are kept for the next reads. */
const maximumSpare = 64
/** Smallest block that short answers bring down to. */
const smallestBlock = 4096

/**
 * Copies the data of an open file with many reads and writes in flight. Writes begin in the order of the file, so that
 * what is cut off is whole up to `whole`.
 */
export class Pump {
  readonly #options: PumpOptions
  readonly #reads: Read[] = []
  /** Writes that have begun, in order, and where each ends. */
  readonly #writes: { end: number; state: 'running' | 'done' }[] = []
  readonly #running = new Set<Promise<void>>()
  /** Memory of blocks that are written, for reads that can use it: new memory costs as much as reading into it. */
  readonly #spare: Buffer[] = []
  #failure: Error | undefined
  #block: number
  /** All before this offset is in the target. */
  whole: number
  /** End of what was read, and of what was written. */
  end: number
  #written: number

  constructor(options: PumpOptions) {
    this.#options = options
    this.#block = options.blockSize
    this.whole = options.start
    this.end = options.start
    this.#written = options.start
  }

  /** Whether the file ends in a hole, so that its size has to be set. */
  get endsInHole(): boolean {
    return this.#written < this.end
  }

  /** Copies up to the end of the source. @throws what `readFailed` and `writeFailed` made, SftpError aborted */
  async run(): Promise<void> {
    const ranges = this.#ranges()
    try {
      const wanted = this.#wanted(ranges)
      let next = await wanted.next()
      for (;;) {
        this.#check()
        while (!next.done) {
          const { offset, length, isProbe } = next.value
          if (!this.#options.flow.tryTake(length)) {
            if (this.#reads.length > 0) break
            await this.#options.flow.take(length)
          }
          this.#ask(offset, length, isProbe)
          next = await wanted.next()
        }
        const read = this.#reads.shift()
        if (!read) break
        await this.#transfer(read)
      }
      await Promise.all(this.#running)
      this.#check()
      this.whole = this.end
    } finally {
      await ranges.return()
      await this.#settle()
    }
  }

  #ranges(): AsyncGenerator<DataRange, void> {
    const { from, start, size, sparse } = this.#options
    return dataRangesOf(from, start, size, sparse)
  }

  /** The reads to make: blocks of all data, then one behind the end. */
  async *#wanted(ranges: AsyncGenerator<DataRange, void>) {
    const { size } = this.#options
    let at = this.#options.start
    for await (const range of ranges) {
      if (range.offset > at) this.#skip(range.offset - at)
      at = range.offset
      const end = range.offset + range.length
      while (at < end) {
        const length = Math.min(this.#block, end - at)
        yield { offset: at, length, isProbe: false }
        at += length
      }
    }
    if (size > at) this.#skip(size - at)
    yield { offset: Math.max(size, at), length: this.#block, isProbe: true }
  }

  /** A hole of the source. */
  #skip(length: number): void {
    this.#options.moved(length)
  }

  #ask(offset: number, length: number, isProbe: boolean): void {
    const memory = this.#spare.pop() ?? Buffer.allocUnsafeSlow(before + length).subarray(before)
    const data = this.#options.from.readAt(offset, length, memory)
    data.catch(() => {})
    this.#reads.push({ offset, length, data, memory, isProbe })
  }

  /** Writes what a read gives, and asks for what is missing of it. */
  async #transfer({ offset, length, data: first, memory, isProbe }: Read): Promise<void> {
    const parts: Promise<void>[] = []
    let at = offset
    let moved = 0
    try {
      let data = await first
      for (;;) {
        if (data.length === 0) {
          if (!isProbe) throw new SftpError('failure', { message: 'file shrank while it was read' })
          this.end = Math.max(this.end, at)
          break
        }
        parts.push(this.#write(at, data, data.buffer === memory.buffer ? before : 0))
        at += data.length
        moved += data.length
        this.end = at
        const left = isProbe ? length : offset + length - at
        if (left === 0) break
        if (!isProbe && data.length < this.#block) this.#block = Math.max(smallestBlock, data.length)
        this.#check()
        data = await this.#options.from.readAt(at, left)
      }
    } catch (error) {
      this.#fail(error instanceof Error && error === this.#failure ? error : this.#options.readFailed(error))
    } finally {
      const give = (): void => {
        if (!this.#failure && this.#spare.length < maximumSpare) this.#spare.push(memory)
        this.#options.flow.give(length, moved)
      }
      if (parts.length === 1) parts[0]!.then(give)
      else void Promise.all(parts).then(give)
    }
    this.#check()
  }

  /** Never rejects. */
  #write(offset: number, data: Buffer, before: number): Promise<void> {
    const { to, sparse } = this.#options
    const entry: { end: number; state: 'running' | 'done' } = { end: offset + data.length, state: 'running' }
    this.#writes.push(entry)
    const runs = sparse ? dataRuns(data) : [{ offset: 0, length: data.length }]
    const last = runs.at(-1)
    if (last) this.#written = Math.max(this.#written, offset + last.offset + last.length)
    const write = async (): Promise<void> => {
      try {
        if (last?.length === data.length) await to.writeAt(offset, data, before)
        else
          for (const run of runs)
            await to.writeAt(offset + run.offset, data.subarray(run.offset, run.offset + run.length))
        entry.state = 'done'
        while (this.#writes[0]?.state === 'done') this.whole = this.#writes.shift()!.end
        this.#options.moved(data.length)
      } catch (error) {
        this.#fail(this.#options.writeFailed(error))
      }
    }
    const promise = write()
    this.#running.add(promise)
    void promise.then(() => this.#running.delete(promise))
    return promise
  }

  #fail(error: Error): void {
    this.#failure ??= error
  }

  #check(): void {
    if (this.#options.signal?.aborted) throw new SftpError('aborted')
    if (this.#failure) throw this.#failure
  }

  /** Waits for all that is in flight, so that nothing touches the files afterwards. */
  async #settle(): Promise<void> {
    for (const { data, length } of this.#reads.splice(0)) {
      await data.catch(() => {})
      this.#options.flow.give(length, 0)
    }
    await Promise.all(this.#running)
  }
}
