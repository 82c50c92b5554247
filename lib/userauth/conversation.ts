import type { SshError } from '../errors.ts'
import { ProtocolError } from '../errors.ts'
import { MessageExchange } from '../transport/exchange.ts'
import type { Transport } from '../transport/transport.ts'

/**
 * An Exchange fed by the Transport: a message that comes while the conversation works waits, and so does the pump, which
 * keeps the order and makes asynchronous answers (a prompt, an agent) safe.
 */
export class Conversation {
  readonly exchange: MessageExchange
  readonly #transport: Transport
  #resume: (() => void) | undefined
  #ended = false

  constructor(transport: Transport) {
    this.#transport = transport
    this.exchange = new MessageExchange({
      send: (message, value) => {
        transport.trace('out', message, value)
        transport.send(message, value)
      },
      waiting: () => this.#release(),
      trace: (message, value) => transport.trace('in', message, value),
    })
  }

  /** Takes the next message; the promise settles once the conversation wants another one. */
  receive(number: number, payload: Buffer): Promise<void> | undefined {
    if (this.#ended) return undefined
    try {
      this.exchange.deliver(number, payload)
    } catch (error) {
      this.#transport.fail(
        error instanceof ProtocolError
          ? error
          : new ProtocolError('malformed-message', 'malformed authentication message'),
      )
      return undefined
    }
    return this.exchange.ready || this.#ended ? undefined : new Promise(resolve => (this.#resume = resolve))
  }

  /** The conversation is over: what comes is not for it. */
  finish(): void {
    this.#ended = true
    this.#release()
  }

  closed(error: SshError): void {
    this.exchange.end(error)
    this.finish()
  }

  #release(): void {
    const resume = this.#resume
    this.#resume = undefined
    resume?.()
  }
}
