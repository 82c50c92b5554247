import { type Attributes, attributeFlag } from './attributes.ts'
import type { DirectoryEntry } from './filesystem.ts'
import { longName } from './longname.ts'
import {
  Access,
  appendData,
  Disposition,
  type Messages,
  maximumDataLength,
  type NameEntry,
  OpenFlag,
  type PacketLayout,
  RealpathCheck,
  RenameFlag,
} from './messages.ts'
import { checkPath, joinPath, normalizePath } from './paths.ts'
import {
  attributesReply,
  dataReply,
  handleReply,
  namesReply,
  pathReply,
  type Reply,
  type ServerContext,
  type Work,
} from './server-context.ts'
import { closeOpened, type OpenDirectory } from './server-handles.ts'
import { SftpError } from './status.ts'

/** A request that the server answers. */
export interface RequestRow<T> {
  /** As in the lists of sftp-server(8), -P and -p. */
  readonly name: string
  /** Refused by a read-only server. */
  readonly writes: boolean
  readonly layout: (messages: Messages) => PacketLayout<T>
  /** Judges the request; throws SftpError for what cannot be. */
  readonly prepare: (request: T, context: ServerContext) => Work
}

/** A row whose types no longer matter to those who look it up. */
export type AnyRequestRow = RequestRow<never>

function row<T>(
  name: string,
  writes: boolean,
  layout: (messages: Messages) => PacketLayout<T>,
  prepare: (request: T, context: ServerContext) => Work,
): AnyRequestRow {
  return { name, writes, layout, prepare } as RequestRow<T> as unknown as AnyRequestRow
}

/** Names as the order of requests compares them; links are not known here. */
export const scopePath = (path: string): string =>
  path.startsWith('/') ? normalizePath(path) : normalizePath(`/./${path}`)

const reading = (...paths: string[]) => ({ writes: false, paths: paths.map(scopePath) })
const writing = (...paths: string[]) => ({ writes: true, paths: paths.map(scopePath) })

/** Offsets that cannot be computed with, 2^53 and above, fail cleanly. @throws SftpError invalid-parameter */
export function checkRange(offset: number, length = 0): void {
  if (!Number.isSafeInteger(offset + length)) throw new SftpError('invalid-parameter')
}

/** What a client may change. @throws SftpError invalid-parameter */
export function changesOf(attributes: Attributes): Attributes {
  if (attributes.size !== undefined) checkRange(attributes.size)
  const changes = { ...attributes }
  // Owners that are numbers in text (draft -13 §7.5).
  if (changes.owner !== undefined && /^\d{1,10}$/.test(changes.owner)) changes.uid = Number(changes.owner)
  if (changes.group !== undefined && /^\d{1,10}$/.test(changes.group)) changes.gid = Number(changes.group)
  if (changes.uid !== undefined) delete changes.owner
  if (changes.gid !== undefined) delete changes.group
  return changes
}

const creationAttributes = ({ permissions }: Attributes): Attributes =>
  permissions === undefined ? {} : { permissions }

const dispositionFlags: Readonly<Record<number, number>> = {
  [Disposition.createNew]: OpenFlag.create | OpenFlag.exclusive,
  [Disposition.createTruncate]: OpenFlag.create | OpenFlag.truncate,
  [Disposition.openExisting]: 0,
  [Disposition.openOrCreate]: OpenFlag.create,
  [Disposition.truncateExisting]: OpenFlag.truncate,
}

const knownAccess =
  Access.readData | Access.writeData | Access.appendData | Access.readAttributes | Access.writeAttributes
const knownOpenFlags = Object.values(OpenFlag).reduce((all, bit) => all | bit, 0)
/** SSH_FXF_TEXT of version 4, which changes nothing where lines end in a newline. */
const textFlag = 0x40

/** The bits of OpenFlag from an OPEN of any version. @throws SftpError invalid-parameter */
export function requestedFlags(access: number, flags: number, version: number): number {
  if (version < 5) {
    if (flags & ~(knownOpenFlags | textFlag)) throw new SftpError('invalid-parameter')
    return flags & knownOpenFlags
  }
  const disposition = dispositionFlags[flags & Disposition.mask]
  const unknown = (flags & ~(Disposition.mask | appendData)) | (access & ~knownAccess)
  if (disposition === undefined || unknown !== 0) throw new SftpError('invalid-parameter')
  let result = disposition
  if (access & (Access.readData | Access.readAttributes)) result |= OpenFlag.read
  if (access & (Access.writeData | Access.appendData)) result |= OpenFlag.write
  if (access & Access.appendData || flags & appendData) result |= OpenFlag.append | OpenFlag.write
  return result
}

/** No failure, and common: an error made anew each time would cost more than the request. */
const endOfFile = new SftpError('eof')

const changesSomething = OpenFlag.write | OpenFlag.append | OpenFlag.create | OpenFlag.truncate

/** Most names in one answer, as OpenSSH has it. */
const namesPerReply = 100

/** Answers to the requests that all versions have, by packet type. */
export const requestRows: ReadonlyMap<number, AnyRequestRow> = new Map<number, AnyRequestRow>([
  [
    3,
    row(
      'open',
      false,
      m => m.open,
      ({ path, access, flags, attributes }, context) => {
        checkPath(path)
        const wanted = requestedFlags(access, flags, context.version)
        const changes = (wanted & changesSomething) !== 0
        if (changes && context.access === 'read-only') throw new SftpError('permission-denied', { path })
        return {
          scope: { writes: changes, paths: [scopePath(path)] },
          run: async () => {
            const handle = await context.handles.add(async () => ({
              kind: 'file',
              path,
              file: await context.files.open(path, wanted, creationAttributes(attributes)),
            }))
            return handleReply(context, handle)
          },
          atOnce: () => {
            const { files } = context
            if (!files.openAtOnce) return 'later'
            const handle = context.handles.addAtOnce(() => {
              const file = files.openAtOnce!(path, wanted, creationAttributes(attributes))
              return file && { kind: 'file', path, file }
            })
            return handle ? handleReply(context, handle) : 'later'
          },
        }
      },
    ),
  ],
  [
    4,
    row(
      'close',
      false,
      m => m.close,
      ({ handle }, { handles }) => {
        const opened = handles.get(handle)
        return {
          scope: { writes: true, handle: opened, paths: [scopePath(opened.path)] },
          run: async () => {
            await closeOpened(handles.remove(handle))
            return undefined
          },
          atOnce: () => {
            if (opened.kind !== 'file' || !opened.file.closeAtOnce) return 'later'
            let isClosed = true
            try {
              isClosed = opened.file.closeAtOnce()
            } finally {
              if (isClosed) handles.remove(handle)
            }
            return isClosed ? undefined : 'later'
          },
        }
      },
    ),
  ],
  [
    5,
    row(
      'read',
      false,
      m => m.read,
      ({ handle, offset, length }, { handles, memory }) => {
        const opened = handles.file(handle)
        const size = Math.min(length, maximumDataLength)
        checkRange(offset, size)
        return {
          scope: { writes: false, handle: opened, start: offset, end: offset + size },
          bytes: size,
          run: async () => {
            if (size === 0) return dataReply(Buffer.alloc(0))
            const data = await opened.file.readAt(offset, size)
            if (data.length === 0) throw endOfFile
            return dataReply(data)
          },
          atOnce: () => {
            if (size === 0 || !opened.file.readAtOnce) return 'later'
            const room = memory.room(size)
            const count = opened.file.readAtOnce(offset, room)
            if (count === undefined) return 'later'
            if (count === 0) throw endOfFile
            memory.keep(count)
            return dataReply(room.subarray(0, count))
          },
        }
      },
    ),
  ],
  [
    6,
    row(
      'write',
      true,
      m => m.write,
      ({ handle, offset, data }, { handles }) => {
        const opened = handles.file(handle)
        checkRange(offset, data.length)
        return {
          scope: { writes: true, handle: opened, start: offset, end: offset + data.length },
          bytes: data.length,
          run: async () => {
            await opened.file.writeAt(offset, data)
            return undefined
          },
          atOnce: () => (opened.file.writeAtOnce?.(offset, data) ? undefined : 'later'),
        }
      },
    ),
  ],
  [
    7,
    row(
      'lstat',
      false,
      m => m.lstat,
      ({ path, wanted }, context) => statWork(path, wanted, context, 'lstat'),
    ),
  ],
  [
    8,
    row(
      'fstat',
      false,
      m => m.fstat,
      ({ handle, wanted }, context) => {
        const opened = context.handles.file(handle)
        return {
          scope: { writes: false, handle: opened },
          run: async () => attributesReply(context, await context.named(asked(await opened.file.stat(), wanted))),
        }
      },
    ),
  ],
  [
    9,
    row(
      'setstat',
      true,
      m => m.setstat,
      ({ path, attributes }, { files }) => {
        checkPath(path)
        return { scope: writing(path), run: quiet(() => files.setstat(path, changesOf(attributes))) }
      },
    ),
  ],
  [
    10,
    row(
      'fsetstat',
      true,
      m => m.fsetstat,
      ({ handle, attributes }, { handles }) => {
        const opened = handles.file(handle)
        return {
          scope: { writes: true, handle: opened, paths: [scopePath(opened.path)] },
          run: quiet(() => opened.file.setstat(changesOf(attributes))),
          atOnce: () => (opened.file.setstatAtOnce?.(changesOf(attributes)) ? undefined : 'later'),
        }
      },
    ),
  ],
  [
    11,
    row(
      'opendir',
      false,
      m => m.opendir,
      ({ path }, context) => ({
        scope: reading(checkPath(path)),
        run: async () => {
          const handle = await context.handles.add(async () => ({
            kind: 'directory',
            path,
            directory: await context.files.opendir(path),
            queue: await selfAndParent(path, context),
            state: 'more',
          }))
          return handleReply(context, handle)
        },
      }),
    ),
  ],
  [
    12,
    row(
      'readdir',
      false,
      m => m.readdir,
      ({ handle }, context) => {
        const opened = context.handles.directory(handle)
        // One after another, as they share what was read.
        return { scope: { writes: true, handle: opened }, run: () => readDirectory(opened, context) }
      },
    ),
  ],
  [
    13,
    row(
      'remove',
      true,
      m => m.remove,
      ({ path }, { files }) => ({
        scope: writing(checkPath(path)),
        run: quiet(() => files.remove(path)),
      }),
    ),
  ],
  [
    14,
    row(
      'mkdir',
      true,
      m => m.mkdir,
      ({ path, attributes }, { files }) => ({
        scope: writing(checkPath(path)),
        run: quiet(() => files.mkdir(path, creationAttributes(attributes))),
      }),
    ),
  ],
  [
    15,
    row(
      'rmdir',
      true,
      m => m.rmdir,
      ({ path }, { files }) => ({
        scope: writing(checkPath(path)),
        run: quiet(() => files.rmdir(path)),
      }),
    ),
  ],
  [
    16,
    row(
      'realpath',
      false,
      m => m.realpath,
      ({ path, check, compose }, context) => {
        const whole = checkPath(compose.reduce(joinPath, path))
        if (check < RealpathCheck.none || check > RealpathCheck.statAlways) throw new SftpError('invalid-parameter')
        return { scope: reading(whole), run: () => realpath(whole, check, context) }
      },
    ),
  ],
  [
    17,
    row(
      'stat',
      false,
      m => m.stat,
      ({ path, wanted }, context) => statWork(path, wanted, context, 'stat'),
    ),
  ],
  [
    18,
    row(
      'rename',
      true,
      m => m.rename,
      ({ oldPath, newPath, flags }, { files }) => {
        const overwrite = (flags & (RenameFlag.overwrite | RenameFlag.atomic)) !== 0
        return {
          scope: writing(checkPath(oldPath), checkPath(newPath)),
          run: quiet(() => files.rename(oldPath, newPath, overwrite)),
        }
      },
    ),
  ],
  [
    19,
    row(
      'readlink',
      false,
      m => m.readlink,
      ({ path }, context) => ({
        scope: reading(checkPath(path)),
        run: async () => pathReply(context, await context.files.readlink(path)),
      }),
    ),
  ],
  [
    20,
    row(
      'symlink',
      true,
      m => m.symlink,
      ({ first, second }, { files, symlinkOrder }) => {
        const [target, path] = symlinkOrder === 'openssh' ? [first, second] : [second, first]
        checkPath(target)
        return { scope: writing(checkPath(path)), run: quiet(() => files.symlink(target, path)) }
      },
    ),
  ],
])

/** Requests that only version 6 has. */
export const version6Rows: ReadonlyMap<number, AnyRequestRow> = new Map<number, AnyRequestRow>([
  [
    21,
    row(
      'symlink',
      true,
      m => m.link,
      ({ newPath, existing, symbolic }, { files }) => {
        checkPath(existing)
        if (symbolic !== 0)
          return { scope: writing(checkPath(newPath)), run: quiet(() => files.symlink(existing, newPath)) }
        return { scope: writing(existing, checkPath(newPath)), run: quiet(() => files.link(existing, newPath)) }
      },
    ),
  ],
  [
    22,
    row(
      'block',
      true,
      m => m.block,
      ({ handle, offset, length, flags }, { handles }) => {
        const opened = handles.file(handle)
        checkRange(offset, length)
        return {
          scope: { writes: true, handle: opened },
          run: quiet(() => supported(opened.file.lock?.(offset, length, flags))),
        }
      },
    ),
  ],
  [
    23,
    row(
      'unblock',
      true,
      m => m.unblock,
      ({ handle, offset, length }, { handles }) => {
        const opened = handles.file(handle)
        checkRange(offset, length)
        return {
          scope: { writes: true, handle: opened },
          run: quiet(() => supported(opened.file.unlock?.(offset, length))),
        }
      },
    ),
  ],
])

/** What an optional method gave. @throws SftpError op-unsupported when there is no such method */
export function supported<T>(result: Promise<T> | undefined): Promise<T> {
  if (!result) throw new SftpError('op-unsupported')
  return result
}

/** Work that is answered by STATUS alone. */
export const quiet = (action: () => Promise<unknown>) => async (): Promise<undefined> => {
  await action()
}

function statWork(path: string, wanted: number, context: ServerContext, method: 'stat' | 'lstat'): Work {
  return {
    scope: reading(checkPath(path)),
    run: async () => attributesReply(context, await context.named(asked(await context.files[method](path), wanted))),
  }
}

/** Without the allocation size unless it was asked for: lftp speaks version 6 and looks for it elsewhere. */
function asked(attributes: Attributes, wanted = 0): Attributes {
  if (attributes.allocationSize === undefined || (wanted & attributeFlag.allocationSize) !== 0) return attributes
  const { allocationSize: _, ...others } = attributes
  return others
}

async function realpath(path: string, check: number, context: ServerContext): Promise<Reply> {
  const real = await context.files.realpath(path === '' ? '.' : path)
  if (check === RealpathCheck.none) return pathReply(context, real)
  const attributes = await context.files.stat(real).catch((error: unknown) => {
    if (check === RealpathCheck.statAlways) throw error
    return {}
  })
  return namesReply(context, [{ name: real, longname: real, attributes: await context.named(asked(attributes)) }])
}

/** The entries `.` and `..`, which clients show in full listings. */
async function selfAndParent(path: string, { files }: ServerContext): Promise<DirectoryEntry[]> {
  const attributes = async (name: string): Promise<Attributes> =>
    files.stat(joinPath(path === '' ? '.' : path, name)).catch(() => ({ type: 'directory' }))
  return [
    { name: '.', attributes: await attributes('.') },
    { name: '..', attributes: await attributes('..') },
  ]
}

async function readDirectory(opened: OpenDirectory, context: ServerContext): Promise<Reply> {
  while (opened.state === 'more' && opened.queue.length < namesPerReply) {
    const more = await opened.directory.read()
    if (more) opened.queue.push(...more)
    else opened.state = 'end'
  }
  if (opened.queue.length === 0) throw endOfFile
  const entries = opened.queue.splice(0, namesPerReply)
  const names: NameEntry[] = []
  for (const entry of entries) {
    const attributes = await context.named(asked(entry.attributes))
    const longname = context.version === 3 ? (entry.longname ?? longName(entry.name, attributes)) : ''
    names.push({ name: entry.name, longname, attributes })
  }
  return namesReply(context, names, opened.state === 'end' && opened.queue.length === 0)
}
