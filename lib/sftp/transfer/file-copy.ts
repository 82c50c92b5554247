import type { Attributes } from '../attributes.ts'
import type { FileHandle, FileSystem } from '../filesystem.ts'
import { OpenFlag } from '../messages.ts'
import { baseName, directoryName, joinPath } from '../paths.ts'
import { SftpError } from '../status.ts'
import type { Flow } from './flow.ts'
import { isLost, TransferError, type TransferOptions, type TransferStep } from './options.ts'
import { Pump } from './pump.ts'
import { commonPrefix } from './resume.ts'

/** A file to copy, with what a listing or a look told of it. */
export interface FileItem {
  readonly source: string
  readonly target: string
  readonly attributes: Attributes
  /** Of an attempt that a lost connection ended: all before this offset is in the target. */
  readonly whole?: number | undefined
  /** With `atomic`: the name that every attempt writes to. Made by the first one, so that it is nobody else's. */
  readonly temporary?: string | undefined
  /** An attempt before this one was cut off. */
  readonly isAgain?: boolean
}

export interface FileCopyContext {
  readonly source: FileSystem
  readonly target: FileSystem
  readonly flow: Flow
  readonly blockSize: number
  readonly options: TransferOptions
  /** So many bytes of the file are there now; `kept` of them were there before. */
  moved(bytes: number, kept?: boolean): void
  /** The copy failed, with the target whole up to this offset. */
  cutAt(whole: number): void
}

/** Runs one step of a copy; its error names the step and the file. */
async function step<T>(name: TransferStep, item: FileItem, action: Promise<T> | undefined): Promise<T> {
  try {
    return await (action as Promise<T>)
  } catch (error) {
    throw failed(name, item, error)
  }
}

export function failed(name: TransferStep, { source, target }: FileItem, error: unknown): Error {
  return error instanceof TransferError ? error : new TransferError(name, source, target, error)
}

/** What is set once the data is there. */
export function preservedAttributes(
  { permissions, atime, atimeNs, mtime, mtimeNs }: Attributes,
  mask: number,
): Attributes {
  return {
    ...(permissions !== undefined && { permissions: permissions & mask }),
    ...(mtime !== undefined && {
      atime: atime ?? mtime,
      mtime,
      ...(atimeNs !== undefined && { atimeNs }),
      ...(mtimeNs !== undefined && { mtimeNs }),
    }),
  }
}

/** What a new file is created with. */
export function creationAttributes({ attributes }: FileItem, { modes, preserve }: TransferOptions): Attributes {
  const { permissions } = attributes
  if (permissions === undefined || (modes === 'default' && !preserve)) return {}
  return { permissions: (permissions & 0o777) | (modes === 'writable' ? 0o200 : 0) }
}

/** Where the data goes until the file is whole. */
export function placeFor({ target, temporary }: FileItem, { atomic, resume = 'no' }: TransferOptions): string {
  if (!atomic) return target
  return resume === 'no' ? (temporary ?? temporaryName(target)) : partialName(target)
}

/** How a file is opened that replaces an old one. */
export const creating = OpenFlag.write | OpenFlag.create | OpenFlag.truncate

/**
 * Copies one file. Until its data has been asked for successfully, the target is not touched.
 * @throws TransferError, SftpError aborted
 */
export async function copyFile(context: FileCopyContext, item: FileItem): Promise<void> {
  const { source, target } = context
  if (await copyInside(context, item)) return
  const from = await step('open-source', item, source.open(item.source, OpenFlag.read))
  try {
    await copyOpened(context, item, from, target)
  } finally {
    await from.close().catch(() => {})
  }
}

/** Copies within a server when it can. */
async function copyInside({ source, target, moved, options }: FileCopyContext, item: FileItem): Promise<boolean> {
  if (source !== target) return false
  const [one, other] = await Promise.all([
    step('look', item, source.realpath(item.source)),
    target.realpath(item.target).catch(() => undefined),
  ])
  if (one === other) throw failed('open-target', item, new SftpError('failure', { message: 'are the same file' }))
  if (!source.copyData || options.atomic || (options.resume ?? 'no') !== 'no') return false
  const from = await step('open-source', item, source.open(item.source, OpenFlag.read))
  try {
    const permissions = (item.attributes.permissions ?? 0o666) & 0o777
    const to = await step('open-target', item, target.open(item.target, creating, { permissions }))
    try {
      if (!(await step('write', item, source.copyData(from, 0, 0, to, 0)))) return false
      if (options.preserve) await step('attributes', item, to.setstat(preservedAttributes(item.attributes, 0o777)))
      moved(item.attributes.size ?? 0)
      return true
    } finally {
      await to.close().catch(() => {})
    }
  } finally {
    await from.close().catch(() => {})
  }
}

async function copyOpened(
  context: FileCopyContext,
  item: FileItem,
  from: FileHandle,
  target: FileSystem,
): Promise<void> {
  const { options } = context
  const before = { ...item.attributes, ...(await step('look', item, from.stat())) }
  if (before.type !== undefined && before.type !== 'file' && before.type !== 'unknown') {
    throw failed('look', item, new SftpError('failure', { message: 'not a regular file' }))
  }
  const resume = options.resume ?? 'no'
  const place = placeFor(item, options)
  let flags = OpenFlag.write | OpenFlag.create
  if (resume === 'verify') flags |= OpenFlag.read
  else if (resume === 'no' && item.whole === undefined)
    flags |= place !== item.target && !item.isAgain ? OpenFlag.exclusive : OpenFlag.truncate
  const to = await step('open-target', item, target.open(place, flags, creationAttributes(item, options)))
  let state: 'copying' | 'copied' = 'copying'
  try {
    try {
      const fresh = resume === 'no' && item.whole === undefined
      const start = fresh ? 0 : await resumePoint(context, item, from, to, before)
      await pumpData(context, item, from, to, start, before)
      if (options.preserve) await step('attributes', item, to.setstat(preservedAttributes(before, 0o777)))
      if (options.sync) await step('finish', item, to.sync?.() ?? Promise.resolve())
      state = 'copied'
    } finally {
      const closing = to.close()
      if (state === 'copied') await step('finish', item, closing)
      else await closing.catch(() => {})
    }
    if (options.atomic) await step('rename', item, rename(target, place, item.target))
  } catch (error) {
    // What a later attempt, or a later run, goes on with stays.
    const keeps =
      resume !== 'no' || (options.retry !== undefined && error instanceof TransferError && isLost(error.reason))
    if (place !== item.target && !keeps) await target.remove(place).catch(() => {})
    throw error
  }
}

/** How much of the target can stay; the rest is cut off. */
async function resumePoint(
  { options, moved, blockSize }: FileCopyContext,
  item: FileItem,
  from: FileHandle,
  to: FileHandle,
  { size = 0, mtime }: Attributes,
): Promise<number> {
  const present = (await step('resume', item, to.stat())).size ?? 0
  if (present > size) {
    throw failed('resume', item, new SftpError('failure', { message: 'the target is larger than the source' }))
  }
  const known = item.whole !== undefined && item.whole <= present && item.attributes.mtime === mtime
  let start = present
  if (known) start = item.whole!
  else if (options.resume !== 'size') start = await step('resume', item, commonPrefix(from, to, present, blockSize))
  if (start < present) await step('resume', item, to.setstat({ size: start }))
  moved(start, true)
  return start
}

async function pumpData(
  { options, flow, blockSize, moved, cutAt }: FileCopyContext,
  item: FileItem,
  from: FileHandle,
  to: FileHandle,
  start: number,
  before: Attributes,
): Promise<void> {
  const pump = new Pump({
    from,
    to,
    start,
    size: before.size ?? 0,
    blockSize,
    sparse: options.sparse ?? true,
    flow,
    signal: options.signal,
    moved,
    readFailed: error => failed('read', item, error),
    writeFailed: error => failed('write', item, error),
  })
  try {
    await pump.run()
    if (pump.endsInHole) await step('write', item, endAt(to, pump.end))
  } catch (error) {
    // What follows a gap must not look like a good beginning of the file.
    await to.setstat({ size: pump.whole }).catch(() => {})
    cutAt(pump.whole)
    throw error
  }
  if (options.checkChanges ?? true) checkUnchanged(item, before, await step('read', item, from.stat()))
}

async function endAt(to: FileHandle, size: number): Promise<void> {
  try {
    await to.setstat({ size })
  } catch (error) {
    if (isLost(error)) throw error
    await to.writeAt(size - 1, Buffer.alloc(1))
  }
}

/** A file that only grew is whole as far as it was read. */
function checkUnchanged(item: FileItem, before: Attributes, after: Attributes): void {
  const grew = (after.size ?? 0) > (before.size ?? 0)
  const sameTime = after.mtime === before.mtime && (after.mtimeNs ?? 0) === (before.mtimeNs ?? 0)
  if (grew || (sameTime && after.size === before.size)) return
  throw failed('read', item, new SftpError('failure', { message: 'file changed while it was read' }))
}

/** rename(2), also with servers that cannot replace a file, as long as there is none. */
export async function rename(files: FileSystem, from: string, to: string): Promise<void> {
  try {
    await files.rename(from, to, true)
  } catch (error) {
    if (!(error instanceof SftpError && error.code === 'op-unsupported')) throw error
    await files.rename(from, to)
  }
}

const maximumNameLength = 255

function beside(target: string, suffix: string): string {
  let base = baseName(target)
  while (Buffer.byteLength(base) + suffix.length + 1 > maximumNameLength) base = base.slice(0, -1)
  const directory = directoryName(target)
  const name = `.${base}${suffix}`
  return directory === '.' && !target.startsWith('./') ? name : joinPath(directory, name)
}

let counter = 0

/** A name that nothing has; opening it demands that. */
export const temporaryName = (target: string): string =>
  beside(target, `.tssh-${Date.now().toString(36)}${(counter++).toString(36)}`)

/** The name of what a later run goes on with. */
export const partialName = (target: string): string => beside(target, '.tssh-part')
