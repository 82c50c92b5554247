import { accessOf, OpenFlag } from './messages.ts'
import type { SftpSession } from './session.ts'

/** Sessions besides the first. sshd lets a connection have ten (MaxSessions). */
const maximumLanes = 3
/** Bytes of a file that are there before more lanes open. */
const worthwhileBytes = 4 * 1024 * 1024
/** Milliseconds of a round trip from which on the server's window, not the work, is what limits. */
const longRoundTrip = 10
/** Bytes of the beginning of a file by which a lane knows that it has opened the same. */
const proofLength = 4096

/**
 * Further sessions with the same server over the same connection. Each channel has a window of its own, which OpenSSH's
 * server never grows beyond 2 MiB: on a long path, several of them carry what one cannot.
 */
export class Lanes {
  readonly #open: () => Promise<SftpSession>
  #sessions: Promise<SftpSession[]> | undefined

  /** `open` may reject: then there are fewer lanes. */
  constructor(open: () => Promise<SftpSession>) {
    this.#open = open
  }

  /** Opens them the first time. */
  sessions(): Promise<SftpSession[]> {
    this.#sessions ??= Promise.allSettled(Array.from({ length: maximumLanes }, () => this.#open())).then(results =>
      results.filter(result => result.status === 'fulfilled').map(({ value }) => value),
    )
    return this.#sessions
  }
}

interface Lane {
  readonly session: SftpSession
  readonly handle: Buffer
  /** Bytes on their way. */
  load: number
}

/** The lanes of one file that is written from its beginning. Only a large file on a long path gets more than one. */
export class FileLanes {
  readonly #more: Lanes
  readonly #path: string
  readonly #first: Lane
  readonly #lanes: Lane[]
  #state: 'one' | 'more' | 'closed' = 'one'
  #opening: Promise<void> | undefined
  /** The beginning of the file, once it is there. */
  #proof: Buffer | undefined
  #written = 0

  /** `path` as it goes over the wire. */
  constructor(more: Lanes, session: SftpSession, handle: Buffer, path: string) {
    this.#more = more
    this.#path = path
    this.#first = { session, handle, load: 0 }
    this.#lanes = [this.#first]
  }

  /** WRITE by the lane that has the least to do. */
  async write(offset: number, data: Buffer, before?: number): Promise<void> {
    let lane = this.#first
    for (const other of this.#lanes) if (other.load < lane.load) lane = other
    lane.load += data.length
    try {
      await lane.session.write(lane.handle, offset, data, this.#path, before)
    } finally {
      lane.load -= data.length
    }
    if (this.#state === 'one') this.#wrote(offset, data)
  }

  #wrote(offset: number, data: Buffer): void {
    this.#written += data.length
    if (offset === 0) this.#proof = Buffer.from(data.subarray(0, proofLength))
    if (this.#proof && this.#written >= worthwhileBytes && this.#first.session.roundTrip >= longRoundTrip) {
      this.#state = 'more'
      this.#opening = this.#openMore(this.#proof)
    }
  }

  /** Never rejects: a lane that does not open is not needed. */
  async #openMore(proof: Buffer): Promise<void> {
    const sessions = await this.#more.sessions()
    await Promise.allSettled(sessions.map(session => this.#openLane(session, proof)))
  }

  async #openLane(session: SftpSession, proof: Buffer): Promise<void> {
    const { messages, version } = session
    const wanted = OpenFlag.read | OpenFlag.write
    const opening = version < 5 ? { access: 0, flags: wanted } : accessOf(wanted)
    const handle = await session.handle(messages.open, { path: this.#path, ...opening, attributes: {} }, this.#path)
    // Somebody may have put another file there meanwhile.
    const found = await session.read(handle, 0, proof.length, this.#path).catch(() => undefined)
    if (this.#state !== 'closed' && found?.equals(proof)) this.#lanes.push({ session, handle, load: 0 })
    else await session.status(messages.close, { handle }, this.#path)
  }

  /** Closes all but the first, which is its owner's. @throws SftpError when one of them could not be closed well */
  async close(): Promise<void> {
    this.#state = 'closed'
    await this.#opening
    const closing = this.#lanes
      .filter(lane => lane !== this.#first)
      .map(({ session, handle }) => session.status(session.messages.close, { handle }, this.#path))
    for (const result of await Promise.allSettled(closing)) if (result.status === 'rejected') throw result.reason
  }
}
