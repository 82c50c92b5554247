import { UsageError } from '../errors.ts'
import type { Attributes } from './attributes.ts'
import {
  accountNames,
  copyData,
  expandPath,
  hardlink,
  homeDirectory,
  lsetstat,
  posixRename,
  statvfs,
} from './extensions.ts'
import { RemoteDirectory, RemoteFile, wantedAttributes } from './file.ts'
import type { AccountNames, FileHandle, FileSystem, FileSystemStatistics, WriteFileOptions } from './filesystem.ts'
import { FileLanes, type Lanes } from './lanes.ts'
import { Access, accessOf, appendData, OpenFlag, RealpathCheck, RenameFlag } from './messages.ts'
import { joinPath } from './paths.ts'
import type { SftpSession } from './session.ts'
import { SftpError } from './status.ts'

/** As fopen(3) has them; `x` fails when the file exists. A `b` has no meaning and is allowed. */
export type OpenMode = 'r' | 'r+' | 'w' | 'w+' | 'a' | 'a+' | 'x' | 'x+'

const openModes: Readonly<Record<string, number>> = {
  r: OpenFlag.read,
  'r+': OpenFlag.read | OpenFlag.write,
  w: OpenFlag.write | OpenFlag.create | OpenFlag.truncate,
  'w+': OpenFlag.read | OpenFlag.write | OpenFlag.create | OpenFlag.truncate,
  a: OpenFlag.write | OpenFlag.create | OpenFlag.append,
  'a+': OpenFlag.read | OpenFlag.write | OpenFlag.create | OpenFlag.append,
  x: OpenFlag.write | OpenFlag.create | OpenFlag.exclusive,
  'x+': OpenFlag.read | OpenFlag.write | OpenFlag.create | OpenFlag.exclusive,
}

/** The bits of a mode. @throws UsageError */
export function openFlagsOf(mode: OpenMode | number): number {
  if (typeof mode === 'number') return mode
  const flags = openModes[mode.replace('b', '')]
  if (flags === undefined) throw new UsageError(`unknown open mode ${JSON.stringify(mode)}`)
  return flags
}

const noBytes = Buffer.alloc(0)

/** The files of an SFTP server, one request for each method. Relative paths begin at `directory`. */
export class RemoteFileSystem implements FileSystem {
  readonly session: SftpSession
  /** Empty: where the server begins. */
  protected directory = ''

  readonly #lanes: Lanes | undefined

  /** `lanes`: further sessions with the same server, for large files on long paths. */
  constructor(session: SftpSession, lanes?: Lanes) {
    this.session = session
    this.#lanes = lanes
  }

  get dataLimits() {
    const { maximumReadLength, maximumWriteLength, maximumOpenHandles } = this.session.limits
    return { read: maximumReadLength, write: maximumWriteLength, handles: maximumOpenHandles }
  }

  get roundTrip(): number {
    return this.session.roundTrip
  }

  /** The path that goes over the wire. @throws UsageError for NUL, which no file name has */
  protected at(path: string): string {
    if (path.includes('\0')) throw new UsageError('path with a NUL byte')
    if (this.directory === '') return path === '' ? '.' : path
    return path === '' ? this.directory : joinPath(this.directory, path)
  }

  async realpath(path: string, check: number = RealpathCheck.none, ...compose: string[]): Promise<string> {
    const { messages, version } = this.session
    const whole = version >= 6 ? path : compose.reduce(joinPath, path)
    const request = { path: this.at(whole), check, compose: version >= 6 ? compose : [] }
    const { names } = await this.session.query(messages.realpath, request, messages.name, path)
    return this.session.onePath(names)
  }

  async stat(path: string): Promise<Attributes> {
    const { messages, version } = this.session
    const request = { path: this.at(path), wanted: wantedAttributes(version) }
    return (await this.session.query(messages.stat, request, messages.attrs, path)).attributes
  }

  async lstat(path: string): Promise<Attributes> {
    const { messages, version } = this.session
    const request = { path: this.at(path), wanted: wantedAttributes(version) }
    return (await this.session.query(messages.lstat, request, messages.attrs, path)).attributes
  }

  async setstat(path: string, changes: Attributes): Promise<void> {
    await this.session.status(this.session.messages.setstat, { path: this.at(path), attributes: changes }, path)
  }

  async lsetstat(path: string, changes: Attributes): Promise<void> {
    await this.session.extended(lsetstat(this.session.version), { path: this.at(path), attributes: changes }, path)
  }

  /** Opens a file. `attributes` count for one that is created. */
  async open(path: string, mode: OpenMode | number = 'r', attributes: Attributes = {}): Promise<RemoteFile> {
    const flags = openFlagsOf(mode)
    if (this.session.version < 5) return this.#open(path, 0, flags, attributes)
    const wanted = accessOf(flags)
    return this.#open(path, wanted.access, wanted.flags, attributes)
  }

  /** Opens a file in the words of versions 5 and 6. @throws SftpError op-unsupported below */
  async open56(path: string, access: number, flags: number, attributes: Attributes = {}): Promise<RemoteFile> {
    if (this.session.version < 5) throw new SftpError('op-unsupported', { path })
    return this.#open(path, access, flags, attributes)
  }

  async #open(path: string, access: number, flags: number, attributes: Attributes): Promise<RemoteFile> {
    const request = { path: this.at(path), access, flags, attributes }
    const handle = await this.session.handle(this.session.messages.open, request, path)
    const appending = (this.session.version < 5 ? flags & OpenFlag.append : flags & appendData) !== 0
    const written = (this.session.version < 5 ? flags & OpenFlag.write : access & Access.writeData) !== 0
    if (!this.#lanes || !written || appending) return new RemoteFile(this.session, handle, path, appending)
    return new RemoteFile(
      this.session,
      handle,
      path,
      false,
      new FileLanes(this.#lanes, this.session, handle, request.path),
    )
  }

  async opendir(path: string): Promise<RemoteDirectory> {
    const handle = await this.session.handle(this.session.messages.opendir, { path: this.at(path) }, path)
    return new RemoteDirectory(this.session, handle, path)
  }

  async mkdir(path: string, attributes: Attributes = {}): Promise<void> {
    await this.session.status(this.session.messages.mkdir, { path: this.at(path), attributes }, path)
  }

  async rmdir(path: string): Promise<void> {
    await this.session.status(this.session.messages.rmdir, { path: this.at(path) }, path)
  }

  async remove(path: string): Promise<void> {
    await this.session.status(this.session.messages.remove, { path: this.at(path) }, path)
  }

  /** @throws SftpError op-unsupported when the server cannot overwrite */
  async rename(oldPath: string, newPath: string, overwrite = false): Promise<void> {
    const paths = { oldPath: this.at(oldPath), newPath: this.at(newPath) }
    const { version, messages } = this.session
    if (overwrite && (version < 5 || this.session.has(posixRename))) {
      return this.session.extended(posixRename, paths, oldPath)
    }
    const flags = overwrite ? RenameFlag.overwrite | RenameFlag.atomic : 0
    await this.session.status(messages.rename, { ...paths, flags }, oldPath)
  }

  async readlink(path: string): Promise<string> {
    const { messages } = this.session
    const { names } = await this.session.query(messages.readlink, { path: this.at(path) }, messages.name, path)
    return this.session.onePath(names)
  }

  async symlink(target: string, path: string): Promise<void> {
    const { messages, version, symlinkOrder } = this.session
    const newPath = this.at(path)
    if (version >= 6) return this.session.status(messages.link, { newPath, existing: target, symbolic: 1 }, path)
    const [first, second] = symlinkOrder === 'openssh' ? [target, newPath] : [newPath, target]
    await this.session.status(messages.symlink, { first, second }, path)
  }

  async link(existing: string, newPath: string): Promise<void> {
    const { messages, version } = this.session
    const paths = { oldPath: this.at(existing), newPath: this.at(newPath) }
    if (version < 6) return this.session.extended(hardlink, paths, newPath)
    const request = { newPath: paths.newPath, existing: paths.oldPath, symbolic: 0 }
    await this.session.status(messages.link, request, newPath)
  }

  async statvfs(path: string): Promise<FileSystemStatistics> {
    return this.session.ask(statvfs, { path: this.at(path) }, path)
  }

  /** The absolute path behind `~`, `~/…` or `~user/…`. */
  async expandPath(path: string): Promise<string> {
    return this.session.askPath(expandPath, { path }, path)
  }

  async homeDirectory(user: string): Promise<string> {
    return this.session.askPath(homeDirectory, { user }, `~${user}`)
  }

  async accountNames(uids: readonly number[], gids: readonly number[]): Promise<AccountNames> {
    const names = await this.session.ask(accountNames, { uids: [...uids], gids: [...gids] })
    if (names.users.length !== uids.length || names.groups.length !== gids.length) {
      throw new SftpError('bad-message', { message: 'the server named more or fewer users than asked for' })
    }
    return names
  }

  async copyData(from: FileHandle, offset: number, length: number, to: FileHandle, at: number): Promise<boolean> {
    const { session } = this
    if (!(from instanceof RemoteFile && to instanceof RemoteFile) || !session.has(copyData)) return false
    if (from.session !== session || to.session !== session) return false
    await session.extended(copyData, { from: from.handle, offset, length, to: to.handle, at }, to.path)
    return true
  }

  /** OPEN, then READ and CLOSE together: two round trips. */
  readFile(path: string, size: number, done: (error: Error | undefined, data: Buffer | undefined) => void): void {
    const { session } = this
    if (size >= session.limits.maximumReadLength) {
      done(undefined, undefined)
      return
    }
    const request = this.#opening(path, OpenFlag.read, {})
    session.handleThen(session.messages.open, request, path, (error, handle) => {
      if (error) {
        done(error, undefined)
        return
      }
      let data: Buffer = noBytes
      const ended = afterAll(2, failure => done(failure, data.length === size ? data : undefined))
      // One byte more, so that what comes short of it is all there is.
      session.readThen(handle, 0, size + 1, path, (failure, bytes) => {
        data = bytes
        ended(0, failure)
      })
      session.statusThen(session.messages.close, { handle }, path, failure => ended(1, failure))
    })
  }

  /** OPEN, then WRITE, FSETSTAT and CLOSE together: two round trips. */
  writeFile(path: string, data: Buffer, options: WriteFileOptions, done: (error: Error | undefined) => void): void {
    const { session } = this
    const { after } = options
    const request = this.#opening(path, options.flags, options.attributes)
    session.handleThen(session.messages.open, request, path, (error, handle) => {
      if (error) {
        done(error)
        return
      }
      options.opened?.()
      const ended = afterAll(1 + (data.length > 0 ? 1 : 0) + (after ? 1 : 0), done)
      if (data.length > 0) session.writeThen(handle, 0, data, path, failure => ended(0, failure))
      if (after) {
        const change = { handle, attributes: after }
        session.statusThen(session.messages.fsetstat, change, path, failure => ended(1, failure))
      }
      session.statusThen(session.messages.close, { handle }, path, failure => ended(2, failure))
    })
  }

  #opening(path: string, flags: number, attributes: Attributes) {
    if (this.session.version < 5) return { path: this.at(path), access: 0, flags, attributes }
    return { path: this.at(path), ...accessOf(flags), attributes }
  }
}

/** Waits for `count` steps to end, also when one fails; the failure of the first of them in order counts. */
function afterAll(count: number, done: (error: Error | undefined) => void) {
  let left = count
  let first = Number.POSITIVE_INFINITY
  let failure: Error | undefined
  return (order: number, error: Error | undefined): void => {
    if (error && order < first) {
      first = order
      failure = error
    }
    if (--left === 0) done(failure)
  }
}
