import { AuthenticationError, DisconnectReason, ProtocolError, SshError, sanitize } from '../errors.ts'
import type { Certificate } from '../keys/certificate.ts'
import type { PublicKey } from '../keys/public-key.ts'
import { type Log, silentLog } from '../log.ts'
import { ServiceAccept, ServiceRequest } from '../transport/messages.ts'
import type { Transport } from '../transport/transport.ts'
import type { AuthPrompt } from './client.ts'
import { Conversation } from './conversation.ts'
import {
  UserauthBanner,
  UserauthFailure,
  UserauthRequest,
  type UserauthRequestFields,
  UserauthSuccess,
} from './messages.ts'
import { authMethods, findMethod } from './methods/index.ts'
import { type Conclusion, connectionService, type ServerContext } from './methods/method.ts'

/** What a login may do: from authorized_keys options and certificate extensions, the stricter rule of each. */
export interface Permissions {
  readonly forceCommand?: string
  readonly environment?: ReadonlyMap<string, string>
  readonly pty?: boolean
  readonly userRc?: boolean
  readonly x11Forwarding?: boolean
  readonly agentForwarding?: boolean
  readonly portForwarding?: boolean
  readonly permitOpen?: readonly string[]
  readonly permitListen?: readonly string[]
  readonly tunnel?: number
}

/** The outcome of one method. `partial` is decided by the engine from `requiredMethods`. */
export type Verdict = { readonly accepted: false } | { readonly accepted: true; readonly permissions?: Permissions }

/** A conversation of keyboard-interactive on the server. */
export interface KeyboardInteractiveDialogue {
  ask(name: string, instruction: string, prompts: readonly AuthPrompt[]): Promise<readonly string[]>
}

/**
 * What a server asks about a user. It must take the same time and give the same answers for invented users as for real
 * ones. A method is offered only when its function is there.
 */
export interface Authority {
  /** Called at the first request of a user and when the user name changes. @throws to disconnect. */
  begin?(user: string): void | Promise<void>
  none?(user: string): Promise<Verdict>
  password?(user: string, password: string): Promise<Verdict | { readonly changeRequired: string }>
  /** A new password together with the old one (RFC 4252 §8). */
  changePassword?(user: string, oldPassword: string, newPassword: string): Promise<Verdict>
  /** Whether this key (with its certificate) may log in as `user`; asked for the query and again before `verify`. */
  publicKey?(user: string, key: PublicKey, certificate: Certificate | undefined, algorithm: string): Promise<Verdict>
  keyboardInteractive?(user: string, dialogue: KeyboardInteractiveDialogue, submethods: string): Promise<Verdict>
}

export interface ServerAuthenticationOptions {
  readonly authority: Authority
  /** Lists of methods of which one has to be completed in order (AuthenticationMethods); default: any one method. */
  readonly requiredMethods?: readonly (readonly string[])[]
  /** Failed attempts before DISCONNECT (MaxAuthTries, default 6). The first `none` does not count. */
  readonly maxAttempts?: number
  /** Shown before the first answer. */
  readonly banner?: string
  /** Signature algorithms taken from users, best first. */
  readonly signatureAlgorithms: readonly string[]
  /** Called before the pump takes the next packet, so that what follows a login finds its connection. */
  authenticated?(login: ServerAuthentication): void
}

export interface ServerAuthentication {
  readonly user: string
  readonly method: string
  /** What proved the user: the key or certificate of a public key login. */
  readonly publicKey?: PublicKey
  readonly certificate?: Certificate
  readonly permissions: Permissions
}

/** A server's user authentication (RFC 4252). */
export interface ServerAuthenticator {
  receive(number: number, payload: Buffer): void | Promise<void>
  /** Resolves once USERAUTH_SUCCESS is out and `transport.authenticated()` was called. @throws SshError */
  run(transport: Transport): Promise<ServerAuthentication>
  closed(error: SshError): void
}

const defaultMaxAttempts = 6
/** Requests in one authentication, those included that do not count as failures (queries, the first `none`). */
const requestLimit = 256
/** A refusal takes at least this long, whatever the method found out, in milliseconds. */
const minimumRefusalTime = 10
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
      const context = { exchange: conversation.exchange, transport, options, log }
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

/** Answers requests until the required methods are complete. */
async function authenticate(context: ServerContext): Promise<ServerAuthentication> {
  const { exchange, transport, options, log } = context
  await acceptService(context)
  if (options.banner) exchange.send(UserauthBanner, { text: options.banner, language: '' })
  const progress = new Progress(options)
  let user: string | undefined
  let failures = 0
  let pending: UserauthRequestFields | undefined
  for (let count = 1; ; count++) {
    const request = pending ?? (await exchange.receive(UserauthRequest))
    pending = undefined
    const started = Date.now()
    if (count > requestLimit) throw tooMany(transport)
    if (user === undefined) {
      if (request.user.length > userNameLimit || request.user.includes('\0'))
        throw new ProtocolError('malformed-message', 'unusable user name')
      await options.authority.begin?.(request.user)
    } else if (user !== request.user) {
      throw new ProtocolError('unexpected-message', 'Change of username or service not allowed')
    }
    user = request.user
    if (request.service !== connectionService)
      throw new ProtocolError('unexpected-message', 'Change of username or service not allowed')

    const method = findMethod(request.method)
    const usable = method && (method.name === 'none' || progress.methods.includes(method.name))
    const conclusion: Conclusion = usable ? await method.server(context, request) : { verdict: { accepted: false } }
    if (conclusion === 'answered') continue
    if ('abandonedFor' in conclusion) {
      pending = conclusion.abandonedFor
      continue
    }
    const { verdict, proof } = conclusion
    if (verdict.accepted && method) {
      const last = progress.complete(method.name)
      if (last) return { user, method: method.name, ...proof, permissions: verdict.permissions ?? {} }
      exchange.send(UserauthFailure, { methods: [...progress.methods], partialSuccess: true })
      continue
    }
    const freeOfCharge = request.method === 'none' && count === 1
    if (!freeOfCharge) {
      failures++
      log.info?.(`Failed ${sanitize(request.method, true)} for ${sanitize(user, true)}`)
      await elapsed(started + minimumRefusalTime)
    }
    if (failures >= (options.maxAttempts ?? defaultMaxAttempts)) throw tooMany(transport)
    exchange.send(UserauthFailure, { methods: [...progress.methods], partialSuccess: false })
  }
}

async function acceptService({ exchange, transport }: ServerContext): Promise<void> {
  const { service } = await exchange.receive(ServiceRequest)
  if (service !== 'ssh-userauth') {
    transport.disconnect(DisconnectReason.serviceNotAvailable, 'service not available')
    throw new ProtocolError('unexpected-message', `bad service request ${sanitize(service, true)}`)
  }
  exchange.send(ServiceAccept, { service })
}

function tooMany(transport: Transport): AuthenticationError {
  transport.disconnect(DisconnectReason.protocolError, 'Too many authentication failures')
  return new AuthenticationError('too-many-attempts', 'Too many authentication failures')
}

const elapsed = (until: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, Math.max(0, until - Date.now())))

/** Which methods may come next (AuthenticationMethods of sshd_config(5)). */
class Progress {
  readonly #offered: readonly string[]
  #lists: readonly (readonly string[])[] | undefined

  constructor(options: ServerAuthenticationOptions) {
    this.#offered = authMethods.filter(method => method.offered(options)).map(({ name }) => name)
    this.#lists = options.requiredMethods
  }

  get methods(): readonly string[] {
    if (!this.#lists) return this.#offered
    return this.#offered.filter(name => this.#lists?.some(list => list[0] === name))
  }

  /** Takes note of a success. @returns whether it was the last one needed */
  complete(name: string): boolean {
    if (!this.#lists) return true
    this.#lists = this.#lists.filter(list => list[0] === name).map(list => list.slice(1))
    return this.#lists.some(list => list.length === 0)
  }
}
