import { equalBytes } from '../crypto/constant-time.ts'
import { type RandomSource, randomBytes } from '../crypto/random.ts'
import type { DirectoryEntry, DirectoryHandle, FileHandle } from './filesystem.ts'
import { SftpError } from './status.ts'

export interface OpenFile {
  readonly kind: 'file'
  readonly path: string
  readonly file: FileHandle
}

export interface OpenDirectory {
  readonly kind: 'directory'
  readonly path: string
  readonly directory: DirectoryHandle
  /** Entries read and not sent yet. */
  readonly queue: DirectoryEntry[]
  state: 'more' | 'end'
}

export type Opened = OpenFile | OpenDirectory

const indexLength = 4
const secretLength = 12
const secretsAtOnce = 64

/**
 * What a client has open. A handle is a number that is never used again and a secret: it cannot be guessed, and once closed
 * it stays so.
 */
export class HandleTable {
  readonly #entries = new Map<number, { secret: Buffer; opened: Opened }>()
  readonly #limit: number
  readonly #random: RandomSource
  #secrets: Buffer = Buffer.alloc(0)
  #next = 0
  /** Places taken by openings that are under way. */
  #reserved = 0

  constructor(limit: number, random: RandomSource = randomBytes) {
    this.#limit = limit
    this.#random = random
  }

  /** Takes a place before opening, and gives it back if `open` fails. @throws SftpError when there are too many */
  async add(open: () => Promise<Opened>): Promise<Buffer> {
    this.#checkRoom()
    this.#reserved++
    try {
      return this.#enter(await open())
    } finally {
      this.#reserved--
    }
  }

  /** As `add`; undefined when `open` gives nothing. */
  addAtOnce(open: () => Opened | undefined): Buffer | undefined {
    this.#checkRoom()
    const opened = open()
    return opened && this.#enter(opened)
  }

  #checkRoom(): void {
    if (this.#entries.size + this.#reserved < this.#limit) return
    throw new SftpError('failure', { message: 'too many open files' })
  }

  #enter(opened: Opened): Buffer {
    const secret = this.#secret()
    const index = this.#next++
    this.#entries.set(index, { secret, opened })
    const handle = Buffer.allocUnsafe(indexLength + secretLength)
    handle.writeUInt32BE(index >>> 0, 0)
    secret.copy(handle, indexLength)
    return handle
  }

  /** Random bytes are drawn for many handles, as a call for a few of them costs as much. */
  #secret(): Buffer {
    if (this.#secrets.length === 0) this.#secrets = this.#random(secretLength * secretsAtOnce)
    const secret = this.#secrets.subarray(0, secretLength)
    this.#secrets = this.#secrets.subarray(secretLength)
    return secret
  }

  /** @throws SftpError invalid-handle */
  get(handle: Buffer): Opened {
    const entry = handle.length === indexLength + secretLength ? this.#entries.get(handle.readUInt32BE(0)) : undefined
    if (!entry || !equalBytes(entry.secret, handle.subarray(indexLength))) throw new SftpError('invalid-handle')
    return entry.opened
  }

  /** @throws SftpError invalid-handle, also for a directory */
  file(handle: Buffer): OpenFile {
    const opened = this.get(handle)
    if (opened.kind !== 'file') throw new SftpError('invalid-handle')
    return opened
  }

  /** @throws SftpError invalid-handle, also for a file */
  directory(handle: Buffer): OpenDirectory {
    const opened = this.get(handle)
    if (opened.kind !== 'directory') throw new SftpError('invalid-handle')
    return opened
  }

  /** The handle is dead from now on. @throws SftpError invalid-handle */
  remove(handle: Buffer): Opened {
    const opened = this.get(handle)
    this.#entries.delete(handle.readUInt32BE(0))
    return opened
  }

  async closeAll(): Promise<void> {
    const entries = [...this.#entries.values()]
    this.#entries.clear()
    await Promise.allSettled(entries.map(({ opened }) => closeOpened(opened)))
  }
}

export const closeOpened = (opened: Opened): Promise<void> =>
  opened.kind === 'file' ? opened.file.close() : opened.directory.close()
