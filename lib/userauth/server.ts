import { AuthenticationError, DisconnectError, DisconnectReason, ProtocolError, SshError, sanitize } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import { ServiceAccept, ServiceRequest } from '../transport/messages.ts'
import type { Transport } from '../transport/transport.ts'
import type { AuthenticationAttempt, ServerAuthentication, ServerAuthenticationOptions } from './authority.ts'
import { Conversation } from './conversation.ts'
import {
  UserauthBanner,
  UserauthFailure,
  UserauthRequest,
  type UserauthRequestFields,
  UserauthSuccess,
} from './messages.ts'
import { authMethods, findMethod } from './methods/index.ts'
import { type Conclusion, connectionService, type Proof, type ServerContext } from './methods/method.ts'
import { mergePermissions, type Permissions } from './permissions.ts'
import { RequiredMethods } from './required-methods.ts'

/** A server's user authentication (RFC 4252). */
export interface ServerAuthenticator {
  receive(number: number, payload: Buffer): void | Promise<void>
  /** Resolves once USERAUTH_SUCCESS is out and `transport.authenticated()` was called. @throws SshError */
  run(transport: Transport): Promise<ServerAuthentication>
  closed(error: SshError): void
}

const defaultMaxAttempts = 6
/** Requests in one authentication (as in OpenSSH), those included that do not count as failures (queries, the first `none`). */
const requestLimit = 1024
/** A refusal takes at least this long, whatever the method found out, in milliseconds. */
const minimumRefusalTime = 10
/** A method that worked longer than this, in milliseconds, is not drawn out any more. */
const longestRefusalTime = 5000
/** Characters of a peer's text that go into an error. */
const maxPeerText = 256
const userNameLimit = 1024

export function createServerAuthenticator(
  options: ServerAuthenticationOptions,
  log: Log = silentLog,
): ServerAuthenticator {
  let conversation: Conversation | undefined
  return {
    receive: (number, payload) => conversation?.receive(number, payload),
    async run(transport) {
      conversation = new Conversation(transport)
      const context: ServerContext = { exchange: conversation.exchange, transport, options, log, usedKeys: [] }
      try {
        const result = await authenticate(context)
        conversation.exchange.send(UserauthSuccess, {})
        transport.authenticated()
        options.authenticated?.(result)
        conversation.finish()
        return result
      } catch (error) {
        const failure =
          error instanceof SshError
            ? error
            : new ProtocolError('malformed-message', 'authentication failed', { cause: error })
        if (transport.phase !== 'closed') transport.fail(failure)
        throw failure
      }
    },
    closed(error) {
      conversation?.closed(error)
    },
  }
}

/** Of a request, for the log. */
const shown = (text: string): string => sanitize(text.slice(0, userNameLimit), true)

/** Answers requests until the required methods are complete. */
async function authenticate(context: ServerContext): Promise<ServerAuthentication> {
  const { exchange, transport, log } = context
  acceptService(context, (await exchange.receive(ServiceRequest)).service)
  let { options } = context
  let required: RequiredMethods | undefined
  let user: string | undefined
  let failures = 0
  let permissions: Permissions = {}
  let proof: Proof = {}
  let pending: UserauthRequestFields | undefined
  for (let count = 1; ; count++) {
    if (count > requestLimit) throw tooMany(transport)
    const request: UserauthRequestFields | undefined = pending ?? (await nextRequest(context))
    pending = undefined
    if (!request) continue
    log.debug1?.(
      `userauth-request for user ${shown(request.user)} service ${shown(request.service)} method ${shown(request.method)}`,
    )
    log.debug1?.(`attempt ${count - 1} failures ${failures}`)
    const started = Date.now()
    if (user === undefined) {
      if (request.user.length > userNameLimit || request.user.includes('\0'))
        throw new ProtocolError('malformed-message', 'unusable user name')
      if (options.forUser) options = { ...options, ...(await options.forUser(request.user)) }
      context.options = options
      await options.authority.begin?.(request.user)
    }
    user ??= request.user
    required ??= begin(context)
    if (user !== request.user || request.service !== connectionService)
      throw new ProtocolError('unexpected-message', 'Change of username or service not allowed')

    const method = findMethod(request.method)
    const conclusion: Conclusion =
      method && required.allows(method.name) ? await method.server(context, request) : { verdict: { accepted: false } }
    if (conclusion === 'answered') continue
    const keys = ('shown' in conclusion && conclusion.shown) || {}
    const report = (outcome: AuthenticationAttempt['outcome']): void =>
      options.attempted?.({ user: request.user, method: request.method, outcome, ...keys, failures })
    const accepted = 'verdict' in conclusion && conclusion.verdict.accepted ? conclusion.verdict : undefined
    const merged = accepted && mergePermissions(permissions, accepted.permissions ?? {})
    if (accepted && !merged) log.error('options of this key contradict those of an earlier one')
    if (merged && method) {
      permissions = merged
      if ('proof' in conclusion && conclusion.proof) {
        proof = conclusion.proof
        context.usedKeys.push(conclusion.proof.publicKey)
      }
      const complete = required.complete(method.name)
      report(complete ? 'accepted' : 'partial')
      if (complete) return { user, method: method.name, ...proof, permissions }
      exchange.send(UserauthFailure, { methods: required.next, partialSuccess: true })
      continue
    }
    const freeOfCharge = request.method === 'none' && count === 1
    if (!freeOfCharge) {
      failures++
      report('failed')
      if (!options.attempted) log.info?.(`Failed ${sanitize(request.method, true)} for ${sanitize(user, true)}`)
      if (request.method !== 'none') await refusalTime(started)
    }
    if (failures >= (options.maxAttempts ?? defaultMaxAttempts)) throw tooMany(transport)
    // What the client left for another request gets no answer (RFC 4252 §5.1), but it counts.
    if ('abandonedFor' in conclusion) pending = conclusion.abandonedFor
    else exchange.send(UserauthFailure, { methods: required.next, partialSuccess: false })
  }
}

/** Once the user is known: shows the banner, and which methods there are. */
function begin({ exchange, transport, options }: ServerContext): RequiredMethods {
  if (options.banner) exchange.send(UserauthBanner, { text: options.banner, language: '' })
  const required = new RequiredMethods(
    authMethods.filter(method => method.offered(options)).map(({ name }) => name),
    options.requiredMethods,
  )
  if (!required.impossible) return required
  throw disconnected(transport, DisconnectReason.protocolError, 'no authentication methods enabled')
}

/** The next request; undefined when the client asked for the service once more, as some do before every attempt. */
async function nextRequest(context: ServerContext): Promise<UserauthRequestFields | undefined> {
  const received = await context.exchange.receiveOneOf(UserauthRequest, ServiceRequest)
  if (received.name === 'USERAUTH_REQUEST') return received.value
  acceptService(context, received.value.service)
  return undefined
}

function acceptService({ exchange, transport }: ServerContext, service: string): void {
  if (service !== 'ssh-userauth') {
    const text = `bad service request ${sanitize(service.slice(0, maxPeerText), true)}`
    throw disconnected(transport, DisconnectReason.serviceNotAvailable, text)
  }
  exchange.send(ServiceAccept, { service })
}

function disconnected(transport: Transport, reason: DisconnectReason, text: string): DisconnectError {
  transport.disconnect(reason, text)
  return new DisconnectError('by-us', reason, text)
}

function tooMany(transport: Transport): AuthenticationError {
  transport.disconnect(DisconnectReason.protocolError, 'Too many authentication failures')
  return new AuthenticationError('too-many-attempts', 'Too many authentication failures')
}

/**
 * Waits until a refusal took `minimumRefusalTime` since `started`, or its double, or the double of that: how long the
 * method itself worked, which might tell whether the user exists, does not show.
 */
function refusalTime(started: number): Promise<void> {
  const spent = Date.now() - started
  if (spent > longestRefusalTime) return Promise.resolve()
  let wanted = minimumRefusalTime
  while (wanted < spent) wanted *= 2
  return new Promise(resolve => setTimeout(resolve, wanted - spent))
}
