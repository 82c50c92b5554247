import { readSync } from 'node:fs'

/** Reading of stdin that waits for it, also where somebody made it not block. */

/** Longest line that is taken as an answer, in bytes. */
const answerLimit = 1024
const chunkSize = 64 * 1024
const retryDelay = new Int32Array(new SharedArrayBuffer(4))

/** One read. @returns bytes read, 0 at the end @throws what the system says */
function readSome(fd: number, buffer: Buffer): number {
  for (;;) {
    try {
      return readSync(fd, buffer, 0, buffer.length, null)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw error
      // There is nothing to wait on but time.
      Atomics.wait(retryDelay, 0, 0, 10)
    }
  }
}

/** One line of stdin, byte by byte so that what follows stays there for others. Undefined at its end. */
export function readStdinLine(): string | undefined {
  const byte = Buffer.alloc(1)
  const line: number[] = []
  for (;;) {
    let count = 0
    try {
      count = readSome(0, byte)
    } catch {
      // As good as ended.
    }
    if (count === 0 && line.length === 0) return undefined
    if (count === 0 || byte[0] === 0x0a) return Buffer.from(line).toString()
    if (line.length < answerLimit) line.push(byte[0]!)
  }
}

/** All of stdin, up to a limit in bytes. @throws Error `EFBIG` */
export function readStdin(limit: number): Buffer {
  const chunks: Buffer[] = []
  let size = 0
  for (const chunk of readChunks(0)) {
    size += chunk.length
    if (size > limit) throw Object.assign(new Error('too much input'), { code: 'EFBIG' })
    chunks.push(Buffer.from(chunk))
  }
  return Buffer.concat(chunks)
}

/** What a file descriptor gives, piece by piece; each is overwritten by the next. @throws what the system says */
export function* readChunks(fd: number): Generator<Buffer> {
  const buffer = Buffer.allocUnsafe(chunkSize)
  for (let count = readSome(fd, buffer); count > 0; count = readSome(fd, buffer)) yield buffer.subarray(0, count)
}
