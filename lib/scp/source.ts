import { messageOf } from '../errors.ts'
import type { Attributes } from '../sftp/attributes.ts'
import type { FileHandle, FileSystem } from '../sftp/filesystem.ts'
import { OpenFlag } from '../sftp/messages.ts'
import { baseName, joinPath } from '../sftp/paths.ts'
import { collect, entriesOf, maximumDepth } from '../sftp/tree.ts'
import { encodePath } from '../wire/path.ts'
import { type Dialogue, ScpError } from './dialogue.ts'
import type { Meter } from './meter.ts'

export interface SourceOptions {
  /** Directories too, with what is in them; links are followed. */
  readonly recursive: boolean
  /** Send times as well. */
  readonly preserve: boolean
  readonly meter?: Meter
  /** Told of each file that could not be sent; the rest goes on. */
  onError(error: Error, path: string): void
}

/** Bytes read at a time. */
const blockSize = 256 * 1024

/**
 * The role of `scp -f`, and of the local side of an upload: sends files and directories in turn. The other side's first
 * answer has to be waited for before. @throws ScpError refused, protocol, connection-lost
 */
export async function sendFiles(
  dialogue: Dialogue,
  files: FileSystem,
  paths: readonly string[],
  options: SourceOptions,
): Promise<void> {
  const source = new Source(dialogue, files, options)
  for (const path of paths) await source.send(path, 0)
}

class Source {
  readonly #dialogue: Dialogue
  readonly #files: FileSystem
  readonly #options: SourceOptions

  constructor(dialogue: Dialogue, files: FileSystem, options: SourceOptions) {
    this.#dialogue = dialogue
    this.#files = files
    this.#options = options
  }

  async send(path: string, depth: number): Promise<void> {
    try {
      const attributes = await this.#files.stat(path)
      if (attributes.type === 'directory' && this.#options.recursive) {
        if (depth > maximumDepth) throw new Error('too many nested directories')
        await this.#sendDirectory(path, attributes, depth)
      } else if (attributes.type === 'file') await this.#sendFile(path, attributes)
      else throw new Error('not a regular file')
    } catch (error) {
      if (error instanceof ScpError && error.code !== 'remote') throw error
      this.#options.onError(error as Error, path)
      // What the other side said itself it knows.
      if (!(error instanceof ScpError)) await this.#dialogue.complain(withPath(error, path))
    }
  }

  async #sendDirectory(path: string, attributes: Attributes, depth: number): Promise<void> {
    const entries = await collect(entriesOf(this.#files, path))
    await this.#announce('D', attributes, 0, path)
    for (const { name } of entries) await this.send(joinPath(path, name), depth + 1)
    await this.#dialogue.write('E\n')
    await this.#dialogue.answer()
  }

  async #sendFile(path: string, attributes: Attributes): Promise<void> {
    const size = attributes.size ?? 0
    const file = await this.#files.open(path, OpenFlag.read)
    const progress = this.#options.meter?.begin(path, size)
    try {
      await this.#announce('C', attributes, size, path)
      const failure = await this.#sendData(file, size, moved => progress?.advance(moved))
      if (failure) await this.#dialogue.complain(withPath(failure, path))
      else await this.#dialogue.accept()
      await this.#dialogue.answer()
      if (failure) this.#options.onError(failure, path)
    } finally {
      progress?.end()
      await file.close().catch(() => {})
    }
  }

  /** Sends exactly `size` bytes, as was announced: zeros for what can no longer be read. Resolves to why, if so. */
  async #sendData(file: FileHandle, size: number, advance: (bytes: number) => void): Promise<Error | undefined> {
    let failure: Error | undefined
    const read = (at: number): Promise<Buffer> => {
      const length = Math.min(blockSize, size - at)
      if (failure) return Promise.resolve(Buffer.alloc(length))
      return file.readAt(at, length).then(
        data => (data.length > 0 ? data : fail(new Error('file is shorter than it was'), length)),
        error => fail(error, length),
      )
    }
    const fail = (error: Error, length: number): Buffer => {
      failure ??= error
      return Buffer.alloc(length)
    }
    let next = size > 0 ? read(0) : undefined
    for (let at = 0; next; ) {
      const data: Buffer = await next
      at += data.length
      next = at < size ? read(at) : undefined
      await this.#options.meter?.throttle(data.length)
      await this.#dialogue.write(data)
      advance(data.length)
    }
    return failure
  }

  async #announce(kind: 'C' | 'D', attributes: Attributes, size: number, path: string): Promise<void> {
    if (this.#options.preserve) {
      await this.#dialogue.write(`T${attributes.mtime ?? 0} 0 ${attributes.atime ?? 0} 0\n`)
      await this.#dialogue.answer()
    }
    const mode = (attributes.permissions ?? 0).toString(8).padStart(4, '0')
    await this.#dialogue.write(Buffer.concat([Buffer.from(`${kind}${mode} ${size} `), wireName(path), Buffer.of(0x0a)]))
    await this.#dialogue.answer()
  }
}

const withPath = (error: unknown, path: string): string => {
  const text = messageOf(error)
  return (text.startsWith(`${path}: `) ? text : `${path}: ${text}`).replaceAll('\n', '\\^J')
}

/** The name alone; a line's end in it becomes `\^J`, as vis(3) with VIS_NL has it. */
const wireName = (path: string): Buffer => encodePath((baseName(path) || '.').replaceAll('\n', '\\^J'))
