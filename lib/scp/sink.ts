import { messageOf, sanitize } from '../errors.ts'
import type { Attributes } from '../sftp/attributes.ts'
import type { FileHandle, FileSystem } from '../sftp/filesystem.ts'
import { OpenFlag } from '../sftp/messages.ts'
import { isPlainName, joinPath } from '../sftp/paths.ts'
import { SftpError } from '../sftp/status.ts'
import { attributesOrNothing, maximumDepth } from '../sftp/tree.ts'
import { decodePath } from '../wire/path.ts'
import { complaint, type Dialogue, ScpError } from './dialogue.ts'
import type { Meter } from './meter.ts'

export interface SinkOptions {
  /** Directories are taken too. */
  readonly recursive: boolean
  /** Keep times, and modes without the umask. */
  readonly preserve: boolean
  /** Fail unless the target is a directory. */
  readonly targetIsDirectory: boolean
  /** Bits that modes lose when they are not preserved. */
  readonly umask: number
  /** Whether a file of this name was asked for; only names at the top are put to it. Absent: all are. */
  accepts?(name: string): boolean
  readonly meter?: Meter
  /** Told of each file that could not be stored or sent; the rest goes on. */
  onError(error: Error, path: string): void
}

/** A file or directory that the other side announced. */
interface Announcement {
  readonly kind: 'C' | 'D'
  readonly mode: number
  readonly size: number
  readonly name: string
}

interface Times {
  readonly mtime: number
  readonly atime: number
}

/**
 * The role of `scp -t`, and of the local side of a download: stores what the other side sends, in or as `target`, until it
 * ends. Nothing lands outside, and nothing that `accepts` refuses. @throws ScpError refused, protocol, connection-lost
 */
export async function receiveFiles(
  dialogue: Dialogue,
  files: FileSystem,
  target: string,
  options: SinkOptions,
): Promise<void> {
  if (options.targetIsDirectory && (await typeAt(files, target)) !== 'directory') {
    const text = `${target}: ${(await typeAt(files, target)) === undefined ? 'No such file or directory' : 'Not a directory'}`
    await dialogue.complain(text)
    throw new ScpError('refused', text)
  }
  await new Sink(dialogue, files, options).receive(target, 0)
}

const typeAt = async (files: FileSystem, path: string): Promise<Attributes['type']> =>
  (await attributesOrNothing(() => files.stat(path)))?.type

class Sink {
  readonly #dialogue: Dialogue
  readonly #files: FileSystem
  readonly #options: SinkOptions

  constructor(dialogue: Dialogue, files: FileSystem, options: SinkOptions) {
    this.#dialogue = dialogue
    this.#files = files
    this.#options = options
  }

  /** Takes the files of one directory; the outermost one ends with the stream. */
  async receive(target: string, depth: number): Promise<void> {
    const intoDirectory = (await typeAt(this.#files, target)) === 'directory'
    let times: Times | undefined
    await this.#dialogue.accept()
    for (;;) {
      const line = await this.#dialogue.line()
      if (line === undefined) {
        if (depth > 0 || this.#dialogue.isBroken) throw this.#dialogue.lost()
        return
      }
      const kind = String.fromCharCode(line[0] ?? 0)
      if (kind === '\x01' || kind === '\x02') {
        const error = complaint(line[0]!, line.subarray(1))
        if (error.code === 'refused') throw error
        this.#options.onError(error, '')
      } else if (kind === 'E') {
        if (depth === 0) throw await this.#protocolError('unexpected end of directory')
        await this.#dialogue.accept()
        return
      } else if (kind === 'T') {
        times = await this.#times(line.toString('latin1'))
        await this.#dialogue.accept()
      } else {
        const announced = await this.#announcement(line, depth)
        const path = intoDirectory ? joinPath(target, announced.name) : target
        await this.#store(announced, path, times, depth)
        times = undefined
      }
    }
  }

  async #times(line: string): Promise<Times> {
    const match = /^T(\d{1,11}) (\d{1,6}) (\d{1,11}) (\d{1,6})$/.exec(line)
    if (!match) throw await this.#protocolError('times not delimited')
    return { mtime: Number(match[1]), atime: Number(match[3]) }
  }

  async #announcement(line: Buffer, depth: number): Promise<Announcement> {
    const match = /^([CD])([0-7]{4}) (\d{1,16}) (.+)$/s.exec(line.toString('latin1'))
    if (!match) throw await this.#protocolError(`unexpected line ${sanitize(line.toString('utf8').slice(0, 80), true)}`)
    const [, kind, mode, size, rawName] = match
    const name = decodePath(Buffer.from(rawName!, 'latin1'))
    if (!isPlainName(name)) throw await this.#protocolError(`unexpected filename: ${sanitize(name, true)}`)
    if (depth === 0 && this.#options.accepts && !this.#options.accepts(name))
      throw await this.#protocolError('filename does not match request')
    if (kind === 'D' && !this.#options.recursive) throw await this.#protocolError('received directory without -r')
    if (!Number.isSafeInteger(Number(size))) throw await this.#protocolError('size out of range')
    if (depth > maximumDepth) throw await this.#protocolError('directories nested too deeply')
    return { kind: kind as 'C' | 'D', mode: Number.parseInt(mode!, 8), size: Number(size), name }
  }

  async #protocolError(text: string): Promise<ScpError> {
    await this.#dialogue.complain(text)
    return new ScpError('protocol', `protocol error: ${text}`)
  }

  async #store(announced: Announcement, path: string, times: Times | undefined, depth: number): Promise<void> {
    try {
      if (announced.kind === 'D') await this.#storeDirectory(announced, path, times, depth)
      else await this.#storeFile(announced, path, times)
    } catch (error) {
      if (!(error instanceof SftpError)) throw error
      this.#options.onError(error, path)
      await this.#dialogue.complain(messageOf(error).replaceAll('\n', '\\^J'))
    }
  }

  async #storeDirectory({ mode }: Announcement, path: string, times: Times | undefined, depth: number): Promise<void> {
    const { preserve, umask } = this.#options
    const type = await typeAt(this.#files, path)
    if (type !== undefined && type !== 'directory') throw new SftpError('not-a-directory', { path })
    // Until all is in it, the owner may write.
    if (type === undefined) await this.#files.mkdir(path, { permissions: (preserve ? mode : mode & ~umask) | 0o700 })
    await this.receive(path, depth + 1)
    const changes: Attributes = { ...(preserve && times) }
    if (preserve || (type === undefined && (mode & 0o700) !== 0o700)) {
      changes.permissions = preserve ? mode : mode & ~umask
    }
    if (Object.keys(changes).length > 0) {
      await this.#files.setstat(path, changes).catch(error => this.#options.onError(error, path))
    }
  }

  async #storeFile({ mode, size }: Announcement, path: string, times: Times | undefined): Promise<void> {
    const { preserve, umask, meter } = this.#options
    const existed = (await typeAt(this.#files, path)) !== undefined
    const permissions = preserve ? mode : mode & ~umask
    const file = await this.#files.open(path, OpenFlag.write | OpenFlag.create, { permissions: permissions | 0o200 })
    const progress = meter?.begin(path, size)
    try {
      await this.#dialogue.accept()
      let failure = await this.#receiveData(file, size, moved => progress?.advance(moved))
      const changes: Attributes = { size }
      if (preserve || (!existed && !(permissions & 0o200))) changes.permissions = permissions
      await file.setstat({ ...changes, ...(preserve && times) }).catch(error => {
        failure ??= error
      })
      progress?.end()
      await this.#sourceFinished(path)
      if (failure) throw failure
      await this.#dialogue.accept()
    } finally {
      progress?.end()
      await file.close().catch(() => {})
    }
  }

  /** The other side says after the data whether it could read it all. */
  async #sourceFinished(path: string): Promise<void> {
    try {
      await this.#dialogue.answer()
    } catch (error) {
      if (!(error instanceof ScpError) || error.code !== 'remote') throw error
      this.#options.onError(error, path)
    }
  }

  /** Takes `size` bytes from the stream, whether or not they can be written. Resolves to why they could not. */
  async #receiveData(file: FileHandle, size: number, advance: (bytes: number) => void): Promise<SftpError | undefined> {
    let failure: SftpError | undefined
    let writing: Promise<void> = Promise.resolve()
    for (let at = 0; at < size; ) {
      const data = await this.#dialogue.take(size - at)
      if (!data) {
        await writing
        throw this.#dialogue.lost()
      }
      await this.#options.meter?.throttle(data.length)
      await writing
      const position = at
      if (!failure) {
        writing = file.writeAt(position, data).catch(error => {
          failure ??= error
        })
      }
      at += data.length
      advance(data.length)
    }
    await writing
    return failure
  }
}
