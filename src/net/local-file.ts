import { createHash, getHashes } from 'node:crypto'
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import type { Attributes } from '../../lib/sftp/attributes.ts'
import { hashNameOf } from '../../lib/sftp/extensions.ts'
import type { DataRange, FileHandle, FileSystemStatistics } from '../../lib/sftp/filesystem.ts'
import { SftpError, toSftpError } from '../../lib/sftp/status.ts'
import { piecesAfter } from '../../lib/wire/pieces.ts'
import type { BriefCalls } from './brief-calls.ts'
import { attributesOfStats, changeFile, changeFileAtOnce, statisticsOf } from './local-attributes.ts'

const fstat = promisify(fs.fstat) as (descriptor: number, options: { bigint: true }) => Promise<fs.BigIntStats>
const statfs = promisify(fs.statfs)
const fsync = promisify(fs.fsync)
const close = promisify(fs.close)

/** Pieces in which a file is looked through for holes, and the size of a hole. */
const scanLength = 1024 * 1024
const holeLength = 4096
const zeros = Buffer.alloc(scanLength)

/** Bytes that pieces which are written together may have. */
const writeLength = 1024 * 1024

interface Write {
  readonly offset: number
  readonly data: Buffer
  resolve(): void
  reject(error: Error): void
}

/** An open file of this machine. */
export class LocalFile implements FileHandle {
  readonly #path: string
  /** Undefined once `close` was called, though the descriptor stays open for what is under way. */
  #descriptor: number | undefined
  readonly #open: number
  readonly #blocking: boolean
  readonly #brief: BriefCalls | undefined
  readonly #waiting: Write[] = []
  /** Calls under way; the descriptor is closed after the last. */
  #busy = 0
  #idle: (() => void) | undefined

  /** `blocking`: reads and writes hold up the process, which costs less than threads that do it; or when they may. */
  constructor(descriptor: number, path: string, blocking: boolean | BriefCalls = false) {
    this.#descriptor = descriptor
    this.#open = descriptor
    this.#path = path
    this.#blocking = blocking === true
    this.#brief = typeof blocking === 'object' ? blocking : undefined
  }

  readAtOnce(offset: number, into: Buffer): number | undefined {
    return this.#atOnce(descriptor => fs.readSync(descriptor, into, 0, into.length, offset))
  }

  writeAtOnce(offset: number, data: Buffer): boolean {
    const written = this.#atOnce(descriptor => {
      for (let at = 0; at < data.length; ) at += fs.writeSync(descriptor, data, at, data.length - at, offset + at)
      return true
    })
    return written ?? false
  }

  /** Of mode and times alone. */
  setstatAtOnce(changes: Attributes): boolean {
    const { size, uid, gid, owner, group, atime, mtime } = changes
    if ((size ?? uid ?? gid ?? owner ?? group) !== undefined || (atime === undefined) !== (mtime === undefined))
      return false
    const changed = this.#atOnce(descriptor => {
      changeFileAtOnce(descriptor, changes)
      return true
    })
    return changed ?? false
  }

  closeAtOnce(): boolean {
    if (this.#busy > 0) return false
    const closed = this.#atOnce(descriptor => {
      this.#descriptor = undefined
      fs.closeSync(descriptor)
      return true
    })
    return closed ?? false
  }

  #atOnce<T>(call: (descriptor: number) => T): T | undefined {
    const descriptor = this.#descriptor
    if (descriptor === undefined) throw new SftpError('invalid-handle', { path: this.#path })
    try {
      if (this.#blocking) return call(descriptor)
      return this.#brief?.allowed ? this.#brief.make(() => call(descriptor)) : undefined
    } catch (error) {
      throw toSftpError(error, this.#path)
    }
  }

  readAt(offset: number, length: number, into?: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const descriptor = this.#enter(reject)
      if (descriptor === undefined) return
      const buffer = into && into.length >= length ? into : Buffer.allocUnsafeSlow(length)
      if (this.#blocking) {
        this.#leave()
        try {
          const count = fs.readSync(descriptor, buffer, 0, length, offset)
          resolve(count === buffer.length ? buffer : buffer.subarray(0, count))
        } catch (error) {
          reject(toSftpError(error, this.#path))
        }
        return
      }
      fs.read(descriptor, buffer, 0, length, offset, (error, count) => {
        this.#leave()
        if (error) reject(toSftpError(error, this.#path))
        else resolve(count === buffer.length ? buffer : buffer.subarray(0, count))
      })
    })
  }

  /**
   * One call at a time, since the system lets only one write to a file anyway and the others would spin. Pieces that wait
   * behind one another go out together.
   */
  writeAt(offset: number, data: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#enter(reject) === undefined) return
      if (this.#blocking) {
        this.#leave()
        try {
          for (let at = 0; at < data.length; ) at += fs.writeSync(this.#open, data, at, data.length - at, offset + at)
          // Between two local files nothing else would let the process do other work.
          setImmediate(resolve)
        } catch (error) {
          reject(toSftpError(error, this.#path))
        }
        return
      }
      this.#waiting.push({ offset, data, resolve, reject })
      if (this.#waiting.length === 1) this.#writeWaiting()
    })
  }

  /** Writes the first that waits and what adjoins it; those stay in the queue until then. */
  #writeWaiting(): void {
    const first = this.#waiting[0]!
    const pieces: Buffer[] = []
    let length = 0
    for (const { offset, data } of this.#waiting) {
      if (offset !== first.offset + length || (length > 0 && length + data.length > writeLength)) break
      pieces.push(data)
      length += data.length
    }
    const count = pieces.length
    const write = (pieces: Buffer[], offset: number): void => {
      fs.writev(this.#open, pieces, offset, (error, written) => {
        const left = error ? [] : piecesAfter(pieces, written)
        if (left.length > 0) {
          write(left, offset + written)
          return
        }
        const reason = error && toSftpError(error, this.#path)
        for (const { resolve, reject } of this.#waiting.splice(0, count)) {
          this.#leave()
          if (reason) reject(reason)
          else resolve()
        }
        if (this.#waiting.length > 0) this.#writeWaiting()
      })
    }
    write(pieces, first.offset)
  }

  #enter(reject: (error: Error) => void): number | undefined {
    if (this.#descriptor === undefined) reject(new SftpError('invalid-handle', { path: this.#path }))
    else this.#busy++
    return this.#descriptor
  }

  #leave(): void {
    this.#busy--
    if (this.#busy === 0) this.#idle?.()
  }

  async #with<T>(action: (descriptor: number) => Promise<T>): Promise<T> {
    if (this.#descriptor === undefined) throw new SftpError('invalid-handle', { path: this.#path })
    this.#busy++
    try {
      return await action(this.#descriptor)
    } catch (error) {
      throw toSftpError(error, this.#path)
    } finally {
      this.#leave()
    }
  }

  stat(): Promise<Attributes> {
    return this.#with(async descriptor => attributesOfStats(await fstat(descriptor, { bigint: true })))
  }

  setstat(changes: Attributes): Promise<void> {
    return this.#with(descriptor => changeFile(descriptor, changes))
  }

  sync(): Promise<void> {
    return this.#with(descriptor => fsync(descriptor))
  }

  statvfs(): Promise<FileSystemStatistics> {
    return this.#with(async descriptor => statisticsOf(await statfs(`/proc/self/fd/${descriptor}`)))
  }

  /**
   * Node.js cannot ask the system where holes are. A file with all its blocks has none; another one is read, and blocks of
   * zeros count as holes.
   */
  ranges(offset: number, length: number): Promise<DataRange[]> {
    return this.#with(async descriptor => {
      const { size, blocks } = await fstat(descriptor, { bigint: true })
      const end = Math.min(offset + length, Number(size))
      if (offset >= end) return []
      if (blocks * 512n >= size) return [{ offset, length: end - offset }]
      const found: { offset: number; length: number }[] = []
      for (let at = offset; at < end; ) {
        const data = await this.readAt(at, Math.min(scanLength, end - at))
        if (data.length === 0) break
        addRanges(found, at, data)
        at += data.length
      }
      return found
    })
  }

  checksum(algorithm: string, offset: number, length: number): Promise<Buffer | undefined> {
    return this.#with(async () => {
      const name = hashNameOf(algorithm)
      if (!getHashes().includes(name)) return undefined
      const state = createHash(name)
      for (let at = offset; at < offset + length; ) {
        const data = await this.readAt(at, Math.min(scanLength, offset + length - at))
        if (data.length === 0) return undefined
        state.update(data)
        at += data.length
      }
      return state.digest()
    })
  }

  async close(): Promise<void> {
    const descriptor = this.#descriptor
    if (descriptor === undefined) return
    this.#descriptor = undefined
    if (this.#busy > 0) {
      await new Promise<void>(resolve => {
        this.#idle = resolve
      })
    }
    try {
      await close(descriptor)
    } catch (error) {
      throw toSftpError(error, this.#path)
    }
  }
}

function addRanges(found: { offset: number; length: number }[], at: number, data: Buffer): void {
  if (data.equals(zeros.subarray(0, data.length))) return
  for (let start = 0; start < data.length; start += holeLength) {
    const block = data.subarray(start, start + holeLength)
    if (block.equals(zeros.subarray(0, block.length))) continue
    const last = found.at(-1)
    if (last && last.offset + last.length === at + start) last.length += block.length
    else found.push({ offset: at + start, length: block.length })
  }
}
