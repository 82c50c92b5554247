import { messageOf, SshError, sanitize } from '../errors.ts'
import type { ByteStream } from '../wire/byte-stream.ts'

/**
 * - `remote`: the other side could not do something; the dialogue goes on with the next file
 * - `refused`: the other side gave up, with its reason
 * - `protocol`: it said what it must not; nothing more is taken from it
 * - `connection-lost`: the stream ended in the middle
 */
export type ScpErrorCode = 'remote' | 'refused' | 'protocol' | 'connection-lost'

/** A copy by the protocol of scp and rcp went wrong. */
export class ScpError extends SshError<ScpErrorCode> {}

/** Longest line of the dialogue, in bytes: a mode, a size and a name. */
const maximumLine = 8192

const newline = 0x0a

/** Bytes of an answer and of the line that may follow. */
const ok = 0
const warning = 1
const fatal = 2

/** Lines, one-byte answers and file data over one stream: both roles speak it. */
export class Dialogue {
  readonly #stream: ByteStream
  readonly #received: Buffer[] = []
  /** `half`: nothing more comes, though the other side may still read. */
  #state: 'open' | 'half' | 'ended' = 'open'
  /** Why the stream ended, when it did not end by itself. */
  #reason: Error | undefined
  #wakeReader: (() => void) | undefined
  #wakeWriter: (() => void) | undefined

  constructor(stream: ByteStream) {
    this.#stream = stream
    const end = (reason?: Error): void => {
      this.#state = 'ended'
      this.#reason ??= reason
      this.#wakeReader?.()
      this.#wakeWriter?.()
    }
    stream.sink = {
      data: data => {
        this.#received.push(data)
        this.#wakeReader?.()
      },
      eof: () => {
        if (this.#state === 'open') this.#state = 'half'
        this.#wakeReader?.()
      },
      closed: end,
      writable: () => this.#wakeWriter?.(),
    }
  }

  /** Some bytes, at most `maximum`; undefined at the end of the stream. */
  async take(maximum: number): Promise<Buffer | undefined> {
    return (await this.#arrived()) ? this.#takeNow(maximum) : undefined
  }

  /** A line without its end; undefined at the end of the stream. @throws ScpError protocol, connection-lost */
  async line(): Promise<Buffer | undefined> {
    const parts: Buffer[] = []
    let length = 0
    while (await this.#arrived()) {
      const end = this.#received[0]!.indexOf(newline)
      const part = this.#takeNow(end < 0 ? maximumLine : end + 1)
      length += part.length
      if (length > maximumLine) throw new ScpError('protocol', 'protocol error: line too long')
      parts.push(part)
      if (part.at(-1) === newline) return Buffer.concat(parts, length - 1)
    }
    if (length === 0) return undefined
    throw this.lost()
  }

  /** Whether the stream was cut off, so that what came is not all. */
  get isBroken(): boolean {
    return this.#reason !== undefined
  }

  /** The error for a stream that ended in the middle, with the reason where there is one. */
  lost(): ScpError {
    const reason = this.#reason
    if (!reason) return new ScpError('connection-lost', 'lost connection')
    return new ScpError('connection-lost', `lost connection: ${sanitize(messageOf(reason))}`, { cause: reason })
  }

  /** Waits for bytes; false when none will come. */
  async #arrived(): Promise<boolean> {
    while (this.#received.length === 0) {
      if (this.#state !== 'open') return false
      await new Promise<void>(resolve => {
        this.#wakeReader = resolve
      })
      this.#wakeReader = undefined
    }
    return true
  }

  #takeNow(maximum: number): Buffer {
    const first = this.#received[0]!
    const taken = first.length <= maximum ? first : first.subarray(0, maximum)
    if (taken === first) this.#received.shift()
    else this.#received[0] = first.subarray(maximum)
    this.#stream.consumed(taken.length)
    return taken
  }

  /** Waits for the other side's answer. @throws ScpError remote, refused, protocol, connection-lost */
  async answer(): Promise<void> {
    const byte = (await this.take(1))?.[0]
    if (byte === undefined) throw this.lost()
    if (byte === ok) return
    if (byte !== warning && byte !== fatal) {
      // What a shell's start-up file printed, as like as not.
      const rest = (await this.line()) ?? Buffer.alloc(0)
      throw new ScpError('refused', sanitize(String.fromCharCode(byte) + rest.toString('utf8')))
    }
    throw complaint(byte, (await this.line()) ?? Buffer.alloc(0))
  }

  /** Writes everything, waiting for room. @throws ScpError connection-lost */
  async write(data: Buffer | string): Promise<void> {
    if (this.#state === 'ended') throw this.lost()
    if (this.#stream.write(typeof data === 'string' ? Buffer.from(data) : data)) return
    await new Promise<void>(resolve => {
      this.#wakeWriter = resolve
    })
    this.#wakeWriter = undefined
  }

  accept(): Promise<void> {
    return this.write(Buffer.of(ok))
  }

  /** Tells the other side what could not be done; it goes on. */
  complain(text: string): Promise<void> {
    return this.write(`\x01scp: ${text}\n`)
  }

  /** No more is said. */
  end(): void {
    this.#stream.eof()
  }
}

/** What a line that begins with 1 or 2 says. */
export function complaint(kind: number, text: Buffer): ScpError {
  return new ScpError(kind === warning ? 'remote' : 'refused', sanitize(text.toString('utf8')))
}
