import * as fs from 'node:fs'
import { homedir } from 'node:os'
import { promisify } from 'node:util'
import type { Attributes } from '../../lib/sftp/attributes.ts'
import type {
  AccountNames,
  DirectoryEntry,
  DirectoryHandle,
  FileHandle,
  FileSystem,
  FileSystemStatistics,
  WriteFileOptions,
} from '../../lib/sftp/filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { baseName, directoryName, joinPath } from '../../lib/sftp/paths.ts'
import { SftpError, toSftpError } from '../../lib/sftp/status.ts'
import { decodePath } from '../../lib/wire/path.ts'
import { accountTable } from './accounts.ts'
import { BriefCalls } from './brief-calls.ts'
import { Confinement, type Locator, type NativePath, nativePath, type Place, Unconfined } from './confinement.ts'
import { attributesOfStats, changeFile, changeFileAtOnce, changeLink, statisticsOf } from './local-attributes.ts'
import { LocalFile } from './local-file.ts'

export interface LocalFileSystemOptions {
  /** A directory that is `/` to the user of this file system, and that nothing leads out of. */
  readonly root?: string
  /** Where relative paths begin: the working directory by default, `/` below a `root`. */
  readonly start?: string
  /** Bits that new files and directories do not get, besides those of the process. */
  readonly umask?: number
  /**
   * Listings look at each file, and open files are read and written, at once instead of by way of a thread. That takes a
   * fraction of the time and holds up the process for a moment: right for a command. `briefly`: where that moment cannot be
   * long, right for a server of many. Never by default.
   */
  readonly blocking?: 'always' | 'briefly'
}

const open = promisify(fs.open)
const close = promisify(fs.close)
const lstat = promisify(fs.lstat) as (path: NativePath, options: { bigint: true }) => Promise<fs.BigIntStats>
const stat = promisify(fs.stat) as (path: NativePath, options: { bigint: true }) => Promise<fs.BigIntStats>
const mkdir = promisify(fs.mkdir) as (path: NativePath, mode: number) => Promise<void>
const rmdir = promisify(fs.rmdir) as (path: NativePath) => Promise<void>
const unlink = promisify(fs.unlink)
const rename = promisify(fs.rename)
const link = promisify(fs.link)
const symlink = promisify(fs.symlink) as (target: NativePath, path: NativePath) => Promise<void>
const statfs = promisify(fs.statfs)
const readlink = promisify(fs.readlink) as (path: NativePath, encoding: 'buffer') => Promise<Buffer>
const realpath = promisify(fs.realpath.native) as unknown as (path: NativePath, encoding: 'buffer') => Promise<Buffer>
const opendir = promisify(fs.opendir) as (path: NativePath, options: object) => Promise<fs.Dir>

const { O_RDONLY, O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_TRUNC, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_DIRECTORY } =
  fs.constants
/** O_PATH of Linux. */
const pathOnly = 0o10000000

const entriesPerBatch = 64
/** How often an opening is tried again when a link appears between looking and opening. */
const openAttempts = 8

/** The files of this machine, with the rights of this process. */
export class LocalFileSystem implements FileSystem {
  readonly #locator: Locator
  readonly #confinement: Confinement | undefined
  readonly #start: string
  readonly #umask: number
  readonly #blocking: boolean | BriefCalls

  /** @throws Error of the system when `root` is no directory */
  constructor(options: LocalFileSystemOptions = {}) {
    this.#start = options.start ?? (options.root === undefined ? process.cwd() : '/')
    this.#confinement = options.root === undefined ? undefined : new Confinement(options.root, this.#start)
    this.#locator = this.#confinement ?? new Unconfined(this.#start)
    this.#umask = options.umask ?? 0
    this.#blocking = options.blocking === 'briefly' ? briefCalls : options.blocking === 'always'
  }

  /** Lets go of the `root`. */
  close(): void {
    this.#confinement?.close()
  }

  /** Does something at a place; every error becomes an SftpError with the path that the user gave. */
  async #at<T>(path: string, follow: boolean, action: (native: NativePath) => Promise<T>): Promise<T> {
    let place: Place | undefined
    try {
      place = this.#locator.locate(path, follow)
      return await action(place.native)
    } catch (error) {
      throw toSftpError(error, path)
    } finally {
      place?.release()
    }
  }

  /** As `#at`, without a promise. */
  #atOnce<T>(path: string, follow: boolean, action: (native: NativePath) => T): T {
    let place: Place | undefined
    try {
      place = this.#locator.locate(path, follow)
      return action(place.native)
    } catch (error) {
      throw toSftpError(error, path)
    } finally {
      place?.release()
    }
  }

  /**
   * As `#at`, for calls that follow links: below a root they get the descriptor of the file itself, so that a link put there
   * meanwhile leads nowhere.
   */
  #through<T>(path: string, action: (native: NativePath) => Promise<T>): Promise<T> {
    return this.#at(path, true, async native => {
      if (!this.#confinement || process.platform !== 'linux') return action(native)
      const descriptor = await open(native, pathOnly | O_NOFOLLOW)
      try {
        const magic = `/proc/self/fd/${descriptor}`
        // A link opened like this would still be followed.
        if ((await stat(magic, { bigint: true })).isSymbolicLink()) throw new SftpError('link-loop', { path })
        return await action(magic)
      } finally {
        await close(descriptor)
      }
    })
  }

  async realpath(path: string): Promise<string> {
    if (this.#confinement) {
      try {
        return this.#confinement.realpath(path)
      } catch (error) {
        throw toSftpError(error, path)
      }
    }
    return this.#at(path, true, async native => {
      try {
        return decodePath(await realpath(native, 'buffer'))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        const whole = joinPath(this.#start, path)
        // A link that leads nowhere has no real path.
        if (await lstat(native, { bigint: true }).catch(() => undefined)) throw error
        const directory = decodePath(await realpath(nativePath(directoryName(whole)), 'buffer'))
        return joinPath(directory, baseName(whole))
      }
    })
  }

  stat(path: string): Promise<Attributes> {
    return this.#at(path, true, async native => {
      const look = this.#confinement ? lstat : stat
      return attributesOfStats(await look(native, { bigint: true }))
    })
  }

  lstat(path: string): Promise<Attributes> {
    return this.#at(path, false, async native => attributesOfStats(await lstat(native, { bigint: true })))
  }

  setstat(path: string, changes: Attributes): Promise<void> {
    return this.#through(path, native => changeFile(native, changes))
  }

  async lsetstat(path: string, changes: Attributes): Promise<void> {
    if ((await this.lstat(path)).type !== 'symlink') return this.setstat(path, changes)
    return this.#at(path, false, native => changeLink(native, changes))
  }

  async open(path: string, flags: number, attributes: Attributes = {}): Promise<FileHandle> {
    const mode = (attributes.permissions ?? 0o666) & 0o7777 & ~this.#umask
    const exclusive = (flags & OpenFlag.exclusive) !== 0
    const numbers = systemFlags(flags) | (this.#confinement ? O_NOFOLLOW : 0)
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#at(path, !exclusive, async native => {
          const descriptor = await open(native, numbers, mode)
          return new LocalFile(descriptor, path, await this.#mayBlock(descriptor))
        })
      } catch (error) {
        const raced = this.#confinement && error instanceof SftpError && systemCode(error) === 'ELOOP'
        if (!raced || attempt === openAttempts) throw error
      }
    }
  }

  /** For an open file. */
  async #mayBlock(descriptor: number): Promise<boolean | BriefCalls> {
    if (typeof this.#blocking === 'boolean') return this.#blocking
    return (await this.#blocking.isLocal(descriptor)) && this.#blocking
  }

  openAtOnce(path: string, flags: number, attributes: Attributes = {}): FileHandle | undefined {
    if (this.#blocking === false || this.#confinement) return undefined
    const mode = (attributes.permissions ?? 0o666) & 0o7777 & ~this.#umask
    return this.#atOnce(path, (flags & OpenFlag.exclusive) === 0, native => {
      const blocking = this.#blocking
      if (typeof blocking === 'boolean') return new LocalFile(fs.openSync(native, systemFlags(flags), mode), path, true)
      const device = blocking.deviceOf(folderOf(native))
      return device === undefined ? undefined : openOn(device, native, systemFlags(flags), mode, path, blocking)
    })
  }

  /**
   * Synchronous, as is `writeFile`: for a small file each hop to a thread and back costs more than the call itself, and a
   * copy of thousands of them is made of nothing else.
   */
  readFile(
    path: string,
    size: number,
    done: (error: Error | undefined, data: Buffer | undefined) => void,
    memory?: Buffer,
  ): void {
    let data: Buffer | undefined
    try {
      const flags = O_RDONLY | O_NONBLOCK | (this.#confinement ? O_NOFOLLOW : 0)
      data = this.#atOnce(path, true, native => readWhole(native, flags, size, memory))
    } catch (error) {
      done(error as Error, undefined)
      return
    }
    done(undefined, data)
  }

  writeFile(
    path: string,
    data: Buffer,
    { flags, attributes, after, opened }: WriteFileOptions,
    done: (error: Error | undefined) => void,
  ): void {
    const mode = (attributes.permissions ?? 0o666) & 0o7777 & ~this.#umask
    const numbers = systemFlags(flags) | (this.#confinement ? O_NOFOLLOW : 0)
    try {
      this.#atOnce(path, (flags & OpenFlag.exclusive) === 0, native => {
        const descriptor = fs.openSync(native, numbers, mode)
        try {
          opened?.()
          for (let at = 0; at < data.length; ) at += fs.writeSync(descriptor, data, at)
          if (after) changeFileAtOnce(descriptor, after)
        } finally {
          fs.closeSync(descriptor)
        }
      })
    } catch (error) {
      done(error as Error)
      return
    }
    done(undefined)
  }

  opendir(path: string): Promise<DirectoryHandle> {
    if (!this.#confinement || process.platform !== 'linux') {
      return this.#at(path, true, async native => {
        const directory = await openDirectory(native)
        return this.#blocking === true
          ? new DirectoryAtOnce(directory, native, path)
          : new LocalDirectory(directory, native, path)
      })
    }
    return this.#at(path, true, async native => {
      const descriptor = await open(native, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
      const base = `/proc/self/fd/${descriptor}`
      try {
        return new LocalDirectory(await openDirectory(base), base, path, descriptor)
      } catch (error) {
        await close(descriptor)
        throw error
      }
    })
  }

  mkdir(path: string, attributes: Attributes = {}): Promise<void> {
    const mode = (attributes.permissions ?? 0o777) & 0o7777 & ~this.#umask
    return this.#at(path, false, native => mkdir(native, mode))
  }

  rmdir(path: string): Promise<void> {
    return this.#at(path, false, native => rmdir(native))
  }

  remove(path: string): Promise<void> {
    return this.#at(path, false, native => unlink(native))
  }

  rename(oldPath: string, newPath: string, overwrite = false): Promise<void> {
    return this.#at(oldPath, false, from =>
      this.#at(newPath, false, to => (overwrite ? rename(from, to) : renameToFree(from, to))),
    )
  }

  readlink(path: string): Promise<string> {
    return this.#at(path, false, async native => decodePath(await readlink(native, 'buffer')))
  }

  symlink(target: string, path: string): Promise<void> {
    return this.#at(path, false, native => symlink(nativePath(target), native))
  }

  link(existing: string, newPath: string): Promise<void> {
    return this.#at(existing, false, from => this.#at(newPath, false, to => link(from, to)))
  }

  statvfs(path: string): Promise<FileSystemStatistics> {
    return this.#through(path, async native => statisticsOf(await statfs(native)))
  }

  async homeDirectory(user: string): Promise<string> {
    // Homes lie outside of a root.
    if (this.#confinement) {
      if (user === '') return this.#start
      throw new SftpError('no-such-file', { path: `~${user}` })
    }
    if (user === '') return homedir()
    const home = (await accountTable('/etc/passwd')).homes.get(user)
    if (home === undefined) throw new SftpError('no-such-file', { path: `~${user}` })
    return home
  }

  async accountNames(uids: readonly number[], gids: readonly number[]): Promise<AccountNames> {
    const users = (await accountTable('/etc/passwd')).names
    const groups = (await accountTable('/etc/group')).names
    return { users: uids.map(uid => users.get(uid) ?? ''), groups: gids.map(gid => groups.get(gid) ?? '') }
  }
}

/** Small files are read into pieces of this, so that not each has memory of its own to be given back. */
const readSlabLength = 256 * 1024
let readSlab = Buffer.alloc(0)

/** The data of a file, or undefined when it has not `size` bytes. */
function readWhole(native: NativePath, flags: number, size: number, memory?: Buffer): Buffer | undefined {
  const descriptor = fs.openSync(native, flags)
  try {
    if (memory && memory.length > size) {
      return fs.readSync(descriptor, memory, 0, size + 1, null) === size ? memory.subarray(0, size) : undefined
    }
    if (readSlab.length < size + 1) readSlab = Buffer.allocUnsafeSlow(Math.max(readSlabLength, size + 1))
    // One byte more, so that what comes short of it is all there is.
    if (fs.readSync(descriptor, readSlab, 0, size + 1, null) !== size) return undefined
    const data = readSlab.subarray(0, size)
    readSlab = readSlab.subarray(size)
    return data
  } finally {
    fs.closeSync(descriptor)
  }
}

/** Of all file systems that block only where that cannot take long. */
const briefCalls = new BriefCalls()

const folderOf = (native: NativePath): string => directoryName(typeof native === 'string' ? native : decodePath(native))

/** Opens a file that is on this device and no link, which may lead to another; undefined for a link. */
function openOn(
  device: number,
  native: NativePath,
  flags: number,
  mode: number,
  path: string,
  calls: BriefCalls,
): LocalFile | undefined {
  return calls.make(() => {
    let descriptor: number
    try {
      descriptor = fs.openSync(native, flags | O_NOFOLLOW, mode)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ELOOP') return undefined
      throw error
    }
    try {
      return new LocalFile(descriptor, path, calls.isRegular(descriptor, device) && calls)
    } catch (error) {
      fs.closeSync(descriptor)
      throw error
    }
  })
}

const systemCode = (error: SftpError): string | undefined => (error.cause as NodeJS.ErrnoException | undefined)?.code

function systemFlags(flags: number): number {
  // Without O_NONBLOCK, opening a FIFO would hold one of the few threads for ever.
  let result = O_NONBLOCK
  const writes = (flags & (OpenFlag.write | OpenFlag.append)) !== 0
  if (writes) result |= flags & OpenFlag.read ? O_RDWR : O_WRONLY
  else result |= O_RDONLY
  if (flags & OpenFlag.append) result |= O_APPEND
  if (flags & OpenFlag.create) result |= O_CREAT
  if (flags & OpenFlag.truncate) result |= O_TRUNC
  if (flags & OpenFlag.exclusive) result |= O_EXCL
  return result
}

/** Where a hard link cannot be made though nothing is in its way. */
const noLinks = new Set(['EPERM', 'EISDIR', 'EXDEV', 'EMLINK', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EACCES'])

/** Renames without ever replacing a file: a link fails when the name is taken. Directories have only a check before. */
async function renameToFree(from: NativePath, to: NativePath): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!noLinks.has(code)) throw error
    const taken = await lstat(to, { bigint: true }).catch(() => undefined)
    if (taken) throw new SftpError('file-already-exists')
    return rename(from, to)
  }
  await unlink(from)
}

const openDirectory = (native: NativePath): Promise<fs.Dir> =>
  opendir(native, { encoding: 'buffer', bufferSize: entriesPerBatch })

class LocalDirectory implements DirectoryHandle {
  protected readonly directory: fs.Dir
  protected readonly prefix: string
  protected readonly path: string
  readonly #descriptor: number | undefined
  #state: 'open' | 'closed' = 'open'

  constructor(directory: fs.Dir, native: NativePath, path: string, descriptor?: number) {
    this.directory = directory
    this.prefix = `${typeof native === 'string' ? native : decodePath(native)}/`
    this.path = path
    this.#descriptor = descriptor
  }

  async read(): Promise<DirectoryEntry[] | undefined> {
    try {
      for (;;) {
        const names: string[] = []
        while (names.length < entriesPerBatch) {
          const entry = await this.directory.read()
          if (!entry) break
          // With encoding "buffer" a name is bytes, whatever the types say.
          names.push(decodePath(entry.name as unknown as Buffer))
        }
        if (names.length === 0) return undefined
        const entries = await Promise.all(names.map(name => this.#entry(name)))
        const present = entries.filter(entry => entry !== undefined)
        if (present.length > 0) return present
      }
    } catch (error) {
      throw toSftpError(error, this.path)
    }
  }

  /** Undefined when the file is gone meanwhile. */
  async #entry(name: string): Promise<DirectoryEntry | undefined> {
    const stats = await lstat(nativePath(this.prefix + name), { bigint: true }).catch(() => undefined)
    return stats && { name, attributes: attributesOfStats(stats) }
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    await this.directory.close()
    if (this.#descriptor !== undefined) await close(this.#descriptor)
  }
}

/** A directory that is read with calls that hold up the process, some entries at a time. */
class DirectoryAtOnce extends LocalDirectory {
  override async read(): Promise<DirectoryEntry[] | undefined> {
    try {
      for (;;) {
        const entries: DirectoryEntry[] = []
        let count = 0
        for (; count < entriesPerBatch; count++) {
          const found = this.directory.readSync()
          if (!found) break
          const name = decodePath(found.name as unknown as Buffer)
          const attributes = this.#look(name)
          if (attributes) entries.push({ name, attributes })
        }
        if (entries.length > 0) return entries
        if (count === 0) return undefined
      }
    } catch (error) {
      throw toSftpError(error, this.path)
    }
  }

  /** Nothing of what cannot be looked at; undefined when the file is gone meanwhile. */
  #look(name: string): Attributes | undefined {
    try {
      const path = nativePath(this.prefix + name)
      const stats = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
      return stats && attributesOfStats(stats)
    } catch {
      return {}
    }
  }
}
