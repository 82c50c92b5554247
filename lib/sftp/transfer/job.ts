import type { Attributes } from '../attributes.ts'
import type { DirectoryEntry, FileSystem } from '../filesystem.ts'
import { baseName, joinPath } from '../paths.ts'
import { SftpError } from '../status.ts'
import { attributesOfEntry, entryBatches } from '../tree.ts'
import { copyFile, type FileCopyContext, type FileItem, preservedAttributes, temporaryName } from './file-copy.ts'
import { Flow } from './flow.ts'
import { isLost, type TransferEnd, TransferError, type TransferOptions, type TransferReport } from './options.ts'
import { Reconnector } from './reconnect.ts'
import { copySmallFile, isSmallFile } from './small-file.ts'

/** Directories read at once, and files that may wait before more are read. */
const listings = 8
const waitingFiles = 1024
/** Files under way at once: enough to fill a path of 50 ms with small ones. */
const defaultFiles = 64
/** Handles that are left to others where the server limits them. */
const spareHandles = 8
/** Directories below one another, as OpenSSH: links can make a tree without end. */
const maximumDepth = 64
/** READ and WRITE where nobody limits them. */
const largestBlock = 252 * 1024

/** A directory being copied: finished when all in it is. */
interface Directory {
  readonly source: string
  readonly target: string
  /** Below the root of the transfer; '' for the root. */
  readonly path: string
  readonly attributes: Attributes
  readonly parent: Directory | undefined
  readonly depth: number
  /** Its path without links, when links are followed. */
  readonly real: string | undefined
  state: 'waiting' | 'made' | 'existed'
  /** Names that are queued or done, for a listing that begins again after a lost connection. */
  readonly seen: Set<string> | undefined
  /** Things in it that are not done, and its own listing. */
  open: number
}

interface Link {
  readonly source: string
  readonly target: string
  readonly directory: Directory | undefined
}

/** Something that a look or a listing found. */
interface Found {
  readonly source: string
  readonly target: string
  /** Below the root of the transfer; '' for the root. */
  readonly path: string
  readonly attributes: Attributes
  readonly directory: Directory | undefined
  /** How it was reached: a link is somewhere else in truth. */
  readonly via: 'name' | 'link'
}

interface QueuedFile extends FileItem {
  readonly directory: Directory | undefined
}

/** One call of `transfer`. */
export class Job {
  readonly #root: { source: string; target: string }
  readonly #options: TransferOptions
  /** What all files have in common. */
  #context: Pick<FileCopyContext, 'source' | 'target' | 'flow' | 'options'>
  readonly #files: QueuedFile[] = []
  readonly #directories: Directory[] = []
  readonly #links: Link[] = []
  #copying = 0
  #going: 'yes' | 'no' = 'no'
  #listing = 0
  #end: TransferReport['end'] = 'complete'
  #lost: Promise<void> | undefined
  readonly #reconnector: Reconnector | undefined
  #finished: () => void = () => {}
  /** Listings that wait for the files to become fewer. */
  readonly #held: (() => void)[] = []
  readonly #report = { files: 0, directories: 0, links: 0, skipped: 0, bytes: 0, failures: [] as TransferError[] }

  constructor(source: TransferEnd, target: TransferEnd, options: TransferOptions) {
    this.#root = { source: source.path, target: target.path }
    this.#options = options
    const trips = [source.files.roundTrip, target.files.roundTrip].filter(trip => trip !== undefined)
    const roundTrip = trips.includes(0) ? undefined : Math.max(0, ...trips)
    this.#context = { source: source.files, target: target.files, flow: new Flow({ ...options, roundTrip }), options }
    const { retry, signal, observer } = options
    this.#reconnector =
      retry && new Reconnector(retry, { signal, retrying: (...what) => observer?.retrying?.(...what) })
  }

  get #source(): FileSystem {
    return this.#context.source
  }

  get #target(): FileSystem {
    return this.#context.target
  }

  async run(): Promise<TransferReport> {
    const done = new Promise<void>(resolve => {
      this.#finished = resolve
    })
    this.#listing++
    this.#insist(this.#root.source, this.#root.target, () => this.#begin()).finally(() => {
      this.#listing--
      this.#go()
    })
    await done
    if (this.#end === 'complete') await this.#makeLinks()
    const left = this.#end === 'complete' ? 0 : this.#files.length + this.#directories.length + this.#links.length
    return { ...this.#report, left, end: this.#end }
  }

  /** Looks at what is to be copied. */
  async #begin(): Promise<void> {
    const { source, target } = this.#root
    const { links, recurse } = this.#options
    const attributes = await (links === 'copy' ? this.#source.lstat(source) : this.#source.stat(source))
    await this.#add({ source, target, path: '', attributes, directory: undefined, via: 'link' }, recurse ?? false)
  }

  /** Puts something into its queue. */
  async #add(found: Found, recurse: boolean): Promise<void> {
    const { source, target, path, attributes, directory } = found
    if (path !== '' && this.#options.filter && !this.#options.filter(path, attributes))
      return this.#skip(source, 'filter')
    const { type = 'file' } = attributes
    if (type === 'directory') {
      if (!recurse) throw new TransferError('look', source, target, new SftpError('file-is-a-directory'))
      await this.#addDirectory(found)
    } else if (type === 'symlink') {
      if (directory) directory.open++
      this.#links.push({ source, target, directory })
    } else if (type === 'file' || type === 'unknown') {
      this.#addFile(source, target, attributes, directory)
    } else if (path === '') {
      throw new TransferError('look', source, target, new SftpError('failure', { message: 'not a regular file' }))
    } else this.#skip(source, 'special')
  }

  #addFile(source: string, target: string, attributes: Attributes, directory: Directory | undefined): void {
    if (directory) directory.open++
    const { atomic, retry, resume = 'no' } = this.#options
    const temporary = atomic && retry && resume === 'no' ? temporaryName(target) : undefined
    this.#files.push({ source, target, attributes, directory, temporary })
  }

  async #addDirectory({ source, target, path, attributes, directory: parent, via }: Found): Promise<void> {
    const depth = parent ? parent.depth + 1 : 0
    if (depth >= maximumDepth) {
      const message = `Maximum directory depth exceeded: ${maximumDepth} levels`
      throw new TransferError('look', source, target, new SftpError('failure', { message }))
    }
    let real: string | undefined
    if ((this.#options.links ?? 'follow') === 'follow') {
      real = via === 'name' && parent ? joinPath(parent.real!, baseName(source)) : await this.#source.realpath(source)
      for (let above = parent; above; above = above.parent) {
        if (above.real === real) throw new TransferError('look', source, target, new SftpError('link-loop'))
      }
    }
    if (parent) parent.open++
    const seen = this.#options.retry && new Set<string>()
    this.#directories.push({ source, target, path, attributes, parent, depth, real, state: 'waiting', seen, open: 1 })
  }

  #skip(source: string, reason: 'link' | 'special' | 'filter'): void {
    this.#report.skipped++
    this.#options.observer?.skipped?.(source, reason)
  }

  /** Begins what can begin; ends the job when nothing is left. */
  #go(): void {
    // What it begins may end at once and come here again.
    if (this.#going === 'yes') return
    this.#going = 'yes'
    this.#beginMore()
    this.#going = 'no'
    if (this.#files.length < waitingFiles || this.#end !== 'complete')
      for (const resolve of this.#held.splice(0)) resolve()
    if (this.#copying > 0 || this.#listing > 0 || this.#lost) return
    if (this.#end !== 'complete' || (this.#files.length === 0 && this.#directories.length === 0)) this.#finished()
  }

  #beginMore(): void {
    if (this.#options.signal?.aborted && this.#end === 'complete') this.#end = 'aborted'
    if (this.#end === 'complete' && !this.#lost) {
      const parallel = this.#files.length > 0 ? this.#parallelFiles : 0
      while (this.#copying < parallel && this.#files.length > 0) this.#startFile(this.#files.shift()!)
      while (this.#listing < listings && this.#directories.length > 0 && this.#files.length < waitingFiles) {
        // The newest first: whole subtrees are done before the next begins, so few directories wait.
        this.#startDirectory(this.#directories.pop()!)
      }
    }
  }

  get #parallelFiles(): number {
    const { maximumFiles = defaultFiles } = this.#options
    const handles = [this.#source, this.#target].map(files => files.dataLimits?.handles || Number.POSITIVE_INFINITY)
    return Math.max(1, Math.min(maximumFiles, Math.min(...handles) - spareHandles))
  }

  #startFile(item: QueuedFile): void {
    this.#copying++
    if (isSmallFile(this.#context, item)) this.#copySmall(item)
    else this.#finishFile(this.#copy(item))
  }

  #finishFile(copy: Promise<void>): void {
    copy.finally(() => {
      this.#copying--
      this.#go()
    })
  }

  #startDirectory(directory: Directory): void {
    this.#listing++
    this.#list(directory).finally(() => {
      this.#listing--
      this.#go()
    })
  }

  /** Runs a part of the job: its failure is told, and does not stop the rest unless the session is gone. */
  async #guard(source: string, target: string, action: () => Promise<void>): Promise<'done' | 'failed' | 'again'> {
    try {
      await action()
      return 'done'
    } catch (error) {
      const failure = error instanceof TransferError ? error : new TransferError('look', source, target, error)
      if (failure.code === 'aborted') {
        this.#end = 'aborted'
        return 'failed'
      }
      if (isLost(failure.reason) && (await this.#recover(failure))) return 'again'
      this.#report.failures.push(failure)
      this.#options.observer?.failed?.(failure)
      return 'failed'
    }
  }

  /** As `#guard`, again on every new connection. */
  async #insist(source: string, target: string, action: () => Promise<void>): Promise<'done' | 'failed'> {
    for (;;) {
      const outcome = await this.#guard(source, target, action)
      if (outcome !== 'again') return outcome
    }
  }

  /** Waits for a new connection; false when there is none. */
  async #recover(failure: TransferError): Promise<boolean> {
    if (!this.#reconnector || this.#end !== 'complete') {
      if (this.#end === 'complete') this.#end = 'lost'
      return false
    }
    this.#lost ??= this.#reconnect(this.#reconnector, failure.reason).finally(() => {
      this.#lost = undefined
    })
    await this.#lost
    return this.#end === 'complete'
  }

  async #reconnect(reconnector: Reconnector, error: Error): Promise<void> {
    const outcome = await reconnector.again(error)
    if (typeof outcome === 'string') {
      this.#end = outcome
      return
    }
    const { source, target } = outcome
    this.#context = { ...this.#context, ...(source && { source }), ...(target && { target }) }
  }

  /** A file that comes and goes in a few steps, without promises. */
  #copySmall(item: QueuedFile): void {
    const { observer } = this.#options
    const { source, target, directory } = item
    const size = item.attributes.size!
    if (!item.isAgain) observer?.started?.({ source, target, bytes: 0, size })
    copySmallFile(this.#context, item, (error, outcome) => {
      if (error || outcome === 'grown') {
        const action = error ? () => Promise.reject(error) : (context: FileCopyContext) => copyFile(context, item)
        this.#finishFile(this.#copyBegun(item, action))
        return
      }
      this.#report.bytes += size
      this.#report.files++
      this.#reconnector?.moved()
      if (observer) {
        const there = { source, target, bytes: size, size }
        observer.progress?.(there)
        observer.done?.(there)
      }
      if (directory?.open === 1) {
        this.#finishFile(this.#leave(directory))
        return
      }
      if (directory) directory.open--
      this.#copying--
      this.#go()
    })
  }

  #copy(item: QueuedFile): Promise<void> {
    const { source, target, attributes } = item
    if (!item.isAgain) this.#options.observer?.started?.({ source, target, bytes: 0, size: attributes.size ?? 0 })
    return this.#copyBegun(item, context => copyFile(context, item))
  }

  async #copyBegun(item: QueuedFile, copy: (context: FileCopyContext) => Promise<void>): Promise<void> {
    const { observer } = this.#options
    const { source, target, directory } = item
    const size = item.attributes.size ?? 0
    let bytes = 0
    let { whole } = item
    const progress = () => ({ source, target, bytes, size })
    const context: FileCopyContext = {
      ...this.#context,
      blockSize: this.#blockSize,
      cutAt: offset => {
        whole = offset
      },
      moved: (count, kept) => {
        bytes += count
        if (!kept) {
          this.#report.bytes += count
          this.#reconnector?.moved()
        }
        observer?.progress?.(progress())
      },
    }
    const outcome = await this.#guard(source, target, () => copy(context))
    if (outcome === 'again') {
      this.#files.unshift({ ...item, whole, isAgain: true })
      return
    }
    if (outcome === 'done') {
      this.#report.files++
      observer?.done?.(progress())
    } else if (item.temporary !== undefined) await this.#target.remove(item.temporary).catch(() => {})
    if (directory) await this.#leave(directory)
  }

  get #blockSize(): number {
    const limits = [this.#source.dataLimits?.read, this.#target.dataLimits?.write, this.#options.blockSize]
    const size = Math.min(largestBlock, ...limits.filter(limit => limit !== undefined && limit > 0).map(Number))
    return size > 4096 && this.#options.blockSize === undefined ? size - (size % 4096) : size
  }

  /** Makes a directory and puts what is in it into the queues. */
  async #list(directory: Directory): Promise<void> {
    const { source, target } = directory
    const outcome = await this.#guard(source, target, async () => {
      if (directory.state === 'waiting') {
        this.#options.observer?.directory?.(source, target)
        directory.state = await this.#makeDirectory(directory)
      }
      await this.#entries(directory)
    })
    if (outcome === 'again') {
      this.#directories.push(directory)
      return
    }
    if (outcome === 'done') this.#report.directories++
    await this.#leave(directory)
  }

  async #makeDirectory({ source, target, attributes }: Directory): Promise<'made' | 'existed'> {
    const mode = attributes.permissions
    try {
      // Writable for us while the copy goes on.
      await this.#target.mkdir(target, mode === undefined ? {} : { permissions: (mode & 0o1777) | 0o300 })
      return 'made'
    } catch (error) {
      if (isLost(error)) throw error
      const found = await this.#target.stat(target).catch(() => undefined)
      if (found?.type === 'directory') return 'existed'
      throw new TransferError('mkdir', source, target, error)
    }
  }

  async #entries(directory: Directory): Promise<void> {
    const { source, target } = directory
    try {
      for await (const batch of entryBatches(this.#source, source)) {
        for (const entry of batch) {
          if (directory.seen?.has(entry.name)) continue
          // Most entries are files of which all is known.
          if (entry.attributes.type === 'file' && !this.#options.filter) {
            const [from, to] = [joinPath(source, entry.name), joinPath(target, entry.name)]
            this.#addFile(from, to, entry.attributes, directory)
          } else await this.#addEntry(directory, entry)
          directory.seen?.add(entry.name)
          if (this.#options.signal?.aborted || this.#end !== 'complete') return
        }
        this.#go()
        while (this.#files.length >= waitingFiles && this.#end === 'complete') {
          await new Promise<void>(resolve => {
            this.#held.push(resolve)
            this.#go()
          })
        }
      }
    } catch (error) {
      throw error instanceof TransferError ? error : new TransferError('list', source, target, error)
    }
  }

  async #addEntry(directory: Directory, entry: DirectoryEntry): Promise<void> {
    const from = joinPath(directory.source, entry.name)
    const to = joinPath(directory.target, entry.name)
    await this.#guardEntry(from, to, async () => {
      let attributes = await attributesOfEntry(this.#source, from, entry)
      const via = attributes.type === 'symlink' ? 'link' : 'name'
      if (via === 'link') {
        const { links = 'follow' } = this.#options
        if (links === 'skip') return this.#skip(from, 'link')
        if (links === 'follow') attributes = await this.#source.stat(from)
      }
      const path = directory.path === '' ? entry.name : `${directory.path}/${entry.name}`
      await this.#add({ source: from, target: to, path, attributes, directory, via }, true)
    })
  }

  /** An entry that cannot be looked at fails alone. */
  async #guardEntry(source: string, target: string, action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      if (isLost(error instanceof TransferError ? error.reason : error)) throw error
      const failure = error instanceof TransferError ? error : new TransferError('look', source, target, error)
      this.#report.failures.push(failure)
      this.#options.observer?.failed?.(failure)
    }
  }

  /** One thing in a directory is done; after the last, the directory gets its mode and times. */
  async #leave(directory: Directory): Promise<void> {
    directory.open--
    if (directory.open > 0) return
    const { source, target, attributes, state, parent } = directory
    const { preserve } = this.#options
    if (state !== 'waiting' && this.#end === 'complete') {
      const all = preservedAttributes(attributes, 0o1777)
      const { permissions } = all
      const narrowed = state === 'made' && permissions !== undefined && (permissions & 0o300) !== 0o300
      const changes = preserve ? all : narrowed ? { permissions } : undefined
      if (changes) {
        await this.#insist(source, target, async () => {
          await this.#target.setstat(target, changes).catch(error => {
            throw new TransferError('attributes', source, target, error)
          })
        })
      }
    }
    if (parent) await this.#leave(parent)
  }

  /**
   * Links come last, one after another: no file can be written through a link that the same transfer made.
   */
  async #makeLinks(): Promise<void> {
    for (const { source, target, directory } of this.#links) {
      if (this.#options.signal?.aborted) {
        this.#end = 'aborted'
        return
      }
      const made = await this.#insist(source, target, async () => {
        try {
          const text = await this.#source.readlink(source)
          const present = await this.#target.lstat(target).catch(() => undefined)
          if (present?.type === 'symlink') await this.#target.remove(target)
          await this.#target.symlink(text, target)
        } catch (error) {
          throw new TransferError('link', source, target, error)
        }
      })
      if (made === 'done') this.#report.links++
      if (directory) await this.#leave(directory)
    }
  }
}
