import { ProtocolError, UsageError } from '../errors.ts'

const kib = 1024
const mib = 1024 * kib

/** Bytes a peer may send on a new channel before a reader takes them. */
export const defaultWindow = 2 * mib
/** What a window may grow to while its reader keeps up: 160 MiB/s on a path of 100 ms. */
export const maximumWindow = 16 * mib
/** Largest data packet that we take and send: twice OpenSSH's, as each costs much the same whatever it holds. */
export const defaultMaximumPacket = 64 * kib
/** By how much the windows of one connection may grow together: many channels cannot claim 16 MiB each. */
export const growthBudget = 128 * mib

/** Window credit is a uint32 (RFC 4254 §5.2). */
const maximumCredit = 0xffffffff

/** Milliseconds below which a path needs no larger window: 2 MiB each 5 ms outrun what ciphers do. */
const shortRoundTrip = 5

/** Windows in a row that the round trip limited before one grows: on a busy machine, one or two may seem to be. */
const limitedInARow = 3

/**
 * What the windows of one connection share. A window larger than the path needs is harmful: OpenSSH's buffers, which
 * fill up to the window, slow down tenfold and more at 16 MiB. So windows grow only where the round trip is what limits:
 * not where a busy machine answers late, as there a window of data soon takes less time than a round trip was thought to.
 */
export class Growth {
  /** Bytes that they may still grow by. */
  left = growthBudget
  /**
   * The shortest round trip seen, in milliseconds; 0 while unknown. Of messages to the peer, not of the stream below: what
   * answers a connect may be much nearer than the peer (a tunnel, a relay).
   */
  roundTrip = 0
  /** Milliseconds on a clock that only goes forward. */
  readonly now: () => number

  constructor(now: () => number = () => performance.now()) {
    this.now = now
  }

  /** The peer answered at once what was sent at `since`. */
  sample(since: number): void {
    const elapsed = this.now() - since
    this.roundTrip = this.roundTrip === 0 ? elapsed : Math.min(this.roundTrip, elapsed)
  }
}

/**
 * What the peer may send to us (RFC 4254 §5.2). At all times `credit` + `unread` + what was taken but not yet granted
 * again is `size`, so `unread`, which is the memory a peer can make us hold, never exceeds `size`.
 */
export class ReceiveWindow {
  size: number
  /** Bytes that the peer may still send. */
  credit: number
  /** Bytes that came and that no reader took. */
  unread = 0
  readonly #initial: number
  readonly #refill: number
  readonly #growth: Growth
  #taken = 0
  /** The most bytes that were unread at once since the mark, bytes allowed at the mark that did not come yet, and its time. */
  #peak = 0
  #allowed: number
  #marked: number
  /** How many marks in a row the round trip limited. */
  #limited = 0

  constructor(size: number, maximumPacket: number, growth: Growth) {
    this.size = size
    this.credit = size
    this.#initial = size
    this.#refill = Math.max(3 * maximumPacket, size / 8)
    this.#growth = growth
    this.#allowed = size
    this.#marked = growth.now()
  }

  /** @throws ProtocolError when the peer sends more than it may. */
  receive(count: number): void {
    if (count > this.credit) throw new ProtocolError('window-exceeded', 'peer sent more than the window allows')
    this.credit -= count
    this.unread += count
    if (this.unread > this.#peak) this.#peak = this.unread
    this.#allowed -= count
    if (this.#allowed < 0) this.#mark()
  }

  /**
   * A reader took `count` bytes. Returns how much to grant the peer by WINDOW_ADJUST, or 0: it is time after half the
   * window, or three maximum packets or an eighth of the window (a message of ours costs both sides more than eight
   * packets of theirs: sealing, waking up and opening).
   */
  take(count: number): number {
    if (!(count >= 0 && count <= this.unread)) throw new UsageError('more bytes consumed than the channel delivered')
    this.unread -= count
    this.#taken += count
    if (this.#taken === 0 || (this.#taken < this.size / 2 && this.#taken < this.#refill)) return 0
    const extra = this.#limited < limitedInARow ? 0 : this.#grow()
    const grant = this.#taken + extra
    this.#taken = 0
    this.credit += grant
    if (extra > 0) this.#setMark()
    return grant
  }

  /** Gives what the window grew by back to the connection. */
  release(): void {
    this.#growth.left += this.size - this.#initial
    this.size = this.#initial
  }

  /**
   * What comes now was granted after the mark, so that a round trip takes no longer than it is since. Where the round trip
   * is what limits, it takes hardly less, and the reader is never half a window behind. Where anything else does, twice the
   * window takes twice the time, so that one growth in vain is not followed by another.
   */
  #mark(): void {
    const growth = this.#growth
    const now = growth.now()
    growth.sample(this.#marked)
    const isLimiting = growth.roundTrip >= shortRoundTrip && now - this.#marked <= 1.5 * growth.roundTrip
    this.#limited = isLimiting && this.#peak <= this.size / 2 ? this.#limited + 1 : 0
    this.#setMark(now)
  }

  #setMark(now = this.#growth.now()): void {
    this.#peak = this.unread
    this.#marked = now
    this.#allowed = this.credit
  }

  /** Doubles the window. @returns by how much it grew */
  #grow(): number {
    this.#limited = 0
    const extra = Math.max(0, Math.min(this.size, maximumWindow - this.size, this.#growth.left))
    this.#growth.left -= extra
    this.size += extra
    return extra
  }
}

/** What we may send to the peer. */
export class SendWindow {
  credit: number

  constructor(credit: number) {
    this.credit = credit
  }

  /** @throws ProtocolError when the credit passes 2^32-1. */
  adjust(count: number): void {
    if (count > maximumCredit - this.credit) throw new ProtocolError('window-exceeded', 'window adjusted beyond 2^32-1')
    this.credit += count
  }
}
