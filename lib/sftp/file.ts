import { UsageError } from '../errors.ts'
import type { Attributes } from './attributes.ts'
import { knownAttributeFlags } from './attributes.ts'
import { checkFileAnnouncement, checkFileHandle, dataRanges, fstatvfs, fsync, hashNameOf } from './extensions.ts'
import type { DataRange, DirectoryEntry, DirectoryHandle, FileHandle, FileSystemStatistics } from './filesystem.ts'
import type { FileLanes } from './lanes.ts'
import type { SftpSession } from './session.ts'
import { SftpError } from './status.ts'

export type SeekOrigin = 'start' | 'current' | 'end'

/** Requests that `read` and `write` of one call keep in flight. */
const parallelRequests = 64
/** READDIRs that a listing keeps in flight. */
const directoryRequests = 8

/** A file that is open on the server: by offset (`readAt`, `writeAt`), or with a position of its own. */
export class RemoteFile implements FileHandle {
  readonly path: string
  readonly session: SftpSession
  readonly #handle: Buffer
  #position = 0
  #appending: boolean
  #state: 'open' | 'closed' = 'open'

  readonly #lanes: FileLanes | undefined

  constructor(session: SftpSession, handle: Buffer, path: string, appending = false, lanes?: FileLanes) {
    this.session = session
    this.#handle = handle
    this.path = path
    this.#appending = appending
    this.#lanes = lanes
  }

  /** The server's name for the open file. @throws SftpError invalid-handle once closed */
  get handle(): Buffer {
    if (this.#state === 'closed') throw new SftpError('invalid-handle', { path: this.path, message: 'file is closed' })
    return this.#handle
  }

  /** One READ: up to `length` bytes, fewer when the server likes, none at the end. */
  async readAt(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    checkOffset(offset)
    const size = Math.min(length, this.session.limits.maximumReadLength)
    const memory = into && into.length >= size ? into.subarray(0, size) : undefined
    return this.session.read(this.handle, offset, size, this.path, memory)
  }

  /** As many WRITEs as the server's limit asks for, sent together. */
  async writeAt(offset: number, data: Buffer, before?: number): Promise<void> {
    checkOffset(offset)
    const limit = this.session.limits.maximumWriteLength
    if (data.length <= limit) return this.#write(offset, data, before)
    const step = limit * parallelRequests
    for (let start = 0; start < data.length; start += step) {
      const writes: Promise<void>[] = []
      for (let at = start; at < Math.min(start + step, data.length); at += limit) {
        writes.push(this.#write(offset + at, data.subarray(at, at + limit)))
      }
      await allDone(writes)
    }
  }

  #write(offset: number, data: Buffer, before?: number): Promise<void> {
    const { handle } = this
    if (this.#lanes) return this.#lanes.write(offset, data, before)
    return this.session.write(handle, offset, data, this.path, before)
  }

  /**
   * Reads from `offset`, or from the position, which then moves. Without `length` up to the end. Fewer bytes than asked
   * for mean the end of the file.
   */
  async read(length?: number, offset?: number): Promise<Buffer> {
    const start = offset ?? this.#position
    const parts: Buffer[] = []
    let total = 0
    for await (const part of this.readParallel(length, start)) {
      parts.push(part)
      total += part.length
    }
    if (offset === undefined) this.#position = start + total
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts, total)
  }

  /** The pieces of a part of the file in order, with several READs in flight. Without `length` up to the end. */
  async *readParallel(length = Number.MAX_SAFE_INTEGER, offset = this.#position): AsyncGenerator<Buffer, void> {
    const block = this.session.limits.maximumReadLength
    const end = Math.min(offset + length, Number.MAX_SAFE_INTEGER)
    const inFlight: { at: number; size: number; data: Promise<Buffer> }[] = []
    let next = offset
    // Begins with one request and doubles, since most files end after the first.
    let depth = 1
    try {
      for (;;) {
        while (inFlight.length < depth && next < end) {
          const size = Math.min(block, end - next)
          const data = this.readAt(next, size)
          data.catch(() => {})
          inFlight.push({ at: next, size, data })
          next += size
        }
        const first = inFlight.shift()
        if (!first) return
        let { at, size } = first
        let data = await first.data
        while (data.length > 0) {
          yield data
          at += data.length
          size -= data.length
          if (size === 0) break
          data = await this.readAt(at, size)
        }
        if (size > 0) return
        depth = Math.min(depth * 2, parallelRequests)
      }
    } finally {
      await Promise.allSettled(inFlight.map(({ data }) => data))
    }
  }

  /** Writes at `offset`, or at the position, which then moves. Resolves to the number of bytes, all of them. */
  async write(data: Buffer | string, offset?: number): Promise<number> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    const start = offset ?? this.#position
    await this.writeAt(start, bytes)
    if (offset === undefined) {
      this.#position = this.#appending ? ((await this.stat()).size ?? start + bytes.length) : start + bytes.length
    }
    return bytes.length
  }

  /** Moves the position and resolves to it. @throws UsageError before the beginning */
  async seek(offset: number, origin: SeekOrigin = 'start'): Promise<number> {
    const base = origin === 'start' ? 0 : origin === 'current' ? this.#position : ((await this.stat()).size ?? 0)
    checkOffset(base + offset)
    this.#position = base + offset
    return this.#position
  }

  tell(): number {
    return this.#position
  }

  async stat(): Promise<Attributes> {
    const { messages, version } = this.session
    const request = { handle: this.handle, wanted: wantedAttributes(version) }
    return (await this.session.query(messages.fstat, request, messages.attrs, this.path)).attributes
  }

  async setstat(changes: Attributes): Promise<void> {
    const { messages } = this.session
    await this.session.status(messages.fsetstat, { handle: this.handle, attributes: changes }, this.path)
  }

  statvfs(): Promise<FileSystemStatistics> {
    return this.session.ask(fstatvfs, { handle: this.handle }, this.path)
  }

  /** Cuts or extends the file, at the position by default. */
  truncate(size = this.#position): Promise<void> {
    return this.setstat({ size })
  }

  chown(uid: number, gid: number): Promise<void> {
    return this.setstat({ uid, gid })
  }

  chmod(permissions: number): Promise<void> {
    return this.setstat({ permissions })
  }

  /** Seconds since 1970; now by default. */
  utime(atime = Date.now() / 1000, mtime = atime): Promise<void> {
    return this.setstat(timesOf(atime, mtime))
  }

  /** Locks a part of the file (version 6); `flags` are the SSH_FXF_BLOCK_* bits. */
  lock(offset: number, length: number, flags: number): Promise<void> {
    this.#requireVersion6()
    const { messages } = this.session
    return this.session.status(messages.block, { handle: this.handle, offset, length, flags }, this.path)
  }

  unlock(offset: number, length: number): Promise<void> {
    this.#requireVersion6()
    return this.session.status(this.session.messages.unblock, { handle: this.handle, offset, length }, this.path)
  }

  #requireVersion6(): void {
    if (this.session.version < 6)
      throw new SftpError('op-unsupported', { path: this.path, message: 'no byte range locks' })
  }

  /** Waits until the data is on the disk. @throws SftpError op-unsupported */
  sync(): Promise<void> {
    return this.session.extended(fsync, { handle: this.handle }, this.path)
  }

  /** Where the file has data; all of it for servers that cannot tell. */
  async ranges(offset: number, length: number): Promise<DataRange[]> {
    if (!this.session.has(dataRanges)) return length > 0 ? [{ offset, length }] : []
    const result: DataRange[] = []
    const end = offset + length
    let at = offset
    while (at < end) {
      const request = { handle: this.handle, offset: at, length: end - at }
      const answer = await this.session.askAnyway(dataRanges, request, this.path, { ranges: [], atEnd: true })
      for (const range of answer.ranges) {
        // Each range must begin after the last: a server cannot make this a loop.
        if (range.offset < at || range.length <= 0 || range.offset + range.length > end) {
          throw new SftpError('bad-message', { path: this.path, message: 'the server sent impossible data ranges' })
        }
        result.push(range)
        at = range.offset + range.length
      }
      if (answer.atEnd || answer.ranges.length === 0) break
    }
    return result
  }

  /** The server's own hash of a part (`check-file-handle`); undefined when it has none such. */
  async checksum(algorithm: string, offset: number, length: number): Promise<Buffer | undefined> {
    const { extensions } = this.session
    if (length === 0 || !(extensions.has(checkFileAnnouncement) || extensions.has(checkFileHandle.name)))
      return undefined
    try {
      const request = { handle: this.handle, algorithms: algorithm, offset, length, blockSize: 0 }
      const answer = await this.session.askAnyway(checkFileHandle, request, this.path)
      return hashNameOf(answer.algorithm) === hashNameOf(algorithm) ? Buffer.from(answer.hashes) : undefined
    } catch (error) {
      // A refusal only means that the data has to be read.
      if (error instanceof SftpError && error.code !== 'connection-lost') return undefined
      throw error
    }
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    const { handle } = this
    this.#state = 'closed'
    const lanes = this.#lanes?.close()
    await allDone([...(lanes ? [lanes] : []), this.session.status(this.session.messages.close, { handle }, this.path)])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** A directory that is open on the server. */
export class RemoteDirectory implements DirectoryHandle {
  readonly #session: SftpSession
  readonly #handle: Buffer
  readonly #path: string
  /** Requests on their way, since a listing takes many and the server answers in order. */
  readonly #ahead: Promise<DirectoryEntry[] | undefined>[] = []
  #depth = 1

  constructor(session: SftpSession, handle: Buffer, path: string) {
    this.#session = session
    this.#handle = handle
    this.#path = path
  }

  async read(): Promise<DirectoryEntry[] | undefined> {
    this.#depth = Math.min(this.#depth * 2, directoryRequests)
    while (this.#ahead.length < this.#depth) {
      const entries = this.#session.names(this.#handle, this.#path)
      entries.catch(() => {})
      this.#ahead.push(entries)
    }
    const entries = await this.#ahead.shift()
    if (!entries) this.#depth = 0
    return entries
  }

  close(): Promise<void> {
    return this.#session.status(this.#session.messages.close, { handle: this.#handle }, this.#path)
  }
}

/** Which attributes version 4 and later are asked for: all. */
export const wantedAttributes = (version: 3 | 4 | 5 | 6): number => knownAttributeFlags[version] & 0x7fffffff

/** Both times with their nanoseconds, from seconds with a fraction. */
export function timesOf(atime: number, mtime: number): Attributes {
  const nanoseconds = (time: number): number => Math.floor((time - Math.floor(time)) * 1e9)
  return {
    atime: Math.floor(atime),
    atimeNs: nanoseconds(atime),
    mtime: Math.floor(mtime),
    mtimeNs: nanoseconds(mtime),
  }
}

function checkOffset(offset: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0) throw new UsageError(`impossible file offset ${offset}`)
}

/** Waits for all, also when one fails, so that nothing runs on afterwards. */
async function allDone(promises: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === 'rejected') throw result.reason
}
