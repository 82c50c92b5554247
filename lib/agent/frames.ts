import { AgentError } from '../errors.ts'
import { messageLimit } from './messages.ts'

const none = Buffer.alloc(0)

/** Cuts a stream into messages: a length of four bytes, then the message. */
export class FrameReader {
  #chunk: Buffer = none
  /** A message that began in an earlier chunk: its length field, then the whole of it. */
  readonly #header = Buffer.alloc(4)
  #headerLength = 0
  #body: Buffer | undefined
  #bodyLength = 0

  /** Takes a chunk, which must not change any more. What `next` did not give out of the last one is lost. */
  push(chunk: Buffer): void {
    this.#chunk = chunk
  }

  /** The next whole message, as a view of a chunk or a buffer of its own. @throws AgentError `malformed` for a bad length */
  next(): Buffer | undefined {
    const chunk = this.#chunk
    // A message that lies whole in the chunk is not copied.
    if (!this.#body && this.#headerLength === 0 && chunk.length >= 4) {
      const length = checkedLength(chunk.readUInt32BE(0))
      if (chunk.length >= 4 + length) {
        this.#chunk = chunk.subarray(4 + length)
        return chunk.subarray(4, 4 + length)
      }
    }
    if (!this.#body && !this.#takeHeader()) return undefined
    const body = this.#body!
    const count = this.#chunk.copy(body, this.#bodyLength)
    this.#bodyLength += count
    // A message may hold a key: no second copy of it stays behind.
    this.#chunk.fill(0, 0, count)
    this.#chunk = this.#chunk.subarray(count)
    if (this.#bodyLength < body.length) return undefined
    this.#body = undefined
    return body
  }

  #takeHeader(): boolean {
    const count = this.#chunk.copy(this.#header, this.#headerLength)
    this.#headerLength += count
    this.#chunk = this.#chunk.subarray(count)
    if (this.#headerLength < 4) return false
    this.#body = Buffer.alloc(checkedLength(this.#header.readUInt32BE(0)))
    this.#bodyLength = 0
    this.#headerLength = 0
    return true
  }
}

function checkedLength(length: number): number {
  if (length < 1 || length > messageLimit) throw new AgentError('malformed', 'agent message of impossible length')
  return length
}
