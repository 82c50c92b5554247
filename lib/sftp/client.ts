import type { ByteStream } from '../wire/byte-stream.ts'
import type { Attributes, SftpVersion } from './attributes.ts'
import { copyData } from './extensions.ts'
import { timesOf } from './file.ts'
import type { DirectoryEntry, FileHandle, FileSystem } from './filesystem.ts'
import { baseName, joinPath, normalizePath } from './paths.ts'
import type { OpenMode } from './remote-filesystem.ts'
import { RemoteFileSystem } from './remote-filesystem.ts'
import { type SessionOptions, SftpSession } from './session.ts'
import { SftpError } from './status.ts'
import { type TransferError, type TransferOptions, type TransferReport, transfer } from './transfer.ts'
import {
  attributesOrNothing,
  collect,
  entriesOf,
  type GlobMatch,
  glob,
  makeDirectories,
  type RemoveTreeOptions,
  removeTree,
  type WalkedDirectory,
  walk,
} from './tree.ts'

/** How `get`, `put`, `copy` and their kin with patterns go on. */
export interface CopyOptions
  extends Pick<
    TransferOptions,
    | 'recurse'
    | 'preserve'
    | 'sparse'
    | 'blockSize'
    | 'atomic'
    | 'resume'
    | 'sync'
    | 'rate'
    | 'signal'
    | 'retry'
    | 'observer'
    | 'filter'
  > {
  /** Copies what links lead to (default), else the links. */
  readonly followSymlinks?: boolean
  /** Requests in flight; by default as many as make it faster. */
  readonly maxRequests?: number
  /** Told of the bytes of each file that are there, and its size. */
  progressHandler?(source: string, target: string, bytes: number, size: number): void
  /** Told of each failure; then the rest goes on. Without it the first one is thrown at the end. */
  errorHandler?(error: TransferError): void
}

export interface SftpClientOptions extends SessionOptions {
  /** The local files for `get` and `put`. */
  readonly local: FileSystem
}

type Paths = string | readonly string[]

/**
 * SFTP as its users see it: the files of a server, and copies from, to and on it. Paths are `/`-separated; relative ones
 * begin where `chdir` went. Every method rejects with SftpError.
 */
export class SftpClient extends RemoteFileSystem implements AsyncDisposable {
  readonly #local: FileSystem

  constructor(session: SftpSession, local: FileSystem) {
    super(session)
    this.#local = local
  }

  /** Begins a session over a stream. @throws SftpError, ProtocolError */
  static async open(stream: ByteStream, { local, ...options }: SftpClientOptions): Promise<SftpClient> {
    return new SftpClient(await SftpSession.open(stream, options), local)
  }

  get version(): SftpVersion {
    return this.session.version
  }

  get limits(): SftpSession['limits'] {
    return this.session.limits
  }

  /** Whether `remoteCopy` and `copy` run on the server alone. */
  get supportsRemoteCopy(): boolean {
    return this.session.has(copyData)
  }

  // ---- copies ----

  /** Downloads files: to a path, into a directory, or into the working directory. */
  get(remote: Paths, local?: string, options: CopyOptions = {}): Promise<TransferReport> {
    return this.#copies(this, listOf(remote), this.#local, local, options)
  }

  /** Uploads files. */
  put(local: Paths, remote?: string, options: CopyOptions = {}): Promise<TransferReport> {
    return this.#copies(this.#local, listOf(local), this, remote, options)
  }

  /** Copies files on the server; through this side when the server cannot by itself. */
  copy(source: Paths, target?: string, options: CopyOptions = {}): Promise<TransferReport> {
    return this.#copies(this, listOf(source), this, target, options)
  }

  /** As `get`, with patterns: `*`, `?`, `[a-z]`, `**`. */
  async mget(patterns: Paths, local?: string, options: CopyOptions = {}): Promise<TransferReport> {
    return this.#copies(this, await matches(this, listOf(patterns)), this.#local, local, options)
  }

  async mput(patterns: Paths, remote?: string, options: CopyOptions = {}): Promise<TransferReport> {
    return this.#copies(this.#local, await matches(this.#local, listOf(patterns)), this, remote, options)
  }

  async mcopy(patterns: Paths, target?: string, options: CopyOptions = {}): Promise<TransferReport> {
    return this.#copies(this, await matches(this, listOf(patterns)), this, target, options)
  }

  async #copies(
    from: FileSystem,
    sources: readonly string[],
    to: FileSystem,
    target: string | undefined,
    options: CopyOptions,
  ): Promise<TransferReport> {
    const into = target === undefined || (await typeOf(to, target)) === 'directory'
    if (sources.length > 1 && !into) throw new SftpError('not-a-directory', { path: target })
    const reports: TransferReport[] = []
    for (const source of sources) {
      const name = baseName(source) || '.'
      const path = target === undefined ? name : into ? joinPath(target, name) : target
      reports.push(await transfer({ files: from, path: source }, { files: to, path }, transferOptions(options)))
      if (reports.at(-1)!.end !== 'complete') break
    }
    const report = sumOf(reports)
    const [failure] = report.failures
    if (failure && !options.errorHandler) throw failure
    if (report.end === 'aborted' && !options.errorHandler) throw new SftpError('aborted')
    return report
  }

  /** Copies bytes between two open or named files of the server, which does it alone. `length` 0: up to the end. */
  async remoteCopy(
    source: string | FileHandle,
    target: string | FileHandle,
    offset = 0,
    length = 0,
    targetOffset = 0,
  ): Promise<void> {
    const from = typeof source === 'string' ? await this.open(source) : source
    try {
      const to = typeof target === 'string' ? await this.open(target, 'w') : target
      try {
        if (!(await this.copyData(from, offset, length, to, targetOffset))) throw new SftpError('op-unsupported')
      } finally {
        if (typeof target === 'string') await to.close()
      }
    } finally {
      if (typeof source === 'string') await from.close()
    }
  }

  // ---- looking ----

  /** The paths that match any of the patterns. @throws SftpError no-such-file when one matches nothing */
  glob(patterns: Paths): Promise<string[]> {
    return matches(this, listOf(patterns))
  }

  /** The same with attributes. */
  async globNames(patterns: Paths): Promise<GlobMatch[]> {
    const found: GlobMatch[] = []
    for (const pattern of listOf(patterns)) found.push(...(await collect(glob(this, pattern))))
    return found
  }

  /** The files of a directory, as they come, without `.` and `..`. */
  scandir(path = '.'): AsyncGenerator<DirectoryEntry, void> {
    return entriesOf(this, path)
  }

  readdir(path = '.'): Promise<DirectoryEntry[]> {
    return collect(this.scandir(path))
  }

  /** The names of a directory's files. */
  async listdir(path = '.'): Promise<string[]> {
    return (await this.readdir(path)).map(({ name }) => name)
  }

  /** A directory and those below it, each before what is in it. */
  walk(path = '.'): AsyncGenerator<WalkedDirectory, void> {
    return walk(this, path)
  }

  async exists(path: string): Promise<boolean> {
    return (await attributesOrNothing(() => this.stat(path))) !== undefined
  }

  /** As `exists`, true for a link that leads nowhere. */
  async lexists(path: string): Promise<boolean> {
    return (await attributesOrNothing(() => this.lstat(path))) !== undefined
  }

  async isdir(path: string): Promise<boolean> {
    return (await typeOf(this, path)) === 'directory'
  }

  async isfile(path: string): Promise<boolean> {
    return (await typeOf(this, path)) === 'file'
  }

  async islink(path: string): Promise<boolean> {
    return (await attributesOrNothing(() => this.lstat(path)))?.type === 'symlink'
  }

  /** Bytes, as are all sizes. */
  getsize(path: string): Promise<number | undefined> {
    return this.#field(path, 'size')
  }

  /** Seconds since 1970, with a fraction where the server tells one. */
  async getatime(path: string): Promise<number | undefined> {
    return seconds(await this.stat(path), 'atime', 'atimeNs')
  }

  async getmtime(path: string): Promise<number | undefined> {
    return seconds(await this.stat(path), 'mtime', 'mtimeNs')
  }

  /** When the file was made (version 4 and later). */
  async getcrtime(path: string): Promise<number | undefined> {
    return seconds(await this.stat(path), 'crtime', 'crtimeNs')
  }

  /** Nanoseconds since 1970. */
  async getatimeNs(path: string): Promise<bigint | undefined> {
    return nanoseconds(await this.stat(path), 'atime', 'atimeNs')
  }

  async getmtimeNs(path: string): Promise<bigint | undefined> {
    return nanoseconds(await this.stat(path), 'mtime', 'mtimeNs')
  }

  async getcrtimeNs(path: string): Promise<bigint | undefined> {
    return nanoseconds(await this.stat(path), 'crtime', 'crtimeNs')
  }

  async #field<K extends keyof Attributes>(path: string, name: K): Promise<Attributes[K]> {
    return (await this.stat(path))[name]
  }

  // ---- changing ----

  /** Owner and group by number, or (version 4 and later) by name. */
  chown(path: string, owner: number | string, group: number | string, options: LinkOption = {}): Promise<void> {
    return this.#change(
      path,
      {
        ...(typeof owner === 'number' ? { uid: owner } : { owner }),
        ...(typeof group === 'number' ? { gid: group } : { group }),
      },
      options,
    )
  }

  chmod(path: string, permissions: number, options: LinkOption = {}): Promise<void> {
    return this.#change(path, { permissions }, options)
  }

  /** Seconds since 1970; now by default. */
  utime(path: string, atime = Date.now() / 1000, mtime = atime, options: LinkOption = {}): Promise<void> {
    return this.#change(path, timesOf(atime, mtime), options)
  }

  truncate(path: string, size: number): Promise<void> {
    return this.setstat(path, { size })
  }

  #change(path: string, changes: Attributes, { followSymlinks = true }: LinkOption): Promise<void> {
    return followSymlinks ? this.setstat(path, changes) : this.lsetstat(path, changes)
  }

  unlink(path: string): Promise<void> {
    return this.remove(path)
  }

  /** rename(2): replaces a file that is there. */
  posixRename(oldPath: string, newPath: string): Promise<void> {
    return this.rename(oldPath, newPath, true)
  }

  /** Makes a directory and those above it. */
  makedirs(path: string, attributes: Attributes = {}, existOk = false): Promise<void> {
    return makeDirectories(this, path, attributes, existOk)
  }

  /** Removes a directory with all in it. */
  rmtree(path: string, options: RemoveTreeOptions = {}): Promise<void> {
    return removeTree(this, path, options)
  }

  // ---- the working directory ----

  async getcwd(): Promise<string> {
    this.directory = this.directory === '' ? await this.realpath('.') : this.directory
    return this.directory
  }

  /** @throws SftpError not-a-directory */
  async chdir(path: string): Promise<void> {
    const real = await this.realpath(path)
    if ((await this.stat(real)).type !== 'directory') throw new SftpError('not-a-directory', { path })
    this.directory = normalizePath(real)
  }

  // ---- the end ----

  /** Ends the session once all is answered; `waitClosed` tells when. */
  exit(): void {
    this.session.end()
  }

  async waitClosed(): Promise<void> {
    await this.session.closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.exit()
    await this.waitClosed()
  }
}

export interface LinkOption {
  /** False: changes a link itself. */
  readonly followSymlinks?: boolean
}

export type { OpenMode }

const listOf = (paths: Paths): readonly string[] => (typeof paths === 'string' ? [paths] : paths)

const typeOf = async (files: FileSystem, path: string): Promise<Attributes['type']> =>
  (await attributesOrNothing(() => files.stat(path)))?.type

async function matches(files: FileSystem, patterns: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const pattern of patterns) {
    const paths = (await collect(glob(files, pattern))).map(({ path }) => path)
    if (paths.length === 0) throw new SftpError('no-such-file', { path: pattern, message: 'no file matches' })
    found.push(...paths)
  }
  return found
}

function transferOptions(options: CopyOptions): TransferOptions {
  const { followSymlinks = true, maxRequests, progressHandler, errorHandler, observer, ...rest } = options
  return {
    ...rest,
    links: followSymlinks ? 'follow' : 'copy',
    ...(maxRequests !== undefined && { maximumRequests: maxRequests }),
    observer: {
      ...observer,
      progress(file) {
        observer?.progress?.(file)
        progressHandler?.(file.source, file.target, file.bytes, file.size)
      },
      failed(failure) {
        observer?.failed?.(failure)
        errorHandler?.(failure)
      },
    },
  }
}

function sumOf(reports: readonly TransferReport[]): TransferReport {
  const sum = (field: 'files' | 'directories' | 'links' | 'skipped' | 'bytes' | 'left'): number =>
    reports.reduce((total, report) => total + report[field], 0)
  return {
    files: sum('files'),
    directories: sum('directories'),
    links: sum('links'),
    skipped: sum('skipped'),
    bytes: sum('bytes'),
    failures: reports.flatMap(({ failures }) => failures),
    left: sum('left'),
    end: reports.at(-1)?.end ?? 'complete',
  }
}

type Time = 'atime' | 'mtime' | 'crtime'

function seconds(attributes: Attributes, time: Time, fraction: `${Time}Ns`): number | undefined {
  const whole = attributes[time]
  return whole === undefined ? undefined : whole + (attributes[fraction] ?? 0) / 1e9
}

function nanoseconds(attributes: Attributes, time: Time, fraction: `${Time}Ns`): bigint | undefined {
  const whole = attributes[time]
  return whole === undefined ? undefined : BigInt(whole) * 1_000_000_000n + BigInt(attributes[fraction] ?? 0)
}
