import { fstatSync, write, writevSync } from 'node:fs'
import { isatty } from 'node:tty'
import type { Channel } from '../../lib/connection/channel.ts'
import type { Connection } from '../../lib/connection/connection.ts'
import { sendEndOfWrite } from '../../lib/connection/requests/end-of-write.ts'
import { piecesAfter } from '../../lib/wire/pieces.ts'
import { giveBack } from '../../lib/wire/room.ts'
import { GrowingPipe } from '../../src/net/pipe-reads.ts'

/** Takes data, in one piece or more, and says when they are written. */
interface Outlet {
  write(pieces: Buffer[], done: (error?: Error | null) => void): void
}

/** Milliseconds after which a file that took nothing is tried again. */
const busyPause = 10

/**
 * A terminal, written to away from the event loop: one that stops reading (a pager, a slow line) would otherwise stop the
 * escapes, which are the way out of just that.
 */
function terminalOutlet(fd: number): Outlet {
  const queue: { data: Buffer; done: (error?: Error | null) => void }[] = []
  const next = (): void => {
    const first = queue[0]
    if (!first) return
    write(fd, first.data, (error, written) => {
      if (isBusy(error)) {
        setTimeout(next, busyPause)
        return
      }
      if (!error && written < first.data.length) first.data = first.data.subarray(written)
      else {
        queue.shift()
        first.done(error)
      }
      next()
    })
  }
  return {
    write(pieces, done) {
      queue.push({ data: pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces), done })
      if (queue.length === 1) next()
    },
  }
}

/** A file, which keeps nobody waiting: all pieces in one call. */
function fileOutlet(fd: number): Outlet {
  const queue: { pieces: Buffer[]; done: (error?: Error | null) => void }[] = []
  const next = (): void => {
    for (let first = queue[0]; first; first = queue[0]) {
      try {
        first.pieces = piecesAfter(first.pieces, writevSync(fd, first.pieces.slice(0, mostPieces)))
        if (first.pieces.length > 0) continue
        queue.shift()
        first.done()
      } catch (error) {
        if (isBusy(error)) {
          setTimeout(next, busyPause)
          return
        }
        queue.shift()
        first.done(error as Error)
      }
    }
  }
  return {
    write(pieces, done) {
      queue.push({ pieces, done })
      if (queue.length === 1) next()
    },
  }
}

/** Pieces of one call (IOV_MAX of Linux is 1024). */
const mostPieces = 512

const isBusy = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'EAGAIN'

function streamOutlet(fd: 1 | 2): Outlet {
  const stream = fd === 1 ? process.stdout : process.stderr
  const growing = new GrowingPipe(fd)
  return {
    write(pieces, done) {
      for (const piece of pieces) growing.passed(piece.length)
      stream.cork()
      for (const [index, piece] of pieces.entries()) {
        if (index + 1 < pieces.length) stream.write(piece)
        else stream.write(piece, done)
      }
      stream.uncork()
    },
  }
}

function outletOf(fd: 1 | 2): Outlet {
  if (isatty(fd)) return terminalOutlet(fd)
  return isFile(fd) ? fileOutlet(fd) : streamOutlet(fd)
}

/** A device such as /dev/null is written to as a file is. */
function isFile(fd: number): boolean {
  try {
    const entry = fstatSync(fd)
    return entry.isFile() || entry.isCharacterDevice()
  } catch {
    return false
  }
}

const outlets: [Outlet?, Outlet?] = []
/** Of stdout and stderr: all that is written to one keeps its order. */
const outlet = (index: 0 | 1): Outlet => (outlets[index] ??= outletOf(index === 0 ? 1 : 2))

interface Waiting {
  readonly index: 0 | 1
  readonly pieces: Buffer[]
  readonly dones: ((error?: Error | null) => void)[]
}

/** What came in this turn, in its order: pieces for one outlet in a row are written in one go. */
let gathered: Waiting[] = []

function writeSoon(index: 0 | 1, data: Buffer, done: (error?: Error | null) => void): void {
  const last = gathered.at(-1)
  if (last?.index === index) {
    last.pieces.push(data)
    last.dones.push(done)
    return
  }
  gathered.push({ index, pieces: [data], dones: [done] })
  if (!last) queueMicrotask(writeGathered)
}

function writeGathered(): void {
  const batch = gathered
  gathered = []
  for (const { index, pieces, dones } of batch) {
    outlet(index).write(pieces, error => {
      for (const piece of pieces) giveBack(piece)
      for (const done of dones) done(error)
    })
  }
}

/** A text of ours between what the session prints. */
export const say = (text: string): void => writeSoon(1, Buffer.from(text), () => {})

/**
 * What a session prints, to stdout and stderr. Data count as taken once written, so a reader that stops stops the server
 * too. One that went away is told to the server, whose program then sees a broken pipe.
 */
export function outputSink(connection: Connection, resumeInput: () => void) {
  let channel: Channel
  const broken = [false, false]
  let writing = 0
  let held: [index: 0 | 1, data: Buffer][] | undefined
  let waiting: (() => void)[] = []
  const progress = (): Promise<void> => new Promise(resolve => waiting.push(resolve))
  const tell = (): void => {
    const told = waiting
    waiting = []
    for (const go of told) go()
  }
  const print = (index: 0 | 1, data: Buffer): void => {
    // No more than the window lets come.
    if (held) {
      held.push([index, data])
      return
    }
    if (broken[index]) {
      channel.consumed(data.length)
      return
    }
    writing++
    writeSoon(index, data, error => {
      writing--
      if (error && !broken[index]) {
        broken[index] = true
        if (index === 0) sendEndOfWrite(connection, channel)
      }
      channel.consumed(data.length)
      if (writing === 0) tell()
    })
  }
  return {
    opened(own: Channel) {
      channel = own
    },
    data: (data: Buffer) => print(0, data),
    extendedData: (_type: number, data: Buffer) => print(1, data),
    writable: resumeInput,
    /** Prints nothing until `release`: something else has the terminal. Resolves once what came before is written. */
    async hold(): Promise<void> {
      held ??= []
      while (writing > 0) await progress()
    },
    release() {
      const late = held ?? []
      held = undefined
      for (const [index, data] of late) print(index, data)
      tell()
    },
    /** Resolves once all that came is written. */
    async flushed(): Promise<void> {
      while (writing > 0 || held) await progress()
    },
  }
}
