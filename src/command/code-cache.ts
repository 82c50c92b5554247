import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** Code that V8 compiled in an earlier run, and the parts of the program that ran then. */
export interface CompiledCode {
  readonly code: Buffer
  readonly parts: readonly string[]
}

/** More is no cache of ours, in bytes. */
const longestFile = 16 << 20

/** Files of one command that are kept: of some versions of Node used by turns. */
const keptFiles = 4

/**
 * Every file begins with it, then the length of the names of the parts and of the code (uint32 each). The code begins at a
 * multiple of 16 bytes: elsewhere V8 copies it to such a place.
 */
const magic = Buffer.from('tssh-code-cache2')
const alignment = 16

/**
 * A folder of compiled code. Whoever can write into it decides what its reader runs, hence it is used only where it and
 * the folder around it belong to the user who runs, and nobody else may write to either; so each file. What cannot be
 * read or written is left, silently: it only saves time.
 */
export class CodeCache {
  readonly #folder: string
  readonly #user: number | undefined

  private constructor(folder: string, user: number | undefined) {
    this.#folder = folder
    this.#user = user
  }

  /** The user's own, below the folder that the system has for caches. Undefined where there is none to be trusted. */
  static ofUser(env: Readonly<Record<string, string | undefined>> = process.env): CodeCache | undefined {
    // Node's own caches obey it too.
    if (env['NODE_DISABLE_COMPILE_CACHE']) return undefined
    const user = process.geteuid?.()
    if (user !== process.getuid?.() || process.getegid?.() !== process.getgid?.()) return undefined
    try {
      const base = cachesOf(env)
      return base === undefined ? undefined : CodeCache.below(base, user)
    } catch {
      return undefined
    }
  }

  /** `tssh` in a folder of caches, each made if it is missing. */
  static below(base: string, user: number | undefined): CodeCache | undefined {
    const folder = join(base, 'tssh')
    try {
      if (!isOwn(lstatSync(folder, { throwIfNoEntry: false }), user)) {
        mkdirSync(base, { recursive: true, mode: 0o700 })
        if (!isOwn(lstatSync(base), user)) return undefined
        mkdirSync(folder, { mode: 0o700 })
      }
      return isOwn(lstatSync(base), user) && isOwn(lstatSync(folder), user) ? new CodeCache(folder, user) : undefined
    } catch {
      return undefined
    }
  }

  /** @param name a file name */
  read(name: string): CompiledCode | undefined {
    let fd: number | undefined
    try {
      fd = openSync(join(this.#folder, name), constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0))
      const stats = fstatSync(fd)
      if (!stats.isFile() || !isOwn(stats, this.#user) || stats.size > longestFile) return undefined
      return parse(readFileSync(fd))
    } catch {
      return undefined
    } finally {
      if (fd !== undefined) closeSync(fd)
    }
  }

  /** Replaces a file as a whole; the oldest of those whose names begin alike are removed. */
  write(name: string, { code, parts }: CompiledCode, alike: string): void {
    // A server's process may have become another user meanwhile, or be shut into another root.
    if (process.geteuid?.() !== this.#user) return
    const path = join(this.#folder, name)
    const draft = `${path}.${process.pid}`
    try {
      const names = Buffer.from(aligned(parts.join('\n')))
      const lengths = Buffer.alloc(8)
      lengths.writeUInt32LE(names.length, 0)
      lengths.writeUInt32LE(code.length, 4)
      const fd = openSync(draft, 'wx', 0o600)
      try {
        for (const piece of [magic, lengths, names, code]) writeWhole(fd, piece)
        // What a crash of the machine left half written would be run.
        fsyncSync(fd)
      } finally {
        closeSync(fd)
      }
      renameSync(draft, path)
      this.#removeOld(alike)
    } catch {
      try {
        unlinkSync(draft)
      } catch {}
    }
  }

  #removeOld(alike: string): void {
    const age = (path: string): number => lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
    const files = readdirSync(this.#folder)
      .filter(name => name.startsWith(alike) && /^[0-9a-f]{32}-/.test(name.slice(alike.length)))
      .map(name => join(this.#folder, name))
      .map(path => ({ path, time: age(path) }))
      .sort((a, b) => b.time - a.time)
    for (const { path } of files.slice(keptFiles)) unlinkSync(path)
  }
}

function cachesOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  if (process.platform === 'win32') return env['LOCALAPPDATA']
  const named = env['XDG_CACHE_HOME']
  if (named) return named.startsWith('/') ? named : undefined
  return process.platform === 'darwin' ? join(homedir(), 'Library/Caches') : join(homedir(), '.cache')
}

/** Windows' rights are not told by a mode; there a user's folder is closed to others by default. */
const isOwn = (stats: Stats | undefined, user: number | undefined): boolean =>
  stats !== undefined &&
  !stats.isSymbolicLink() &&
  (user === undefined || (stats.uid === user && (stats.mode & 0o022) === 0))

function parse(file: Buffer): CompiledCode | undefined {
  const start = magic.length + 8
  if (file.length < start || !file.subarray(0, magic.length).equals(magic)) return undefined
  const names = file.readUInt32LE(magic.length)
  const code = file.readUInt32LE(magic.length + 4)
  if (start + names + code !== file.length) return undefined
  return {
    parts: file
      .toString('utf8', start, start + names)
      .trimEnd()
      .split('\n'),
    code: file.subarray(start + names),
  }
}

/** Spaces after the names of the parts, which are ASCII, bring the code to its place. */
const aligned = (names: string): string => {
  const head = magic.length + 8
  return names.padEnd(Math.ceil((head + names.length) / alignment) * alignment - head)
}

function writeWhole(fd: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
}
