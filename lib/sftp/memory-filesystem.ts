import type { Attributes, FileType } from './attributes.ts'
import type {
  DataRange,
  DirectoryEntry,
  DirectoryHandle,
  FileHandle,
  FileSystem,
  FileSystemStatistics,
} from './filesystem.ts'
import { OpenFlag } from './messages.ts'
import { checkPath } from './paths.ts'
import { SftpError, type SftpErrorCode } from './status.ts'

interface CommonNode {
  permissions: number
  uid: number
  gid: number
  atime: number
  atimeNs: number
  mtime: number
  mtimeNs: number
  linkCount: number
}
interface FileNode extends CommonNode {
  readonly type: 'file'
  /** Longer than the file, to grow into; zero beyond `size`. */
  data: Buffer
  size: number
}
interface DirectoryNode extends CommonNode {
  readonly type: 'directory'
  readonly entries: Map<string, Node>
  parent: DirectoryNode | undefined
}
interface LinkNode extends CommonNode {
  readonly type: 'symlink'
  readonly target: string
}
type Node = FileNode | DirectoryNode | LinkNode

export interface MemoryFileSystemOptions {
  /** Bytes that all files together may have; 256 MiB by default. */
  readonly capacity?: number
  /** Bits that new files do not get; 0o022 by default. */
  readonly umask?: number
}

const maximumLinks = 40
const maximumNameBytes = 255
const blockSize = 4096
const entriesPerBatch = 64

/** Files in memory, with the rules of POSIX but without owners' rights. Everything is lost with the object. */
export class MemoryFileSystem implements FileSystem {
  readonly #root: DirectoryNode
  readonly #capacity: number
  readonly #umask: number
  #used = 0

  constructor(options: MemoryFileSystemOptions = {}) {
    this.#capacity = options.capacity ?? 256 * 1024 * 1024
    this.#umask = options.umask ?? 0o022
    this.#root = { type: 'directory', entries: new Map(), parent: undefined, ...fresh(0o755) }
  }

  /** The node of a path, and where its name is or would be. */
  #find(path: string, follow: boolean): { directory: DirectoryNode; name: string; node: Node | undefined } {
    let pending = checkPath(path).split('/')
    const mustBeDirectory = pending.length > 1 && pending.at(-1) === ''
    let at = this.#root
    let links = 0
    const clean = (parts: string[]): string[] => parts.filter(part => part !== '' && part !== '.')
    pending = clean(pending)
    while (pending.length > 0) {
      const name = pending.shift()!
      if (name === '..') {
        at = at.parent ?? at
        continue
      }
      if (Buffer.byteLength(name) > maximumNameBytes) throw failed('invalid-filename', path)
      const node = at.entries.get(name)
      const last = pending.length === 0
      if (node?.type === 'symlink' && (!last || follow || mustBeDirectory)) {
        if (++links > maximumLinks) throw failed('link-loop', path)
        if (node.target.startsWith('/')) at = this.#root
        pending = [...clean(node.target.split('/')), ...pending]
        continue
      }
      if (last) {
        if (mustBeDirectory && node && node.type !== 'directory') throw failed('not-a-directory', path)
        return { directory: at, name, node }
      }
      if (!node) throw failed('no-such-file', path)
      if (node.type !== 'directory') throw failed('not-a-directory', path)
      at = node
    }
    return { directory: at.parent ?? at, name: '', node: at }
  }

  #existing(path: string, follow = true): Node {
    const { node } = this.#find(path, follow)
    if (!node) throw failed('no-such-file', path)
    return node
  }

  /** Where a new file goes. */
  #free(path: string): { directory: DirectoryNode; name: string } {
    const { directory, name, node } = this.#find(path, false)
    if (node) throw failed('file-already-exists', path)
    return { directory, name }
  }

  #put(directory: DirectoryNode, name: string, node: Node): void {
    directory.entries.set(name, node)
    if (node.type === 'directory') node.parent = directory
    touch(directory)
  }

  async realpath(path: string): Promise<string> {
    const { directory, name, node } = this.#find(path, true)
    const parts = name === '' ? [] : [name]
    let at = node?.type === 'directory' && name === '' ? node : directory
    for (; at.parent; at = at.parent) {
      for (const [candidate, child] of at.parent.entries) if (child === at) parts.unshift(candidate)
    }
    return `/${parts.join('/')}`
  }

  async stat(path: string): Promise<Attributes> {
    return attributesOf(this.#existing(path))
  }

  async lstat(path: string): Promise<Attributes> {
    return attributesOf(this.#existing(path, false))
  }

  async setstat(path: string, changes: Attributes): Promise<void> {
    this.#change(this.#existing(path), changes, path)
  }

  async lsetstat(path: string, changes: Attributes): Promise<void> {
    this.#change(this.#existing(path, false), changes, path)
  }

  #change(node: Node, changes: Attributes, path: string): void {
    if (changes.size !== undefined) {
      if (node.type !== 'file') throw failed(node.type === 'directory' ? 'file-is-a-directory' : 'failure', path)
      this.#resize(node, changes.size, path)
    }
    for (const field of ['uid', 'gid', 'atime', 'mtime'] as const) {
      const value = changes[field]
      if (value !== undefined) node[field] = value
    }
    if (changes.atime !== undefined) node.atimeNs = changes.atimeNs ?? 0
    if (changes.mtime !== undefined) node.mtimeNs = changes.mtimeNs ?? 0
    if (changes.permissions !== undefined) node.permissions = changes.permissions & 0o7777
  }

  #resize(node: FileNode, size: number, path: string): void {
    if (this.#used - node.size + size > this.#capacity) throw failed('no-space-on-filesystem', path)
    if (size > node.data.length) {
      const grown = Buffer.alloc(Math.max(size, node.data.length * 2))
      node.data.copy(grown, 0, 0, node.size)
      node.data = grown
    } else if (size < node.size) node.data.fill(0, size, node.size)
    this.#used += size - node.size
    node.size = size
    touch(node)
  }

  async open(path: string, flags: number, attributes: Attributes = {}): Promise<FileHandle> {
    const exclusive = (flags & OpenFlag.create) !== 0 && (flags & OpenFlag.exclusive) !== 0
    const found = this.#find(path, !exclusive)
    let { node } = found
    if (node && exclusive) throw failed('file-already-exists', path)
    if (!node) {
      if (!(flags & OpenFlag.create)) throw failed('no-such-file', path)
      const permissions = (attributes.permissions ?? 0o666) & ~this.#umask
      node = { type: 'file', data: Buffer.alloc(0), size: 0, ...fresh(permissions) }
      this.#put(found.directory, found.name, node)
    }
    if (node.type !== 'file') throw failed('file-is-a-directory', path)
    if (flags & OpenFlag.truncate) this.#resize(node, 0, path)
    return this.#handle(node, flags, path)
  }

  #handle(node: FileNode, flags: number, path: string): FileHandle {
    let state: 'open' | 'closed' = 'open'
    const check = (needed: number): void => {
      if (state === 'closed') throw failed('invalid-handle', path)
      if ((flags & needed) !== needed) throw failed('permission-denied', path)
    }
    return {
      readAt: async (offset, length) => {
        check(OpenFlag.read)
        return Buffer.from(node.data.subarray(offset, Math.min(offset + length, node.size)))
      },
      writeAt: async (offset, data) => {
        check(OpenFlag.write)
        const start = flags & OpenFlag.append ? node.size : offset
        const end = start + data.length
        if (end > node.size) this.#resize(node, end, path)
        data.copy(node.data, start)
        touch(node)
      },
      stat: async () => {
        check(0)
        return attributesOf(node)
      },
      setstat: async changes => {
        check(0)
        this.#change(node, changes, path)
      },
      close: async () => {
        check(0)
        state = 'closed'
      },
      sync: async () => check(0),
      statvfs: () => this.statvfs(),
      ranges: async (offset, length) => {
        check(0)
        return dataRanges(node, offset, length)
      },
    }
  }

  async opendir(path: string): Promise<DirectoryHandle> {
    const node = this.#existing(path)
    if (node.type !== 'directory') throw failed('not-a-directory', path)
    const entries = [...node.entries].map(
      ([name, child]): DirectoryEntry => ({ name, attributes: attributesOf(child) }),
    )
    return {
      read: async () => (entries.length > 0 ? entries.splice(0, entriesPerBatch) : undefined),
      close: async () => {},
    }
  }

  async mkdir(path: string, attributes: Attributes = {}): Promise<void> {
    const { directory, name } = this.#free(path)
    const permissions = (attributes.permissions ?? 0o777) & ~this.#umask
    this.#put(directory, name, { type: 'directory', entries: new Map(), parent: directory, ...fresh(permissions) })
  }

  async rmdir(path: string): Promise<void> {
    const { directory, name, node } = this.#find(path, false)
    if (!node) throw failed('no-such-file', path)
    if (node.type !== 'directory') throw failed('not-a-directory', path)
    if (node.entries.size > 0) throw failed('dir-not-empty', path)
    if (node === this.#root) throw failed('permission-denied', path)
    directory.entries.delete(name)
    touch(directory)
  }

  async remove(path: string): Promise<void> {
    const { directory, name, node } = this.#find(path, false)
    if (!node) throw failed('no-such-file', path)
    if (node.type === 'directory') throw failed('file-is-a-directory', path)
    this.#unlink(directory, name, node)
  }

  #unlink(directory: DirectoryNode, name: string, node: Node): void {
    directory.entries.delete(name)
    touch(directory)
    if (--node.linkCount === 0 && node.type === 'file') this.#used -= node.size
  }

  async rename(oldPath: string, newPath: string, overwrite = false): Promise<void> {
    const from = this.#find(oldPath, false)
    const to = this.#find(newPath, false)
    if (!from.node || from.name === '') throw failed('no-such-file', oldPath)
    if (to.node === from.node) return
    if (to.node) {
      if (!overwrite) throw failed('file-already-exists', newPath)
      if (to.node.type === 'directory') {
        if (from.node.type !== 'directory') throw failed('file-is-a-directory', newPath)
        if (to.node.entries.size > 0) throw failed('dir-not-empty', newPath)
      } else if (from.node.type === 'directory') throw failed('not-a-directory', newPath)
    }
    for (let at: DirectoryNode | undefined = to.directory; at; at = at.parent) {
      if (at === from.node) throw failed('invalid-parameter', newPath)
    }
    if (to.node) this.#unlink(to.directory, to.name, to.node)
    from.directory.entries.delete(from.name)
    touch(from.directory)
    this.#put(to.directory, to.name, from.node)
  }

  async readlink(path: string): Promise<string> {
    const node = this.#existing(path, false)
    if (node.type !== 'symlink') throw failed('invalid-parameter', path)
    return node.target
  }

  async symlink(target: string, path: string): Promise<void> {
    if (target === '') throw failed('no-such-file', path)
    const { directory, name } = this.#free(path)
    this.#put(directory, name, { type: 'symlink', target: checkPath(target), ...fresh(0o777) })
  }

  async link(existing: string, newPath: string): Promise<void> {
    const node = this.#existing(existing, false)
    if (node.type === 'directory') throw failed('permission-denied', existing)
    const { directory, name } = this.#free(newPath)
    node.linkCount++
    this.#put(directory, name, node)
  }

  async statvfs(): Promise<FileSystemStatistics> {
    const blocks = Math.floor(this.#capacity / blockSize)
    const free = Math.floor((this.#capacity - this.#used) / blockSize)
    return {
      blockSize,
      fragmentSize: blockSize,
      blocks,
      freeBlocks: free,
      availableBlocks: free,
      files: 0,
      freeFiles: 0,
      availableFiles: 0,
      id: 0,
      flags: 0,
      maximumNameLength: maximumNameBytes,
    }
  }

  async homeDirectory(user: string): Promise<string> {
    if (user !== '') throw new SftpError('no-such-file')
    return '/'
  }

  async accountNames(uids: readonly number[], gids: readonly number[]) {
    return { users: uids.map(id => (id === 0 ? 'root' : '')), groups: gids.map(id => (id === 0 ? 'root' : '')) }
  }
}

const failed = (code: SftpErrorCode, path: string): SftpError => new SftpError(code, { path })

function fresh(permissions: number): CommonNode {
  const now = Date.now()
  const seconds = Math.floor(now / 1000)
  const ns = (now % 1000) * 1_000_000
  return { permissions, uid: 0, gid: 0, atime: seconds, atimeNs: ns, mtime: seconds, mtimeNs: ns, linkCount: 1 }
}

function touch(node: Node): void {
  const now = Date.now()
  node.mtime = Math.floor(now / 1000)
  node.mtimeNs = (now % 1000) * 1_000_000
}

function attributesOf(node: Node): Attributes {
  const { permissions, uid, gid, atime, atimeNs, mtime, mtimeNs, linkCount } = node
  const size = node.type === 'file' ? node.size : node.type === 'symlink' ? Buffer.byteLength(node.target) : blockSize
  const type: FileType = node.type
  return { type, size, permissions, uid, gid, atime, atimeNs, mtime, mtimeNs, linkCount }
}

/** Blocks that are not all zero count as data. */
function dataRanges(node: FileNode, offset: number, length: number): DataRange[] {
  const end = Math.min(offset + length, node.size)
  const found: { offset: number; length: number }[] = []
  for (let at = offset; at < end; ) {
    const next = Math.min((Math.floor(at / blockSize) + 1) * blockSize, end)
    const last = found.at(-1)
    if (!node.data.subarray(at, next).every(byte => byte === 0)) {
      if (last && last.offset + last.length === at) last.length += next - at
      else found.push({ offset: at, length: next - at })
    }
    at = next
  }
  return found
}
