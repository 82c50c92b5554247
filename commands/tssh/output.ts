import { write } from 'node:fs'
import type { Channel } from '../../lib/connection/channel.ts'
import type { Connection } from '../../lib/connection/connection.ts'
import { sendEndOfWrite } from '../../lib/connection/requests/end-of-write.ts'

/** Takes data and says when they are written. */
interface Outlet {
  write(data: Buffer, done: (error?: Error | null) => void): void
}

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
      const code = error && 'code' in error ? error.code : undefined
      if (code === 'EAGAIN') {
        setTimeout(next, 10)
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
    write(data, done) {
      queue.push({ data, done })
      if (queue.length === 1) next()
    },
  }
}

function outletOf(stream: NodeJS.WriteStream, fd: number): Outlet {
  if (stream.isTTY) return terminalOutlet(fd)
  return { write: (data, done) => void stream.write(data, done) }
}

const outlets: [Outlet?, Outlet?] = []
/** Of stdout and stderr: all that is written to one keeps its order. */
const outlet = (index: 0 | 1): Outlet =>
  (outlets[index] ??= outletOf(index === 0 ? process.stdout : process.stderr, index + 1))

/** A text of ours between what the session prints. */
export const say = (text: string): void => outlet(1).write(Buffer.from(text), () => {})

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
    outlet(index).write(data, error => {
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
