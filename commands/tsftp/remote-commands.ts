import type { Attributes } from '../../lib/sftp/attributes.ts'
import { copyData, hardlink, lsetstat, statvfs } from '../../lib/sftp/extensions.ts'
import type { DirectoryEntry } from '../../lib/sftp/filesystem.ts'
import { unescapeName } from '../../lib/sftp/glob.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { collect, type GlobMatch, glob } from '../../lib/sftp/tree.ts'
import { encodePath } from '../../lib/wire/path.ts'
import { visible } from '../../src/terminal/names.ts'
import { CommandFailure, type Context } from './context.ts'
import { inColumns, type ListedFile, longLine, scaledSize, sortFiles } from './listing.ts'
import type { Command } from './verbs.ts'

/** Columns of the terminal on stdin; 80 when it is none. */
const terminalWidth = (): number => (process.stdin.isTTY && process.stdout.columns) || 80

/** What a pattern matches, or what it says itself where nothing does. */
export async function matchesOf(context: Context, pattern: string): Promise<GlobMatch[]> {
  const found = await collect(glob(context.files, pattern))
  return found.length > 0 ? found : [{ path: unescapeName(pattern), attributes: {} }]
}

const requires = (context: Context, extension: { name: string; version: string }): void => {
  if (!context.files.session.has(extension)) {
    throw new CommandFailure(`Server does not support ${extension.name} extension`)
  }
}

export async function changeDirectory(context: Context, [path]: readonly string[]): Promise<void> {
  const wanted = context.absolute(path === undefined || path === '' ? context.startDirectory : path)
  const real = await context.attempt(`realpath ${visible(wanted)}`, () => context.files.realpath(wanted))
  const { type } = await context.attempt('stat remote', () => context.files.stat(real))
  if (type === undefined) throw new CommandFailure("Can't change directory: Can't check target")
  if (type !== 'directory') {
    throw new CommandFailure(`Can't change directory: "${visible(real)}" is not a directory`)
  }
  context.directory = real
}

/** chmod, chown and chgrp, for all that a pattern matches. */
export async function changeAttributes(context: Context, { action, flags, paths, number }: Command): Promise<void> {
  const { files, settings } = context
  const direct = flags.has('h')
  const what = action === 'chmod' ? 'mode' : action === 'chown' ? 'owner' : 'group'
  let failed = false
  for (const { path } of await matchesOf(context, context.absolutePattern(paths[0]!))) {
    if (context.interrupted.signal.aborted) break
    const request = `remote ${direct ? 'lsetstat' : 'setstat'} "${visible(path)}"`
    try {
      const changes =
        action === 'chmod' ? { permissions: number } : await newOwner(context, path, action, number, direct)
      if (!settings.quiet) context.print(`Changing ${what} on ${visible(path)}\n`)
      if (direct) requires(context, lsetstat(files.session.version))
      await context.attempt(request, () => (direct ? files.lsetstat(path, changes) : files.setstat(path, changes)))
    } catch (error) {
      if (!(error instanceof CommandFailure) || context.abortOnError) throw error
      context.error(error.message)
      failed = true
    }
  }
  if (failed) throw new CommandFailure('')
}

async function newOwner(
  context: Context,
  path: string,
  action: string,
  number: number,
  direct: boolean,
): Promise<Attributes> {
  const look = direct ? context.files.lstat(path) : context.files.stat(path)
  const { uid, gid } = await context.attempt('stat remote', () => look)
  if (uid === undefined || gid === undefined) {
    throw new CommandFailure(`Can't get current ownership of remote file "${visible(path)}"`)
  }
  return action === 'chown' ? { uid: number, gid } : { uid, gid: number }
}

export async function remove(context: Context, [pattern = '']: readonly string[]): Promise<void> {
  let failed = false
  for (const { path } of await matchesOf(context, context.absolutePattern(pattern))) {
    if (context.interrupted.signal.aborted) break
    if (!context.settings.quiet) context.print(`Removing ${visible(path)}\n`)
    try {
      await context.attempt(`remote delete ${visible(path)}`, () => context.files.remove(path))
      failed = false
    } catch (error) {
      if (!(error instanceof CommandFailure) || context.abortOnError) throw error
      context.error(error.message)
      failed = true
    }
  }
  if (failed) throw new CommandFailure('')
}

export async function makeDirectory(context: Context, [path = '']: readonly string[]): Promise<void> {
  const whole = context.absolute(path)
  const what = `remote mkdir "${visible(whole)}"`
  await context.attempt(what, () => context.files.mkdir(whole, { permissions: 0o777 }))
}

export async function removeDirectory(context: Context, [path = '']: readonly string[]): Promise<void> {
  const whole = context.absolute(path)
  await context.attempt(`remote rmdir "${visible(whole)}"`, () => context.files.rmdir(whole))
}

/** rename, as rename(2) where the server can; `-l`: as SFTP itself has it. */
export async function rename(context: Context, { paths, flags }: Command): Promise<void> {
  const [from = '', to = ''] = paths.map(path => context.absolute(path))
  await context.attempt(`remote rename "${visible(from)}" to "${visible(to)}"`, async () => {
    try {
      await context.files.rename(from, to, !flags.has('l'))
    } catch (error) {
      if (!(error instanceof SftpError && error.code === 'op-unsupported')) throw error
      await context.files.rename(from, to)
    }
  })
}

export async function link(context: Context, paths: readonly string[], symbolic: boolean): Promise<void> {
  const [first = '', second = ''] = paths
  const path = context.absolute(second)
  if (symbolic) {
    const what = `remote symlink file "${visible(first)}" to "${visible(path)}"`
    await context.attempt(what, () => context.files.symlink(first, path))
    return
  }
  const existing = context.absolute(first)
  if (context.files.session.version < 6) requires(context, hardlink)
  const what = `remote link "${visible(existing)}" to "${visible(path)}"`
  await context.attempt(what, () => context.files.link(existing, path))
}

/** Copies a file on the server. */
export async function copy(context: Context, paths: readonly string[]): Promise<void> {
  const [from = '', to = ''] = paths.map(path => context.absolute(path))
  const { files } = context
  requires(context, copyData)
  const attributes = await context.attempt('stat remote', () => files.stat(from))
  if (attributes.type !== undefined && attributes.type !== 'file') {
    throw new CommandFailure(`Cannot copy non-regular file: ${visible(from)}`)
  }
  const permissions = (attributes.permissions ?? 0o666) & 0o777
  const source = await context.attempt(`remote open "${visible(from)}"`, () => files.open(from))
  try {
    const target = await context.attempt(`dest open "${visible(to)}"`, () => files.open(to, 'w', { permissions }))
    try {
      await context.attempt(`Couldn't copy file "${visible(from)}" to "${visible(to)}"`, () =>
        files.copyData(source, 0, 0, target, 0),
      )
    } finally {
      await target.close()
    }
  } finally {
    await source.close()
  }
}

/** df: what the file system holds. */
export async function diskUsage(context: Context, { paths, flags }: Command): Promise<void> {
  const path = context.absolute(paths[0] ?? context.directory)
  requires(context, statvfs)
  const s = await context.attempt('remote statvfs', () => context.files.statvfs(path))
  const share = (part: number, all: number): string =>
    all === 0 ? 'ERR' : `${String(Math.floor((100 * part) / all)).padStart(3)}%`
  const used = share(s.blocks - s.freeBlocks, s.blocks)
  const line = (width: number, values: readonly (number | string)[], last: string): string =>
    `${values.map(value => String(value).padStart(width)).join(' ')}         ${last}\n`
  if (flags.has('i')) {
    context.print('     Inodes        Used       Avail      (root)    %Capacity\n')
    const inodes = [s.files, s.files - s.freeFiles, s.availableFiles, s.freeFiles]
    context.print(line(11, inodes, share(s.files - s.freeFiles, s.files)))
    return
  }
  const blocks = [s.blocks, s.blocks - s.freeBlocks, s.availableBlocks, s.freeBlocks].map(n => n * s.fragmentSize)
  if (flags.has('h')) {
    context.print('    Size     Used    Avail   (root)    %Capacity\n')
    context.print(
      line(
        8,
        blocks.map(bytes => `${scaledSize(bytes)}B`),
        used,
      ),
    )
  } else {
    context.print('        Size         Used        Avail       (root)    %Capacity\n')
    context.print(
      line(
        12,
        blocks.map(bytes => Math.floor(bytes / 1024)),
        used,
      ),
    )
  }
}

/** ls: a directory, or what a pattern matches. */
export async function list(context: Context, { paths, flags }: Command): Promise<void> {
  const [word] = paths
  if (word === undefined) return listDirectory(context, context.directory, context.directory, flags)
  const strip = word.startsWith('/') ? undefined : context.directory
  const pattern = context.absolutePattern(word)
  const found: GlobMatch[] = []
  for (const each of expandBraces(pattern)) found.push(...(await collect(glob(context.files, each))))
  if (found.length === 0) throw new CommandFailure(`Can't ls: "${visible(pattern)}" not found`)
  const [first] = found
  if (found.length === 1 && first) {
    const { type } = first.attributes.type === 'symlink' ? await target(context, first) : first.attributes
    if (type === 'directory') return listDirectory(context, first.path, strip, flags)
  }
  await printFiles(
    context,
    found.map(({ path, attributes }) => ({
      name: stripped(attributes.type === 'directory' && !path.endsWith('/') ? `${path}/` : path, strip),
      attributes,
    })),
    Math.max(...found.map(({ path }) => encodePath(path).length)),
    flags,
  )
}

const target = (context: Context, { path, attributes }: GlobMatch): Promise<Attributes> =>
  context.files.stat(path).catch(() => attributes)

async function listDirectory(
  context: Context,
  path: string,
  strip: string | undefined,
  flags: ReadonlySet<string>,
): Promise<void> {
  const entries: DirectoryEntry[] = []
  await context.attempt(`remote readdir("${visible(path)}")`, async () => {
    const directory = await context.files.opendir(path)
    try {
      for (let batch = await directory.read(); batch; batch = await directory.read()) entries.push(...batch)
    } finally {
      await directory.close().catch(() => {})
    }
  })
  const prefix = stripped(path, strip)
  const files = entries
    .filter(({ name }) => !name.includes('/') && (flags.has('a') || !name.startsWith('.')))
    .map(({ name, attributes, longname }) => ({
      name: prefix === '' ? name : prefix.endsWith('/') ? prefix + name : `${prefix}/${name}`,
      attributes,
      longname,
    }))
  const widest = Math.max(0, ...files.map(({ name }) => encodePath(name).length))
  await printFiles(context, files, widest, flags)
}

/** One path without another at its beginning. */
function stripped(path: string, strip: string | undefined): string {
  if (strip === undefined || strip === '' || !path.startsWith(strip)) return path
  const rest = path.slice(strip.length)
  return !strip.endsWith('/') && rest.startsWith('/') ? rest.slice(1) : rest
}

async function printFiles(
  context: Context,
  files: readonly ListedFile[],
  widest: number,
  flags: ReadonlySet<string>,
): Promise<void> {
  const sorted = sortFiles(files, flags)
  if (flags.has('l') || flags.has('n')) {
    const names = await context.namesOf(sorted.map(({ attributes }) => attributes))
    const own = names !== undefined || flags.has('n') || flags.has('h')
    const lines = sorted.map(file =>
      own || file.longname === undefined ? longLine(file, flags, names) : visible(file.longname),
    )
    context.print(lines.map(line => `${line}\n`).join(''))
  } else if (flags.has('1')) {
    context.print(sorted.map(({ name }) => `${visible(name)}\n`).join(''))
  } else if (sorted.length > 0) {
    context.print(
      inColumns(
        sorted.map(({ name }) => name),
        widest,
        terminalWidth(),
      ),
    )
  }
}

/** Most patterns that braces may make. */
const maximumAlternatives = 1024

/** `a{b,c}` as `ab` and `ac`. `{}` stays as it is. */
export function expandBraces(pattern: string): string[] {
  const done: string[] = []
  const open = [pattern]
  while (open.length > 0 && open.length + done.length < maximumAlternatives) {
    const text = open.shift()!
    const group = firstBraces(text)
    if (!group) {
      done.push(text)
      continue
    }
    open.unshift(...group.parts.map(part => text.slice(0, group.start) + part + text.slice(group.end + 1)))
  }
  return [...done, ...open]
}

function firstBraces(text: string): { start: number; end: number; parts: string[] } | undefined {
  for (let start = 0; start < text.length; start++) {
    if (text[start] === '\\') start++
    else if (text[start] === '{' && text[start + 1] !== '}') {
      const parts: string[] = []
      let depth = 0
      let from = start + 1
      for (let at = start; at < text.length; at++) {
        if (text[at] === '\\') at++
        else if (text[at] === '{') depth++
        else if (text[at] === ',' && depth === 1) {
          parts.push(text.slice(from, at))
          from = at + 1
        } else if (text[at] === '}' && --depth === 0) return { start, end: at, parts: [...parts, text.slice(from, at)] }
      }
    }
  }
  return undefined
}
