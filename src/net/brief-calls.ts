import * as fs from 'node:fs'
import { promisify } from 'node:util'
import { nativePath } from './confinement.ts'

const fstat = promisify(fs.fstat)
const stat = promisify(fs.stat)
const statfs = promisify(fs.statfs)

/** Milliseconds from which on a call was not brief, and what part of the time such calls may take: 1 / `share`. */
const slow = 20
const share = 50
/** Milliseconds for which a folder counts as local once that was seen: another file system may be mounted there. */
const trusted = 1000
const maximumFolders = 1000
const maximumQuestions = 2

/** What statfs(2) calls file systems of Linux that answer without another machine or another process. */
const localTypes: ReadonlySet<number> = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // XFS
  0x9123683e, // Btrfs
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
  0xca451a4e, // bcachefs
  0x01021994, // tmpfs
  0x858458f6, // ramfs
  0x794c7630, // overlayfs
])

/**
 * Which calls a process that serves many makes itself, without another thread, which costs several times as much as a
 * small read or write. Only those on regular files of local file systems, which do not depend on anybody; and when one of
 * them took long all the same (a disk that is busy, a cache that is full), none for fifty times as long: together they
 * hold up the process for a fiftieth of its time at most.
 */
export class BriefCalls {
  readonly #folders = new Map<string, { readonly device: number; readonly until: number }>()
  readonly #asking = new Set<string>()
  #resumeAt = 0

  /** Whether a call may be made now. */
  get allowed(): boolean {
    return performance.now() >= this.#resumeAt
  }

  /** Makes a call, and takes note of the time it took. */
  make<T>(call: () => T): T {
    const begun = performance.now()
    try {
      return call()
    } finally {
      const taken = performance.now() - begun
      if (taken > slow) this.#resumeAt = begun + taken * share
    }
  }

  /** The device of a folder that was seen to be local, and whose files may be opened now; else asks about the folder. */
  deviceOf(folder: string): number | undefined {
    const now = performance.now()
    const known = this.#folders.get(folder)
    if (!known || known.until < now + trusted / 2) void this.#ask(folder)
    return known && known.until > now && now >= this.#resumeAt ? known.device : undefined
  }

  /** By way of threads, as this may take for ever; then no other call asks. */
  async #ask(folder: string): Promise<void> {
    if (process.platform !== 'linux' || this.#asking.has(folder) || this.#asking.size >= maximumQuestions) return
    this.#asking.add(folder)
    try {
      const { dev } = await stat(nativePath(folder))
      const { type } = await statfs(nativePath(folder))
      if (this.#folders.size >= maximumFolders) this.#folders.clear()
      if (localTypes.has(type)) this.#folders.set(folder, { device: dev, until: performance.now() + trusted })
      else this.#folders.delete(folder)
    } catch {
      this.#folders.delete(folder)
    } finally {
      this.#asking.delete(folder)
    }
  }

  /** Whether an open file, which is on this device, is a regular one. */
  isRegular(descriptor: number, device: number): boolean {
    const stats = fs.fstatSync(descriptor)
    return stats.isFile() && stats.dev === device
  }

  /** Asks by way of threads whether an open file is a regular one on a local file system. */
  async isLocal(descriptor: number): Promise<boolean> {
    if (process.platform !== 'linux') return false
    try {
      if (!(await fstat(descriptor)).isFile()) return false
      return localTypes.has((await statfs(`/proc/self/fd/${descriptor}`)).type)
    } catch {
      return false
    }
  }
}
