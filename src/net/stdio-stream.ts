import type { Readable, Writable } from 'node:stream'
import type { ByteStream, ByteStreamSink } from '../../lib/wire/byte-stream.ts'

/** Bytes given out and not consumed above which the input is paused. */
const highWaterMark = 2 * 1024 * 1024

/**
 * A byte stream over two Node streams, such as stdin and stdout of this process, or stdout and stdin of a child. It is over
 * when the input has ended and the output is closed, or when either fails.
 */
export function stdioStream(input: Readable, output: Writable): ByteStream {
  let outstanding = 0
  let state: 'open' | 'closed' = 'open'
  let inputOver = false
  let outputOver = false

  const finish = (error?: Error): void => {
    if (state === 'closed') return
    state = 'closed'
    stream.sink.closed?.(error)
  }
  const settle = (): void => {
    if (inputOver && outputOver) finish()
  }

  const stream: ByteStream = {
    sink: nobody,
    write(data) {
      if (state === 'closed' || output.writableEnded || output.destroyed) return false
      return output.write(data)
    },
    consumed(count) {
      outstanding -= count
      if (outstanding <= highWaterMark / 2 && input.isPaused()) input.resume()
    },
    eof() {
      if (!output.writableEnded) output.end()
    },
    close() {
      if (!output.writableEnded) output.end()
      input.resume()
    },
    abort() {
      input.destroy()
      output.destroy()
      finish()
    },
  }

  // Not before the owner has set its sink.
  queueMicrotask(() => {
    input.on('data', (chunk: Buffer) => {
      outstanding += chunk.length
      if (outstanding > highWaterMark) input.pause()
      stream.sink.data(chunk)
    })
    input.on('end', () => {
      inputOver = true
      stream.sink.eof?.()
      settle()
    })
    input.on('close', () => {
      inputOver = true
      settle()
    })
  })
  output.on('drain', () => stream.sink.writable?.())
  output.on('close', () => {
    outputOver = true
    settle()
  })
  input.on('error', finish)
  // A reader that went away ends the stream; it is no failure of ours.
  output.on('error', (error: NodeJS.ErrnoException) => finish(error.code === 'EPIPE' ? undefined : error))
  return stream
}

const nobody: ByteStreamSink = { data() {} }
