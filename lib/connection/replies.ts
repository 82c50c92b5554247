import { ProtocolError, RequestError } from '../errors.ts'

/** Requests of a peer on one channel, or global ones, that may wait for our answer. */
const maximumUnanswered = 1024
/** Requests of ours on one channel, or global ones, that may wait for the peer's answer. */
const maximumAwaited = 1024

interface Place {
  send?: () => void
}

/** Answers to the requests of a peer: they go out in the order of the requests, however late each is given. */
export class ReplyQueue {
  readonly #places: Place[] = []

  /** Takes the next place; the returned function fills it. @throws ProtocolError when too many are open. */
  take(): (send: () => void) => void {
    if (this.#places.length >= maximumUnanswered) {
      throw new ProtocolError('limit-exceeded', 'too many requests without an answer')
    }
    const place: Place = {}
    this.#places.push(place)
    return send => {
      if (place.send) return
      place.send = send
      while (this.#places[0]?.send) this.#places.shift()!.send!()
    }
  }
}

interface Awaited<T> {
  resolve(value: T): void
  reject(error: Error): void
}

/** Requests of ours whose answers will come in their order. */
export class AwaitedReplies<T> {
  readonly #awaited: Awaited<T>[] = []

  /** Sends by `send` and awaits the answer. */
  await(name: string, send: () => void): Promise<T> {
    if (this.#awaited.length >= maximumAwaited) {
      return Promise.reject(new RequestError('refused', `${name}: too many requests wait for an answer`))
    }
    return new Promise<T>((resolve, reject) => {
      this.#awaited.push({ resolve, reject })
      send()
    })
  }

  /** The answer to the oldest is yes. @throws ProtocolError when no answer is due. */
  succeed(value: T): void {
    this.#oldest().resolve(value)
  }

  /** The answer to the oldest is no. @throws ProtocolError when no answer is due. */
  refuse(): void {
    this.#oldest().reject(new RequestError('refused', 'the peer refused the request'))
  }

  /** None of the answers will come. */
  abandon(reason: string): void {
    for (const awaited of this.#awaited.splice(0)) awaited.reject(new RequestError('closed', reason))
  }

  #oldest(): Awaited<T> {
    const awaited = this.#awaited.shift()
    if (!awaited) throw new ProtocolError('unexpected-message', 'answer to a request that was not made')
    return awaited
  }
}
