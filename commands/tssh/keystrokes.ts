import { randomInt } from 'node:crypto'
import type { Channel } from '../../lib/connection/channel.ts'
import { Ping } from '../../lib/transport/messages.ts'
import type { Transport } from '../../lib/transport/transport.ts'

/** Longest input that counts as typing, in bytes: more is pasted, and goes at once. */
const typingLimit = 100
/** For how long false keystrokes go on after the last true one, in milliseconds. */
const chaffAtLeast = 1024
const chaffSpread = 2048
/** By how much an interval may differ, as a part of it. */
const jitter = 0.1

const pingExtension = 'ping@openssh.com'
const falseKeystroke = Buffer.from('PING!')

/**
 * Hides when keys are struck (ssh_config(5), ObscureKeystrokeTiming): what is typed waits for the next beat of a clock,
 * and a while after the last key beats without one carry a PING of about the same size, which the server answers.
 */
export class KeystrokeTimer {
  readonly #transport: Transport
  readonly #interval: number
  readonly #send: (data: Buffer) => void
  #waiting: Buffer[] = []
  #chaffUntil = 0
  #timer: NodeJS.Timeout | undefined

  /** @param interval milliseconds between beats */
  constructor(transport: Transport, interval: number, send: (data: Buffer) => void) {
    this.#transport = transport
    this.#interval = interval
    this.#send = send
  }

  /** Whether this server answers a PING; without that, nothing would hide a pause. */
  static isPossible(transport: Transport): boolean {
    return transport.peerExtensions.has(pingExtension)
  }

  write(data: Buffer, channel: Channel): void {
    if (data.length > typingLimit || channel.queued > 0) {
      this.flush()
      this.#send(data)
      return
    }
    this.#waiting.push(data)
    this.#chaffUntil = performance.now() + chaffAtLeast + randomInt(chaffSpread)
    this.#schedule()
  }

  /** Sends what waits, now. */
  flush(): void {
    const data = Buffer.concat(this.#waiting.splice(0))
    if (data.length > 0) this.#send(data)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#waiting = []
  }

  #schedule(): void {
    if (this.#timer) return
    const fuzz = this.#interval * jitter * (randomInt(2001) / 1000 - 1)
    this.#timer = setTimeout(() => this.#beat(), this.#interval + fuzz)
  }

  #beat(): void {
    this.#timer = undefined
    if (this.#transport.phase === 'closed') return
    if (this.#waiting.length > 0) this.flush()
    else if (performance.now() < this.#chaffUntil) this.#transport.send(Ping, { data: falseKeystroke })
    else return
    this.#schedule()
  }
}
