import type { AnyMessage, Message } from './message.ts'

/** One of several awaited messages, told apart by its `name`. */
export type Received<M> = M extends Message<infer T, infer Name> ? { readonly name: Name; readonly value: T } : never

/**
 * A conversation in order: a key exchange method or an authentication method is an async function over one.
 * Messages that arrive while nobody awaits are held back (the pump takes no further packet); a message other than the
 * awaited ones ends the connection with `unexpected-message`.
 */
export interface Exchange {
  send<T>(message: Message<T>, value: T): void
  /** The next message, which must be this one. @throws SshError when the connection ends first. */
  receive<T>(message: Message<T>): Promise<T>
  /** The next message, which must be one of these; `name` of the result tells which. */
  receiveOneOf<M extends AnyMessage[]>(...messages: M): Promise<Received<M[number]>>
}
