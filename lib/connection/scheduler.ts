/** Something that has packets to send. */
export interface PacketSource {
  readonly interactive: boolean
  /** It has data and may send it. */
  readonly ready: boolean
  /** Sends one packet. Only when `ready`. */
  sendPacket(): void
}

/** Packets of interactive channels in a row, after which a bulk one has its turn: nobody starves. */
const interactiveTurns = 4

/** Round robin over the channels that have data to send, one packet each, interactive ones first. */
export class Scheduler {
  readonly #writable: () => boolean
  readonly #interactive: PacketSource[] = []
  readonly #bulk: PacketSource[] = []
  readonly #waiting = new Set<PacketSource>()
  #turns = 0
  #state: 'idle' | 'running' = 'idle'

  /** `writable` says whether the transport takes another packet. */
  constructor(writable: () => boolean) {
    this.#writable = writable
  }

  /** `source` may have become ready. Sends at once what can be sent. */
  add(source: PacketSource): void {
    if (source.ready && !this.#waiting.has(source)) this.#enqueue(source)
    this.run()
  }

  /** Sends while there is something to send and the transport takes it. */
  run(): void {
    // Whoever is told "writable" while we run may write again: the loop below sees it.
    if (this.#state === 'running') return
    this.#state = 'running'
    try {
      while (this.#waiting.size > 0 && this.#writable()) {
        const source = this.#next()
        this.#waiting.delete(source)
        if (!source.ready) continue
        source.sendPacket()
        if (source.ready && !this.#waiting.has(source)) this.#enqueue(source)
      }
    } finally {
      this.#state = 'idle'
    }
  }

  clear(): void {
    this.#waiting.clear()
    this.#interactive.length = 0
    this.#bulk.length = 0
  }

  #enqueue(source: PacketSource): void {
    this.#waiting.add(source)
    const line = source.interactive ? this.#interactive : this.#bulk
    line.push(source)
  }

  #next(): PacketSource {
    const bulkIsDue = this.#interactive.length === 0 || (this.#turns >= interactiveTurns && this.#bulk.length > 0)
    this.#turns = bulkIsDue ? 0 : this.#turns + 1
    return (bulkIsDue ? this.#bulk : this.#interactive).shift()!
  }
}
