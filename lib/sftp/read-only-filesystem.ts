import type { Attributes } from './attributes.ts'
import type { AccountNames, DirectoryHandle, FileHandle, FileSystem, FileSystemStatistics } from './filesystem.ts'
import { OpenFlag } from './messages.ts'
import { SftpError } from './status.ts'

const refuse = async (path: string): Promise<never> => {
  throw new SftpError('permission-denied', { path, message: 'read-only file system' })
}

/** The same files, none of which can be changed through it. */
export class ReadOnlyFileSystem implements FileSystem {
  readonly #files: FileSystem
  readonly statvfs?: (path: string) => Promise<FileSystemStatistics>
  readonly homeDirectory?: (user: string) => Promise<string>
  readonly accountNames?: (uids: readonly number[], gids: readonly number[]) => Promise<AccountNames>

  constructor(files: FileSystem) {
    this.#files = files
    if (files.statvfs) this.statvfs = path => files.statvfs!(path)
    if (files.homeDirectory) this.homeDirectory = user => files.homeDirectory!(user)
    if (files.accountNames) this.accountNames = (uids, gids) => files.accountNames!(uids, gids)
  }

  get dataLimits() {
    return this.#files.dataLimits ?? { read: 0, write: 0, handles: 0 }
  }

  realpath(path: string): Promise<string> {
    return this.#files.realpath(path)
  }

  stat(path: string): Promise<Attributes> {
    return this.#files.stat(path)
  }

  lstat(path: string): Promise<Attributes> {
    return this.#files.lstat(path)
  }

  readlink(path: string): Promise<string> {
    return this.#files.readlink(path)
  }

  opendir(path: string): Promise<DirectoryHandle> {
    return this.#files.opendir(path)
  }

  async open(path: string, flags: number): Promise<FileHandle> {
    if (flags !== OpenFlag.read) return refuse(path)
    const file = await this.#files.open(path, flags)
    const handle: FileHandle = {
      readAt: (offset, length, into) => file.readAt(offset, length, into),
      writeAt: () => refuse(path),
      stat: () => file.stat(),
      setstat: () => refuse(path),
      close: () => file.close(),
    }
    if (file.statvfs) handle.statvfs = () => file.statvfs!()
    if (file.ranges) handle.ranges = (offset, length) => file.ranges!(offset, length)
    if (file.checksum) handle.checksum = (algorithm, offset, length) => file.checksum!(algorithm, offset, length)
    return handle
  }

  setstat = refuse
  lsetstat = refuse
  mkdir = refuse
  rmdir = refuse
  remove = refuse
  rename = refuse
  symlink = (_target: string, path: string): Promise<never> => refuse(path)
  link = refuse
}
