import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Engine } from '../../lib/engine.ts'
import { giveBack } from '../../lib/wire/room.ts'
import { passed } from '../native/garbage.ts'
import { largeReadsOf } from './large-reads.ts'

/** Bytes up to which the parts of a batch are joined: one write is cheaper than several. */
const joinedLimit = 2048

/** As one piece what lies side by side in one memory: each piece of a write costs Node several times what a byte does. */
function adjacentJoined(chunks: readonly Buffer[]): Buffer[] {
  const runs: Buffer[] = []
  let first: Buffer | undefined
  let length = 0
  const end = (): void => {
    if (first) runs.push(length === first.length ? first : Buffer.from(first.buffer, first.byteOffset, length))
  }
  for (const chunk of chunks) {
    if (first && chunk.buffer === first.buffer && chunk.byteOffset === first.byteOffset + length) {
      length += chunk.length
      continue
    }
    end()
    first = chunk
    length = chunk.length
  }
  end()
  return runs
}

function giveAllBack(chunks: readonly Buffer[]): void {
  for (const chunk of chunks) giveBack(chunk)
}

/**
 * Joins a byte stream (a TCP socket, a proxy's pipes, a channel) and an engine. Errors of the stream end the engine and
 * go nowhere else.
 */
export function joinStream(stream: Duplex): { output(chunks: Buffer[]): boolean; attach(engine: Engine): void } {
  const isSocket = stream instanceof Socket
  return {
    output(chunks) {
      if (stream.destroyed || stream.writableEnded) return true
      let bytes = 0
      for (const chunk of chunks) bytes += chunk.length
      passed(bytes)
      if (bytes <= joinedLimit) {
        const joined = Buffer.concat(chunks, bytes)
        giveAllBack(chunks)
        return stream.write(joined)
      }
      const runs = adjacentJoined(chunks)
      let room = true
      if (runs.length > 1) stream.cork()
      for (const run of runs) room = stream.write(run)
      if (runs.length > 1) stream.uncork()
      // What the system has taken needs its memory no more; another stream may still have it.
      if (isSocket && stream.writableLength === 0) giveAllBack(chunks)
      return room
    },
    attach(engine) {
      stream.on('drain', () => engine.outputDrained())
      stream.on('end', () => engine.ended())
      stream.on('error', error => engine.ended(error))
      stream.on('close', () => engine.ended())
      const take = (chunk: Buffer): boolean => {
        passed(chunk.length)
        const pending = engine.receive(chunk)
        pending?.then(() => stream.resume())
        return pending === undefined
      }
      const large = largeReadsOf(stream)
      if (large) large.takenBy(stream, take)
      else {
        stream.on('data', (chunk: Buffer) => {
          // New memory, too.
          passed(chunk.length)
          if (!take(chunk)) stream.pause()
        })
      }
    },
  }
}
