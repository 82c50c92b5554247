import { ProtocolError } from '../../errors.ts'
import type { Retry } from './options.ts'

const defaultAttempts = 5
const firstDelay = 1000
const longestDelay = 30_000

export interface ReconnectorOptions {
  readonly signal?: AbortSignal | undefined
  /** As `TransferObserver.retrying`. */
  retrying?(attempt: number, milliseconds: number, error: Error): void
}

/** What came of trying. `lost`: there is no connection, and no more attempts. */
export type Reconnected = Awaited<ReturnType<Retry['reconnect']>> | 'lost' | 'aborted'

/** Connects again after a lost connection, with growing pauses, until it works or was tried too often in a row. */
export class Reconnector {
  readonly #retry: Retry
  readonly #options: ReconnectorOptions
  #attempts = 0

  constructor(retry: Retry, options: ReconnectorOptions = {}) {
    this.#retry = retry
    this.#options = options
  }

  /** Something got through: attempts are counted from here. */
  moved(): void {
    this.#attempts = 0
  }

  /** `error`: what ended the connection. A peer that broke the protocol would do it again. */
  async again(error: Error): Promise<Reconnected> {
    const { signal } = this.#options
    const { attempts = defaultAttempts, isFinal } = this.#retry
    const backoff = this.#retry.backoff ?? (attempt => Math.min(longestDelay, firstDelay * 2 ** (attempt - 1)))
    let reason = error
    while (!signal?.aborted) {
      if (reason instanceof ProtocolError || isFinal?.(reason) || this.#attempts >= attempts) return 'lost'
      const attempt = ++this.#attempts
      const delay = backoff(attempt)
      this.#options.retrying?.(attempt, delay, reason)
      await unlessAborted(new Promise<void>(resolve => void setTimeout(resolve, delay)), signal)
      if (signal?.aborted) break
      try {
        const ends = await unlessAborted(this.#retry.reconnect(), signal)
        if (ends) return ends
      } catch (failure) {
        reason = failure as Error
      }
    }
    return 'aborted'
  }
}

/** Undefined as soon as the signal says so; what goes on is nobody's concern then. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  if (!signal) return promise
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.resolve(undefined)
  }
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve(undefined)
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
