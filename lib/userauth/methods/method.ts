import type { PublicKey } from '../../keys/public-key.ts'
import type { ShownKey } from '../../keys/shown-key.ts'
import type { Log } from '../../log.ts'
import type { Transport } from '../../transport/transport.ts'
import type { Exchange } from '../../wire/exchange.ts'
import type { Writer } from '../../wire/writer.ts'
import { encode } from '../../wire/writer.ts'
import type { ServerAuthenticationOptions, Verdict } from '../authority.ts'
import type { Credentials } from '../credentials.ts'
import { UserauthFailure, UserauthRequest, type UserauthRequestFields, UserauthSuccess } from '../messages.ts'

/** The service that is asked for: the connection protocol. */
export const connectionService = 'ssh-connection'

export interface ClientContext {
  readonly exchange: Exchange
  readonly transport: Transport
  readonly credentials: Credentials
  readonly log: Log
}

/** The server's answer to one attempt. */
export type Outcome =
  | { readonly kind: 'success' }
  | { readonly kind: 'failure'; readonly methods: readonly string[]; readonly partial: boolean }

export interface ServerContext {
  readonly exchange: Exchange
  readonly transport: Transport
  /** Of this user, once a request named one. */
  options: ServerAuthenticationOptions
  readonly log: Log
  /** Keys of earlier partial successes, none of which proves the user a second time. */
  readonly usedKeys: PublicKey[]
}

/** The key that signed, and its certificates; none of methods without one. */
export type Proof = Partial<ShownKey>

/** What a server's half concludes. `answered`: a reply is out already and the attempt goes on with another request. */
export type Conclusion =
  | 'answered'
  | {
      readonly verdict: Verdict
      /** What the client showed, proved or not. */
      readonly shown?: Proof
      readonly proof?: ShownKey
    }
  /** The client began something else in the middle. */
  | { readonly abandonedFor: UserauthRequestFields }

/** One authentication method, both halves. Adding one is a file and an entry in `methods/index.ts`. */
export interface AuthMethod {
  readonly name: string
  /** Attempts one after another; each call makes one. Undefined: there is nothing more to try. */
  client(context: ClientContext): () => Promise<Outcome | undefined>
  server(context: ServerContext, request: UserauthRequestFields): Promise<Conclusion>
  /** Whether the server offers it with this authority. */
  offered(options: ServerAuthenticationOptions): boolean
}

/** Sends a USERAUTH_REQUEST of this method. */
export function sendRequest(
  { exchange, credentials }: ClientContext,
  method: string,
  write: (writer: Writer) => unknown = () => {},
): void {
  exchange.send(UserauthRequest, { user: credentials.user, service: connectionService, method, data: encode(write) })
}

/** Awaits the end of an attempt. */
export async function awaitOutcome({ exchange }: ClientContext): Promise<Outcome> {
  const received = await exchange.receiveOneOf(UserauthSuccess, UserauthFailure)
  return toOutcome(received)
}

type Answer =
  | { readonly name: 'USERAUTH_SUCCESS' }
  | { readonly name: 'USERAUTH_FAILURE'; readonly value: { methods: string[]; partialSuccess: boolean } }

export function toOutcome(received: Answer): Outcome {
  if (received.name === 'USERAUTH_SUCCESS') return { kind: 'success' }
  return { kind: 'failure', methods: received.value.methods, partial: received.value.partialSuccess }
}
