import type { Attributes } from './attributes.ts'

/** A file of a directory. `attributes` may hold less than `lstat` tells, even nothing. */
export interface DirectoryEntry {
  readonly name: string
  readonly attributes: Attributes
  /** A line as `ls -l` prints it, from servers of version 3. */
  readonly longname?: string
}

/** Part of a file that holds data; what lies between is a hole. */
export interface DataRange {
  readonly offset: number
  readonly length: number
}

/** What statvfs(3) tells. Numbers above 2^53 lose their last digits. */
export interface FileSystemStatistics {
  readonly blockSize: number
  readonly fragmentSize: number
  /** In units of `fragmentSize`, as are the next two. */
  readonly blocks: number
  readonly freeBlocks: number
  readonly availableBlocks: number
  readonly files: number
  readonly freeFiles: number
  readonly availableFiles: number
  readonly id: number
  /** 1: read-only, 2: no set-uid. */
  readonly flags: number
  readonly maximumNameLength: number
}

/**
 * An open file. Offsets and lengths are bytes, safe integers. Calls may overlap: each is complete in itself, in any
 * order. Every method rejects with SftpError.
 */
export interface FileHandle {
  /**
   * Up to `length` bytes, perhaps fewer; none at the end of the file. `into` is memory that may be used for them, and that
   * nobody else touches until the caller is done with the result.
   */
  readAt(offset: number, length: number, into?: Buffer): Promise<Buffer>
  /**
   * Writes all of `data`, which must not change until then. `before`: so many bytes in front of it, in the same memory, may
   * be written over until then.
   */
  writeAt(offset: number, data: Buffer, before?: number): Promise<void>
  stat(): Promise<Attributes>
  setstat(changes: Attributes): Promise<void>
  close(): Promise<void>
  sync?(): Promise<void>
  statvfs?(): Promise<FileSystemStatistics>
  /** The data between `offset` and `offset + length`, in order. Absent: there are no holes. */
  ranges?(offset: number, length: number): Promise<DataRange[]>
  /** The hash of a part of the file, or undefined where it would have to be read from here anyway. */
  checksum?(algorithm: string, offset: number, length: number): Promise<Buffer | undefined>
  lock?(offset: number, length: number, flags: number): Promise<void>
  unlock?(offset: number, length: number): Promise<void>
  /**
   * What a server does for most requests, done when they return: a promise and another thread cost more than a small read
   * or write. Undefined and false: it may take long and has to be asked for by the other method. They throw SftpError.
   * Bytes read into all of `into`, fewer at the end of the file.
   */
  readAtOnce?(offset: number, into: Buffer): number | undefined
  writeAtOnce?(offset: number, data: Buffer): boolean
  setstatAtOnce?(changes: Attributes): boolean
  closeAtOnce?(): boolean
}

export interface DirectoryHandle {
  /** Some more entries, never none; undefined at the end. `.` and `..` need not be among them. */
  read(): Promise<DirectoryEntry[] | undefined>
  close(): Promise<void>
}

/**
 * Files, wherever they are: on this machine, in memory, behind an SFTP server. It is what a server serves and what a
 * transfer reads and writes. Paths are strings as lib/wire/path.ts makes them, with `/` between components; relative ones
 * begin at a directory of the file system's choice. Every method rejects with SftpError.
 */
export interface FileSystem {
  /** The absolute path without links, `.` and `..`; the last component need not exist. */
  realpath(path: string): Promise<string>
  stat(path: string): Promise<Attributes>
  lstat(path: string): Promise<Attributes>
  setstat(path: string, changes: Attributes): Promise<void>
  /** As `setstat`, without following a link. */
  lsetstat(path: string, changes: Attributes): Promise<void>
  /** `flags` are those of `OpenFlag`; `attributes` count for a file that is created. */
  open(path: string, flags: number, attributes?: Attributes): Promise<FileHandle>
  /** As `open`, done when it returns; undefined: it may take long, see FileHandle. */
  openAtOnce?(path: string, flags: number, attributes?: Attributes): FileHandle | undefined
  opendir(path: string): Promise<DirectoryHandle>
  mkdir(path: string, attributes?: Attributes): Promise<void>
  rmdir(path: string): Promise<void>
  /** Removes a file or a link. */
  remove(path: string): Promise<void>
  /** With `overwrite` as rename(2), else fails when `newPath` exists. */
  rename(oldPath: string, newPath: string, overwrite?: boolean): Promise<void>
  readlink(path: string): Promise<string>
  /** Makes `path` a link that holds `target`. */
  symlink(target: string, path: string): Promise<void>
  /** Makes `newPath` one more name of a file. */
  link(existing: string, newPath: string): Promise<void>
  statvfs?(path: string): Promise<FileSystemStatistics>
  /** The home directory of a user; of one's own for ''. */
  homeDirectory?(user: string): Promise<string>
  /** Names of users and groups, '' where there is none. */
  accountNames?(uids: readonly number[], gids: readonly number[]): Promise<AccountNames>
  /** Copies inside the file system, when it can; `length` 0 is up to the end. False: do it with reads and writes. */
  copyData?(from: FileHandle, offset: number, length: number, to: FileHandle, at: number): Promise<boolean>
  /**
   * The whole of a file of `size` bytes, in as few steps as can be; no data when it has another size now. Absent: by
   * `open`. `done` is called once, perhaps at once: promises would cost more than the work on a small file. The data may
   * lie in `memory`, which has room for more than `size`.
   */
  readFile?(
    path: string,
    size: number,
    done: (error: Error | undefined, data: Buffer | undefined) => void,
    memory?: Buffer,
  ): void
  /** Creates or replaces a small file in as few steps as can be. Absent: by `open`. `done` as with `readFile`. */
  writeFile?(path: string, data: Buffer, options: WriteFileOptions, done: (error: Error | undefined) => void): void
  /** Milliseconds that a request and its answer take; 0 when that is not known, absent where nothing goes over a path. */
  readonly roundTrip?: number
  /** Sizes that READ and WRITE should have here; absent: no matter. */
  readonly dataLimits?: { readonly read: number; readonly write: number; readonly handles: number }
}

export interface AccountNames {
  readonly users: string[]
  readonly groups: string[]
}

export interface WriteFileOptions {
  /** Of `OpenFlag`: how to open the file. */
  readonly flags: number
  /** Counts when the file is created. */
  readonly attributes: Attributes
  /** What is set once the data is written. */
  readonly after?: Attributes | undefined
  /** Called once the file is open: what fails from then on is writing. */
  opened?(): void
}
