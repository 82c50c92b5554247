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
  state: 'waiting' | 'running'
}

/** Starts requests as soon as no earlier one touches the same. */
export class RequestOrder {
  readonly #entries: Entry[] = []
  readonly #left: () => void
  #waiting = 0

  /** `left` is called after each request that ended. */
  constructor(left: () => void = () => {}) {
    this.#left = left
  }

  /** Requests that run or wait. */
  get size(): number {
    return this.#entries.length
  }

  /** Whether nothing that runs or waits is in the way. */
  isFree(scope: Scope): boolean {
    return this.#entries.length === 0 || !this.#entries.some(earlier => conflict(earlier.scope, scope))
  }

  /** Calls `run`, now or when all earlier requests in its way have ended. It must not reject. */
  enter(scope: Scope, run: () => Promise<void>): void {
    const entry: Entry = { scope, run, state: 'waiting' }
    const free = this.isFree(scope)
    this.#entries.push(entry)
    if (free) this.#start(entry)
    else this.#waiting++
  }

  #start(entry: Entry): void {
    entry.state = 'running'
    void entry.run().finally(() => this.#leave(entry))
  }

  #leave(entry: Entry): void {
    this.#entries.splice(this.#entries.indexOf(entry), 1)
    if (this.#waiting > 0) this.#startFree()
    this.#left()
  }

  #startFree(): void {
    for (const [index, candidate] of [...this.#entries].entries()) {
      if (candidate.state === 'running') continue
      const before = this.#entries.slice(0, index)
      if (before.some(earlier => conflict(earlier.scope, candidate.scope))) continue
      this.#waiting--
      this.#start(candidate)
    }
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
