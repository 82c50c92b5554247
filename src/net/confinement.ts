import { closeSync, constants, lstatSync, openSync, readlinkSync, realpathSync } from 'node:fs'
import { checkPath } from '../../lib/sftp/paths.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { decodePath, encodePath, isText } from '../../lib/wire/path.ts'

/** A path as node:fs takes it: text where it is text, else the exact bytes. */
export type NativePath = string | Buffer

export const nativePath = (path: string): NativePath => (isText(path) ? path : encodePath(path))

/** A path of the system for one call or a few; `release` when done with it. */
export interface Place {
  readonly native: NativePath
  release(): void
}

/** Turns paths of a client into paths of the system. */
export interface Locator {
  /** `follow`: of a link, the place that it leads to. @throws SftpError */
  locate(path: string, follow: boolean): Place
}

/** O_PATH of Linux, which node:fs does not name: an open place in the tree, not an open file. */
const pathOnly = 0o10000000

const maximumLinks = 40
const maximumComponents = 512

/** A directory held while a path is resolved. */
interface Held {
  /** What stands before the name of something in it. */
  readonly prefix: string
  readonly descriptor: number | undefined
}

/**
 * Keeps a client below a directory, which it sees as `/`. Each component is opened from the directory above it, without
 * following links; links are read and resolved here, `/` and `..` being those of the client. On Linux every step and the
 * call itself go through descriptors (`/proc/self/fd/N/name`), so renaming directories or planting links meanwhile leads
 * nowhere else. Other systems have no such paths: there, somebody with write access besides the client could win a race.
 */
export class Confinement implements Locator {
  readonly #root: Held
  readonly #start: string
  readonly #strict: boolean

  /** `start`: where relative paths begin, as the client sees it. @throws when `root` is no directory */
  constructor(root: string, start = '/') {
    this.#strict = process.platform === 'linux'
    this.#start = start
    if (this.#strict) {
      const descriptor = openSync(root, pathOnly | constants.O_DIRECTORY)
      this.#root = { prefix: `/proc/self/fd/${descriptor}/`, descriptor }
    } else {
      const real = realpathSync(root)
      this.#root = { prefix: real.endsWith('/') ? real : `${real}/`, descriptor: undefined }
    }
  }

  locate(path: string, follow: boolean): Place {
    const { held, name } = this.#resolve(path, follow)
    const native = nativePath(held.prefix + (name || '.'))
    return { native, release: () => this.#release(held) }
  }

  /** The path without links as the client sees it; the last component need not exist. */
  realpath(path: string): string {
    const { held, name, names } = this.#resolve(path, true)
    this.#release(held)
    return `/${[...names, ...(name === '' ? [] : [name])].join('/')}`
  }

  /** Gives the root back; nothing works after this. */
  close(): void {
    this.#release(this.#root, true)
  }

  #release(held: Held, root = false): void {
    if (held.descriptor !== undefined && (root || held !== this.#root)) closeSync(held.descriptor)
  }

  /** The directory, held, and the name in it; an empty name stands for the directory. */
  #resolve(path: string, follow: boolean): { held: Held; name: string; names: string[] } {
    const stack: Held[] = [this.#root]
    const names: string[] = []
    const pop = (): void => {
      if (stack.length === 1) return
      this.#release(stack.pop()!)
      names.pop()
    }
    let links = 0
    let pending = components(checkPath(path).startsWith('/') ? path : `${this.#start}/${path}`)
    try {
      while (pending.length > 0) {
        if (pending.length + stack.length > maximumComponents) throw new SftpError('invalid-filename', { path })
        const name = pending.shift()!
        if (name === '..') {
          pop()
          continue
        }
        const last = pending.length === 0
        const at = nativePath(stack.at(-1)!.prefix + name)
        if (last && !follow) return this.#found(stack, name, names)
        const found = lstatSync(at, { throwIfNoEntry: false })
        if (found?.isSymbolicLink()) {
          if (++links > maximumLinks) throw new SftpError('link-loop', { path })
          const target = decodePath(readlinkSync(at, { encoding: 'buffer' }))
          if (target.startsWith('/')) while (stack.length > 1) pop()
          pending = [...components(target), ...pending]
          continue
        }
        if (last) return this.#found(stack, name, names)
        if (!found) throw new SftpError('no-such-file', { path })
        if (!found.isDirectory()) throw new SftpError('not-a-directory', { path })
        stack.push(this.#enter(at))
        names.push(name)
      }
      return this.#found(stack, '', names)
    } catch (error) {
      while (stack.length > 1) pop()
      throw error
    }
  }

  /** Keeps the last directory and lets go of those above. */
  #found(stack: Held[], name: string, names: string[]): { held: Held; name: string; names: string[] } {
    const held = stack.pop()!
    for (const above of stack) this.#release(above)
    return { held, name, names }
  }

  #enter(native: NativePath): Held {
    if (!this.#strict) return { prefix: `${decodePath(Buffer.from(native))}/`, descriptor: undefined }
    const flags = pathOnly | constants.O_DIRECTORY | constants.O_NOFOLLOW
    const descriptor = openSync(native, flags)
    return { prefix: `/proc/self/fd/${descriptor}/`, descriptor }
  }
}

const components = (path: string): string[] => path.split('/').filter(part => part !== '' && part !== '.')

/** Paths as they are; relative ones begin at `start`. */
export class Unconfined implements Locator {
  readonly #start: string

  constructor(start: string) {
    this.#start = start
  }

  locate(path: string): Place {
    return { native: nativePath(this.absolute(path)), release() {} }
  }

  absolute(path: string): string {
    checkPath(path)
    if (path.startsWith('/')) return path
    return path === '' ? this.#start : `${this.#start}/${path}`
  }
}
