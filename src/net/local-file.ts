import { createHash, getHashes } from 'node:crypto'
import * as fs from 'node:fs'
import { promisify } from 'node:util'
import type { Attributes } from '../../lib/sftp/attributes.ts'
import { hashNameOf } from '../../lib/sftp/extensions.ts'
import type { DataRange, FileHandle, FileSystemStatistics } from '../../lib/sftp/filesystem.ts'
import { SftpError, toSftpError } from '../../lib/sftp/status.ts'
import { attributesOfStats, changeFile, statisticsOf } from './local-attributes.ts'

const fstat = promisify(fs.fstat) as (descriptor: number, options: { bigint: true }) => Promise<fs.BigIntStats>
const statfs = promisify(fs.statfs)
const fsync = promisify(fs.fsync)
const close = promisify(fs.close)

/** Pieces in which a file is looked through for holes, and the size of a hole. */
const scanLength = 1024 * 1024
const holeLength = 4096
const zeros = Buffer.alloc(scanLength)

/** An open file of this machine. */
export class LocalFile implements FileHandle {
  readonly #path: string
  #descriptor: number | undefined
  /** Calls under way; the descriptor is closed after the last. */
  #busy = 0
  #idle: (() => void) | undefined

  constructor(descriptor: number, path: string) {
    this.#descriptor = descriptor
    this.#path = path
  }

  readAt(offset: number, length: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const descriptor = this.#enter(reject)
      if (descriptor === undefined) return
      const buffer = Buffer.allocUnsafeSlow(length)
      fs.read(descriptor, buffer, 0, length, offset, (error, count) => {
        this.#leave()
        if (error) reject(toSftpError(error, this.#path))
        else resolve(count === length ? buffer : buffer.subarray(0, count))
      })
    })
  }

  writeAt(offset: number, data: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const descriptor = this.#enter(reject)
      if (descriptor === undefined) return
      const write = (start: number): void => {
        fs.write(descriptor, data, start, data.length - start, offset + start, (error, count) => {
          if (!error && start + count < data.length) return write(start + count)
          this.#leave()
          if (error) reject(toSftpError(error, this.#path))
          else resolve()
        })
      }
      write(0)
    })
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
