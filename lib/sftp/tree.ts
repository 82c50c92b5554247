import type { Attributes } from './attributes.ts'
import type { DirectoryEntry, FileSystem } from './filesystem.ts'
import { hasMagic, matchName, unescapeName } from './glob.ts'
import { isPlainName, joinPath } from './paths.ts'
import { SftpError } from './status.ts'

/** What can be done with whole trees of any file system. */

/** Deepest tree that is followed: a server could make one without end. */
export const maximumDepth = 256

/**
 * The files of a directory, without `.` and `..`; of a name that comes twice, the first. @throws SftpError bad-message
 * when a name is not one component of a path, which would make a copy land elsewhere
 */
export async function* entriesOf(files: FileSystem, path: string): AsyncGenerator<DirectoryEntry, void> {
  for await (const batch of entryBatches(files, path)) yield* batch
}

/** As `entriesOf`, as many at a time as the file system gives. */
export async function* entryBatches(files: FileSystem, path: string): AsyncGenerator<DirectoryEntry[], void> {
  const directory = await files.opendir(path)
  const seen = new Set<string>()
  try {
    for (let batch = await directory.read(); batch; batch = await directory.read()) {
      const entries: DirectoryEntry[] = []
      for (const entry of batch) {
        if (entry.name === '.' || entry.name === '..') continue
        if (!isPlainName(entry.name)) {
          throw new SftpError('bad-message', { path, message: `unexpected file name ${JSON.stringify(entry.name)}` })
        }
        if (seen.has(entry.name)) continue
        seen.add(entry.name)
        entries.push(entry)
      }
      yield entries
    }
  } finally {
    await directory.close().catch(() => {})
  }
}

/** Everything that an iterator gives. */
export async function collect<T>(values: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const value of values) list.push(value)
  return list
}

/** An entry's attributes, asked for when the listing did not tell the type. */
export const attributesOfEntry = async (files: FileSystem, path: string, entry: DirectoryEntry): Promise<Attributes> =>
  entry.attributes.type === undefined ? files.lstat(path) : entry.attributes

/** The type of a file, following links; undefined when there is none. */
export async function typeOf(files: FileSystem, path: string): Promise<Attributes['type']> {
  return (await attributesOrNothing(() => files.stat(path)))?.type
}

/** Undefined when the file does not exist. */
export async function attributesOrNothing(ask: () => Promise<Attributes>): Promise<Attributes | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

export const isMissing = (error: unknown): boolean =>
  error instanceof SftpError &&
  (error.code === 'no-such-file' || error.code === 'no-such-path' || error.code === 'not-a-directory')

/** A directory with what is in it. */
export interface WalkedDirectory {
  readonly path: string
  readonly directories: DirectoryEntry[]
  /** Everything that is no directory, links included. */
  readonly files: DirectoryEntry[]
}

/** All directories below and with `path`, each before what is in it. Links are not followed. */
export async function* walk(files: FileSystem, path: string, depth = 0): AsyncGenerator<WalkedDirectory, void> {
  if (depth > maximumDepth) throw new SftpError('failure', { path, message: 'directories nested too deeply' })
  const found: WalkedDirectory = { path, directories: [], files: [] }
  for await (const entry of entriesOf(files, path)) {
    const attributes = await attributesOfEntry(files, joinPath(path, entry.name), entry)
    const list = attributes.type === 'directory' ? found.directories : found.files
    list.push({ ...entry, attributes })
  }
  yield found
  for (const { name } of found.directories) yield* walk(files, joinPath(path, name), depth + 1)
}

/** Makes a directory and those above it. `existOk`: it may be there already, true by default. */
export async function makeDirectories(
  files: FileSystem,
  path: string,
  attributes: Attributes = {},
  existOk = true,
): Promise<void> {
  const parts = path.split('/').filter(part => part !== '' && part !== '.')
  let at = path.startsWith('/') ? '/' : ''
  let made = false
  for (const [index, part] of parts.entries()) {
    at = joinPath(at, part)
    const last = index === parts.length - 1
    try {
      await files.mkdir(at, last ? attributes : {})
      made = true
    } catch (error) {
      if ((await typeOf(files, at)) !== 'directory') throw error
      made = false
    }
  }
  if (!made && !existOk) throw new SftpError('file-already-exists', { path })
}

export interface RemoveTreeOptions {
  /** Told of each failure; then the rest goes on. Without it the first one is thrown. */
  onError?(error: SftpError, path: string): void
}

/** Removes a directory and everything in it. Links are removed, not followed. */
export async function removeTree(
  files: FileSystem,
  path: string,
  options: RemoveTreeOptions = {},
  depth = 0,
): Promise<void> {
  if (depth > maximumDepth) throw new SftpError('failure', { path, message: 'directories nested too deeply' })
  const attempt = async (at: string, action: () => Promise<void>): Promise<void> => {
    try {
      await action()
    } catch (error) {
      if (!options.onError || !(error instanceof SftpError) || error.code === 'connection-lost') throw error
      options.onError(error, at)
    }
  }
  if (depth === 0 && (await files.lstat(path)).type === 'symlink') {
    throw new SftpError('not-a-directory', { path, message: 'is a symbolic link' })
  }
  await attempt(path, async () => {
    const entries = await collect(entriesOf(files, path))
    await eachOf(entries, removeConcurrency, async entry => {
      const below = joinPath(path, entry.name)
      await attempt(below, async () => {
        const { type } = await attributesOfEntry(files, below, entry)
        if (type === 'directory') await removeTree(files, below, options, depth + 1)
        else await files.remove(below)
      })
    })
  })
  await attempt(path, () => files.rmdir(path))
}

const removeConcurrency = 16

/** Runs `action` for each value, at most `limit` at a time. Rejects with the first failure after all others ended. */
export async function eachOf<T>(
  values: Iterable<T>,
  limit: number,
  action: (value: T) => Promise<void>,
): Promise<void> {
  const iterator = values[Symbol.iterator]()
  let failure: { error: unknown } | undefined
  const worker = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done && !failure; next = iterator.next()) {
      try {
        await action(next.value)
      } catch (error) {
        failure ??= { error }
      }
    }
  }
  await Promise.all(Array.from({ length: limit }, worker))
  if (failure) throw failure.error
}

/** A path that a glob found. */
export interface GlobMatch {
  readonly path: string
  readonly attributes: Attributes
}

/**
 * The paths that match a pattern, sorted within each directory. `**` stands for any number of directories. A pattern
 * without magic matches itself, when it exists.
 */
export async function* glob(files: FileSystem, pattern: string): AsyncGenerator<GlobMatch, void> {
  const parts = pattern.split('/').filter((part, index, all) => part !== '' || index === all.length - 1)
  yield* globParts(files, pattern.startsWith('/') ? '/' : '', parts, 0)
}

async function* globParts(
  files: FileSystem,
  base: string,
  parts: readonly string[],
  depth: number,
): AsyncGenerator<GlobMatch, void> {
  if (depth > maximumDepth) return
  const index = parts.findIndex(hasMagic)
  if (index < 0) {
    const path = joinPath(base, parts.map(unescapeName).join('/')) || '.'
    const attributes = await attributesOrNothing(() => files.lstat(path))
    if (attributes) yield { path, attributes }
    return
  }
  const directory = joinPath(base, parts.slice(0, index).map(unescapeName).join('/'))
  const part = parts[index]!
  const rest = parts.slice(index + 1)
  if (part === '**' && rest.length > 0) yield* globParts(files, directory, rest, depth + 1)
  for (const entry of await sortedEntries(files, directory)) {
    const path = joinPath(directory, entry.name)
    if (part === '**') {
      if (entry.name.startsWith('.')) continue
      const attributes = await attributesOfEntry(files, path, entry)
      if (rest.length === 0) yield { path, attributes }
      if (attributes.type === 'directory') yield* globParts(files, path, ['**', ...rest], depth + 1)
    } else if (matchName(part, entry.name)) {
      if (rest.length > 0) yield* globParts(files, path, rest, depth + 1)
      else yield { path, attributes: await attributesOfEntry(files, path, entry) }
    }
  }
}

/** Nothing for what is no directory, or may not be read: a glob finds what it can. */
async function sortedEntries(files: FileSystem, path: string): Promise<DirectoryEntry[]> {
  try {
    const entries = await collect(entriesOf(files, path === '' ? '.' : path))
    return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
  } catch (error) {
    if (error instanceof SftpError && (isMissing(error) || error.code === 'permission-denied')) return []
    // Version 3 servers say "failure" for OPENDIR of a file.
    if (error instanceof SftpError && error.code === 'failure') return []
    throw error
  }
}
