import { type HashName, hashLength } from '../crypto/hash.ts'
import { startHash } from '../crypto/running-hash.ts'
import type { SftpVersion } from './attributes.ts'
import * as ext from './extensions.ts'
import type { FileHandle, FileSystem } from './filesystem.ts'
import { maximumDataLength, maximumPacketLength, OpenFlag } from './messages.ts'
import { checkPath } from './paths.ts'
import { extendedReply, pathReply, type ServerContext, type Work } from './server-context.ts'
import { changesOf, checkRange, quiet, scopePath, supported } from './server-requests.ts'
import { SftpError } from './status.ts'

/** An extended request that the server answers. */
export interface ExtensionRow<T> {
  /** As in the lists of sftp-server(8), -P and -p. */
  readonly name: string
  readonly writes: boolean
  readonly extension: (version: SftpVersion) => Pick<ext.Extension<T, unknown>, 'name' | 'version' | 'request'>
  readonly prepare: (request: T, context: ServerContext) => Work
  /** Whether a file system has what it takes; else it is not announced. */
  readonly offered?: (files: FileSystem) => boolean
  /** Named by another announcement. */
  readonly unannounced?: true
}

export type AnyExtensionRow = ExtensionRow<never>

function row<T>(
  name: string,
  writes: boolean,
  extension: Pick<ext.Extension<T, unknown>, 'name' | 'version' | 'request'> | ExtensionRow<T>['extension'],
  prepare: (request: T, context: ServerContext) => Work,
  more: Pick<ExtensionRow<T>, 'offered' | 'unannounced'> = {},
): AnyExtensionRow {
  const of = typeof extension === 'function' ? extension : () => extension
  return { name, writes, extension: of, prepare, ...more } as ExtensionRow<T> as unknown as AnyExtensionRow
}

const copyBlock = 256 * 1024
/** Hashes in one answer to check-file. */
const maximumHashes = 2048
const smallestCheckBlock = 256

/** Most users and groups in one question. */
const maximumAccounts = 4096

const rows: readonly AnyExtensionRow[] = [
  row('posix-rename', true, ext.posixRename, ({ oldPath, newPath }, { files }) => ({
    scope: { writes: true, paths: [scopePath(checkPath(oldPath)), scopePath(checkPath(newPath))] },
    run: quiet(() => files.rename(oldPath, newPath, true)),
  })),
  row(
    'statvfs',
    false,
    ext.statvfs,
    ({ path }, { files }) => ({
      scope: { writes: false, paths: [scopePath(checkPath(path))] },
      run: async () => extendedReply(ext.statistics, await supported(files.statvfs?.(path))),
    }),
    { offered: files => files.statvfs !== undefined },
  ),
  row(
    'fstatvfs',
    false,
    ext.fstatvfs,
    ({ handle }, { handles }) => {
      const opened = handles.file(handle)
      return {
        scope: { writes: false, handle: opened },
        run: async () => extendedReply(ext.statistics, await supported(opened.file.statvfs?.())),
      }
    },
    { offered: files => files.statvfs !== undefined },
  ),
  row('hardlink', true, ext.hardlink, ({ oldPath, newPath }, { files }) => ({
    scope: { writes: true, paths: [scopePath(checkPath(oldPath)), scopePath(checkPath(newPath))] },
    run: quiet(() => files.link(oldPath, newPath)),
  })),
  row('fsync', true, ext.fsync, ({ handle }, { handles }) => {
    const opened = handles.file(handle)
    return { scope: { writes: true, handle: opened }, run: quiet(() => supported(opened.file.sync?.())) }
  }),
  row('lsetstat', true, ext.lsetstat, ({ path, attributes }, { files }) => ({
    scope: { writes: true, paths: [scopePath(checkPath(path))] },
    run: quiet(() => files.lsetstat(path, changesOf(attributes))),
  })),
  row('limits', false, ext.limits, (_, { maximumHandles }) => ({
    scope: { writes: false },
    run: async () =>
      extendedReply<ext.Limits>(ext.limits.reply as never, {
        maximumPacketLength,
        maximumReadLength: maximumDataLength,
        maximumWriteLength: maximumDataLength,
        maximumOpenHandles: maximumHandles,
      }),
  })),
  row('expand-path', false, ext.expandPath, ({ path }, context) => ({
    scope: { writes: false, paths: [scopePath(checkPath(path))] },
    run: async () => pathReply(context, await context.files.realpath(await expand(path, context.files))),
  })),
  row('copy-data', true, ext.copyData, (request, { handles, files }) => {
    const from = handles.file(request.from)
    const to = handles.file(request.to)
    if (from === to) throw new SftpError('invalid-parameter')
    checkRange(request.offset, request.length)
    checkRange(request.at, request.length)
    return {
      // The source is only read, but its writers must wait as well.
      scope: { writes: true, handle: to, paths: [scopePath(from.path), scopePath(to.path)] },
      run: quiet(() => copyData(files, from.file, to.file, request)),
    }
  }),
  row(
    'home-directory',
    false,
    ext.homeDirectory,
    ({ user }, context) => ({
      scope: { writes: false },
      run: async () => pathReply(context, await supported(context.files.homeDirectory?.(checkPath(user)))),
    }),
    { offered: files => files.homeDirectory !== undefined },
  ),
  row(
    'users-groups-by-id',
    false,
    ext.accountNames,
    ({ uids, gids }, { files }) => {
      if (uids.length + gids.length > maximumAccounts) throw new SftpError('invalid-parameter')
      return {
        scope: { writes: false },
        run: async () =>
          extendedReply(ext.accountNames.reply as never, (await supported(files.accountNames?.(uids, gids))) as never),
      }
    },
    { offered: files => files.accountNames !== undefined },
  ),
  row('ranges', false, ext.dataRanges, ({ handle, offset, length }, { handles }) => {
    const opened = handles.file(handle)
    const bounded = Math.min(length, Number.MAX_SAFE_INTEGER - offset)
    checkRange(offset)
    return { scope: { writes: false, handle: opened }, run: () => ranges(opened.file, offset, bounded) }
  }),
  row(
    'check-file',
    false,
    ext.checkFileHandle,
    (request, { handles }) => {
      const opened = handles.file(request.handle)
      return { scope: { writes: false, handle: opened }, run: () => hashes(opened.file, request) }
    },
    { unannounced: true },
  ),
  row(
    'check-file',
    false,
    ext.checkFileName,
    (request, { files }) => ({
      scope: { writes: false, paths: [scopePath(checkPath(request.path))] },
      run: async () => {
        const file = await files.open(request.path, OpenFlag.read)
        try {
          return await hashes(file, request)
        } finally {
          await file.close()
        }
      },
    }),
    { unannounced: true },
  ),
]

/** Answers to extended requests, by the name on the wire. */
export const extensionRows: ReadonlyMap<string, AnyExtensionRow> = new Map([
  ...rows.map((entry): [string, AnyExtensionRow] => [entry.extension(3).name, entry]),
  // As paramiko and ProFTPD call check-file-handle.
  [ext.checkFileAnnouncement, rows.find(entry => entry.extension(3).name === ext.checkFileHandle.name)!],
])

/** `~`, `~/x` and `~user/x` as a path that `realpath` takes; to sftp-server one's own home is where paths begin. */
async function expand(path: string, files: FileSystem): Promise<string> {
  if (!path.startsWith('~')) return path
  const slash = path.indexOf('/')
  const user = slash < 0 ? path.slice(1) : path.slice(1, slash)
  const home = user === '' ? await files.realpath('.') : await supported(files.homeDirectory?.(user))
  return slash < 0 ? home : home + path.slice(slash)
}

async function copyData(files: FileSystem, from: FileHandle, to: FileHandle, request: ext.CopyRequest): Promise<void> {
  const { offset, length, at } = request
  if (await files.copyData?.(from, offset, length, to, at)) return
  // Up to the end as it is now: a file copied behind itself would grow for ever.
  const size = (await from.stat()).size ?? 0
  const end = length === 0 ? size : Math.min(offset + length, size)
  let position = offset
  while (position < end) {
    const data = await from.readAt(position, Math.min(copyBlock, end - position))
    if (data.length === 0) return
    await to.writeAt(at + position - offset, data)
    position += data.length
  }
}

async function ranges(file: FileHandle, offset: number, length: number) {
  const size = (await file.stat()).size ?? 0
  const end = Math.min(offset + length, size)
  if (offset >= end) throw new SftpError('eof')
  const found = file.ranges ? await file.ranges(offset, end - offset) : [{ offset, length: end - offset }]
  if (found.length === 0) throw new SftpError('eof')
  const answer = { ranges: found.slice(0, ext.maximumRanges), atEnd: found.length <= ext.maximumRanges }
  return extendedReply(ext.dataRanges.reply as never, answer as never)
}

async function hashes(file: FileHandle, request: ext.CheckRequest) {
  const wanted = request.algorithms.split(',')
  const algorithm = wanted.find(name => Object.hasOwn(hashLength, ext.hashNameOf(name)))
  if (algorithm === undefined) throw new SftpError('op-unsupported')
  const name = ext.hashNameOf(algorithm) as HashName
  const size = (await file.stat()).size ?? 0
  const { offset, blockSize } = request
  if (!Number.isSafeInteger(offset) || offset > size) throw new SftpError('invalid-parameter')
  const end = request.length === 0 ? size : Math.min(offset + request.length, size)
  const block = blockSize === 0 ? Math.max(end - offset, 1) : blockSize
  if (blockSize !== 0 && blockSize < smallestCheckBlock) throw new SftpError('invalid-parameter')
  if ((end - offset) / block > maximumHashes) throw new SftpError('invalid-parameter')
  const parts: Buffer[] = []
  for (let at = offset; at < end || parts.length === 0; at += block) {
    parts.push(await hashOf(file, name, at, Math.min(at + block, end)))
  }
  const answer = { algorithm, hashes: Buffer.concat(parts) }
  return extendedReply<ext.FileHashes>(ext.checkFileHandle.reply as never, answer)
}

/** The hash of a part, read in pieces. */
export async function hashOf(file: FileHandle, name: HashName, start: number, end: number): Promise<Buffer> {
  const state = startHash(name)
  let at = start
  while (at < end) {
    const data = await file.readAt(at, Math.min(copyBlock, end - at))
    if (data.length === 0) throw new SftpError('eof')
    state.update(data)
    at += data.length
  }
  return state.digest()
}
