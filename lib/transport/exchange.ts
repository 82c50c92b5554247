import { ProtocolError, type SshError } from '../errors.ts'
import type { Exchange, Received } from '../wire/exchange.ts'
import type { AnyMessage, Message } from '../wire/message.ts'

interface Waiting {
  readonly messages: readonly AnyMessage[]
  resolve(received: { name: string; value: unknown }): void
  reject(error: SshError): void
}

/** What a conversation needs of whoever carries it. */
export interface ExchangeCarrier {
  send<T>(message: Message<T>, value: T): void
  /** The conversation awaits one of these now: held back packets may go on. */
  waiting(messages: readonly AnyMessage[]): void
  trace(message: AnyMessage, value: unknown): void
}

/** An Exchange whose messages are delivered one by one, each only while it is awaited. */
export class MessageExchange implements Exchange {
  private readonly carrier: ExchangeCarrier
  private awaited: Waiting | undefined
  private ended: SshError | undefined

  constructor(carrier: ExchangeCarrier) {
    this.carrier = carrier
  }

  /** Whether a message can be delivered now. */
  get ready(): boolean {
    return this.awaited !== undefined
  }

  send<T>(message: Message<T>, value: T): void {
    if (this.ended) throw this.ended
    this.carrier.send(message, value)
  }

  async receive<T>(message: Message<T>): Promise<T> {
    return (await this.await([message])).value as T
  }

  async receiveOneOf<M extends AnyMessage[]>(...messages: M): Promise<Received<M[number]>> {
    return (await this.await(messages)) as Received<M[number]>
  }

  /** Hands the next message to the conversation. @throws ProtocolError when it is malformed or not the awaited one. */
  deliver(number: number, payload: Buffer): void {
    const { awaited } = this
    const message = awaited?.messages.find(candidate => candidate.number === number)
    if (!awaited || !message) throw new ProtocolError('unexpected-message', `unexpected message ${number}`)
    const value = message.read(payload)
    this.carrier.trace(message, value)
    this.awaited = undefined
    awaited.resolve({ name: message.name, value })
  }

  /** The connection ended: whoever awaits a message is told. */
  end(error: SshError): void {
    this.ended ??= error
    this.awaited?.reject(this.ended)
    this.awaited = undefined
  }

  private await(messages: readonly AnyMessage[]): Promise<{ name: string; value: unknown }> {
    return new Promise((resolve, reject) => {
      if (this.ended) {
        reject(this.ended)
        return
      }
      this.awaited = { messages, resolve, reject }
      this.carrier.waiting(messages)
    })
  }
}
