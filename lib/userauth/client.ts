import { AuthenticationError, type SshError, sanitize } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import { ServiceAccept, ServiceRequest } from '../transport/messages.ts'
import type { Transport } from '../transport/transport.ts'
import { Conversation } from './conversation.ts'
import type { Credentials } from './credentials.ts'
import { UserauthBanner } from './messages.ts'
import { findMethod } from './methods/index.ts'
import type { ClientContext, Outcome } from './methods/method.ts'

/** How it went. */
export interface ClientAuthentication {
  /** The method that ended it. */
  readonly method: string
  /** Every method that had partial or full success, in order. */
  readonly path: readonly string[]
}

/** A client's user authentication (RFC 4252): asks for the service, tries methods, survives partial success. */
export interface ClientAuthenticator {
  /** Messages of the layers `service` and `userauth`, from the Transport. */
  receive(number: number, payload: Buffer): void | Promise<void>
  /** Resolves once USERAUTH_SUCCESS came and `transport.authenticated()` was called. @throws AuthenticationError */
  run(transport: Transport): Promise<ClientAuthentication>
  closed(error: SshError): void
}

/** Banner lines a server may send; more are dropped. */
const bannerLimit = 64

/** Makes a client's user authentication. `run` starts it. */
export function createClientAuthenticator(credentials: Credentials, log: Log = silentLog): ClientAuthenticator {
  let conversation: Conversation | undefined
  let banners = 0
  return {
    receive(number, payload) {
      if (number !== UserauthBanner.number) return conversation?.receive(number, payload)
      const { text } = UserauthBanner.read(payload)
      if (banners++ < bannerLimit) credentials.banner?.(sanitize(text))
      return undefined
    },
    async run(transport) {
      conversation = new Conversation(transport)
      const { exchange } = conversation
      try {
        exchange.send(ServiceRequest, { service: 'ssh-userauth' })
        await exchange.receive(ServiceAccept)
        log.debug1?.('SSH2_MSG_SERVICE_ACCEPT received')
        const result = await authenticate({ exchange, transport, credentials, log })
        // In this very turn, before the pump goes on: what follows belongs to the connection layer.
        transport.authenticated()
        log.debug1?.(`Authentication succeeded (${result.method}).`)
        return result
      } finally {
        conversation.finish()
      }
    },
    closed(error) {
      conversation?.closed(error)
    },
  }
}

/** Tries methods in the order of the credentials, among those that the server takes, until one ends it. */
async function authenticate(context: ClientContext): Promise<ClientAuthentication> {
  const { credentials, log } = context
  const attempts = new Map<string, () => Promise<Outcome | undefined>>()
  const exhausted = new Set<string>()
  const path: string[] = []
  let left: readonly string[] = ['none']
  let preferred: readonly string[] = ['none']
  let current = ''
  for (;;) {
    const name = preferred.find(method => left.includes(method) && !exhausted.has(method))
    const method = name === undefined ? undefined : findMethod(name)
    if (name === undefined || !method) {
      log.debug1?.('No more authentication methods to try.')
      throw new AuthenticationError('exhausted', `Permission denied (${sanitize(left.join(','), true)}).`, left)
    }
    if (name !== current && name !== 'none') log.debug1?.(`Next authentication method: ${name}`)
    current = name
    let attempt = attempts.get(name)
    if (!attempt) {
      attempt = method.client(context)
      attempts.set(name, attempt)
    }
    const outcome = await attempt()
    if (!outcome) {
      exhausted.add(name)
      continue
    }
    if (outcome.kind === 'success') return { method: name, path: [...path, name] }
    if (outcome.partial) path.push(name)
    left = outcome.methods
    preferred = credentials.methods.filter(wanted => findMethod(wanted) !== undefined)
    log.debug1?.(`Authentications that can continue: ${sanitize(left.join(','), true)}`)
  }
}
