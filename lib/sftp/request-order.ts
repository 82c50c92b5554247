/**
 * Clients send requests without waiting for answers, and may rely on the order of those that concern the same file
 * (draft -02 §6): a CLOSE after WRITEs, an OPEN after a MKDIR. Everything else may run at once and end in any order.
 */

/** What a request touches. */
export interface Scope {
  /** It changes what it touches; two that only look never wait for one another. */
  readonly writes: boolean
  /** An open file, and which bytes of it: all by default. */
  readonly handle?: object
  readonly start?: number
  readonly end?: number
  /** Names; each stands for itself and all that is below and above it. */
  readonly paths?: readonly string[]
}

interface Entry {
  readonly scope: Scope
  readonly run: () => Promise<void>
  /** How many earlier requests in its way have not ended. */
  waitsFor: number
  /** Later requests in whose way it is. */
  readonly followers: Entry[]
}

/** Starts requests as soon as no earlier one touches the same. */
export class RequestOrder {
  readonly #entries = new Set<Entry>()
  readonly #left: () => void

  /** `left` is called after each request that ended. */
  constructor(left: () => void = () => {}) {
    this.#left = left
  }

  /** Requests that run or wait. */
  get size(): number {
    return this.#entries.size
  }

  /** Whether nothing that runs or waits is in the way. */
  isFree(scope: Scope): boolean {
    for (const earlier of this.#entries) if (conflict(earlier.scope, scope)) return false
    return true
  }

  /** Calls `run`, now or when all earlier requests in its way have ended. It must not reject. */
  enter(scope: Scope, run: () => Promise<void>): void {
    const entry: Entry = { scope, run, waitsFor: 0, followers: [] }
    for (const earlier of this.#entries) {
      if (!conflict(earlier.scope, scope)) continue
      earlier.followers.push(entry)
      entry.waitsFor++
    }
    this.#entries.add(entry)
    if (entry.waitsFor === 0) this.#start(entry)
  }

  #start(entry: Entry): void {
    void entry.run().finally(() => this.#leave(entry))
  }

  #leave(entry: Entry): void {
    this.#entries.delete(entry)
    for (const follower of entry.followers) if (--follower.waitsFor === 0) this.#start(follower)
    this.#left()
  }
}

function conflict(a: Scope, b: Scope): boolean {
  if (!a.writes && !b.writes) return false
  if (a.handle !== undefined && a.handle === b.handle && overlap(a, b)) return true
  if (!a.paths || !b.paths) return false
  return a.paths.some(one => b.paths!.some(other => related(one, other)))
}

const overlap = (a: Scope, b: Scope): boolean =>
  (a.start ?? 0) < (b.end ?? Number.POSITIVE_INFINITY) && (b.start ?? 0) < (a.end ?? Number.POSITIVE_INFINITY)

/** Whether one path is the other, or lies below it. Most are of one length: files of a directory. */
function related(a: string, b: string): boolean {
  if (a.length === b.length) return a === b
  const [long, short] = a.length > b.length ? [a, b] : [b, a]
  return long[short.length] === '/' && long.startsWith(short)
}
