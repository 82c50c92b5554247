import type { Duplex } from 'node:stream'
import type { Algorithms } from '../../lib/algorithms/index.ts'
import { startKeepalive } from '../../lib/connection/requests/keepalive.ts'
import { watchTimeouts } from '../../lib/connection/timeouts.ts'
import { DisconnectError, type SshError } from '../../lib/errors.ts'
import type { ServerLogin } from '../../lib/server.ts'
import { Debug } from '../../lib/transport/messages.ts'
import type { RekeyLimit } from '../../lib/transport/transport.ts'
import type { ServerAuthentication } from '../../lib/userauth/authority.ts'
import { type LoginHandler, type Peer, type ServeOptions, serve } from '../../src/api/server.ts'
import { algorithmsOf } from '../../src/connect/algorithms.ts'
import { markTraffic } from '../../src/net/type-of-service.ts'
import type { SshdConfig } from '../../src/openssh/resolve-sshd-config.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { Authenticator } from './authenticator.ts'
import { enterAccount, openPamSession, type PamSession, rootDirectoryOf } from './enter-account.ts'
import { exposeAuthInfo } from './expose-auth-info.ts'
import { graceText, logFarewell } from './farewell.ts'
import { forwardingServices } from './forwarding/services.ts'
import { groupChoice } from './group-choice.ts'
import type { Host } from './host.ts'
import { isRoot, PrivilegeError } from './privileges.ts'
import { type SessionSettings, sessionHandler } from './session.ts'
import type { Offence } from './source-limits.ts'

/** A connection that is being served. */
export interface ServedConnection {
  /** Resolves when a user logged in; never rejects, and stays pending when nobody does. */
  readonly authenticated: Promise<void>
  /** Resolves when it is over, with what its source is to be blamed for. */
  readonly ended: Promise<Offence | undefined>
  /** Ends it. */
  close(): void
}

/** Serves one connection, from the first byte to the last. As root, this process becomes the user who logs in. */
export function serveConnection(stream: Duplex, peer: Peer, host: Host): ServedConnection {
  const { log } = host
  const place = `${peer.address} port ${peer.port}`
  log.verbose?.(`Connection from ${place} on ${peer.localAddress} port ${peer.localPort}`)
  const authenticator = new Authenticator(host, peer)
  try {
    authenticator.checkRefused()
  } catch (error) {
    stream.destroy()
    if (!(error instanceof DisconnectError)) throw error
    return { authenticated: new Promise(() => {}), ended: Promise.resolve('refuseconnection'), close() {} }
  }
  let loggedIn = false
  let failure: unknown
  let cleanUp = (): void => {}
  const { login, closed } = serve(stream, peer, {
    ...optionsFor(host, authenticator),
    authentication: () => authenticator.engineOptions,
    session(outcome) {
      try {
        loggedIn = true
        const begun = beginLogin(outcome, authenticator, peer, host)
        cleanUp = begun.cleanUp
        return () => begun.handler(use => markTraffic(stream, authenticator.options.ipQoS[use]))
      } catch (error) {
        failure = error
        log.error(`${error instanceof Error ? error.message : error}`)
        throw error
      }
    },
  })
  const authenticated = login.then(
    outcome => {
      for (const text of authenticator.remarks.splice(0))
        outcome.connection.transport.send(Debug, { alwaysDisplay: false, text, language: '' })
      watch(outcome, authenticator.options, `user ${outcome.authentication.user} ${place}`, host)
    },
    () => new Promise<void>(() => {}),
  )
  const ended = closed.then((error): Offence | undefined => {
    cleanUp()
    const phase = loggedIn ? 'after login' : 'before login'
    logFarewell(error as SshError, { user: authenticator.userText, place, phase }, log)
    if (failure instanceof PrivilegeError) return 'crash'
    if (loggedIn) return undefined
    return error instanceof Error && error.message === graceText ? 'grace-exceeded' : authenticator.offence
  })
  return { authenticated, ended, close: () => stream.destroy() }
}

const algorithmsOfConfig = new WeakMap<SshdConfig, Algorithms>()

/** No Match block changes them. */
function serverAlgorithms(config: SshdConfig): Algorithms {
  const known = algorithmsOfConfig.get(config)
  if (known) return known
  const algorithms = algorithmsOf({
    kex: config.kexAlgorithms,
    hostKey: config.hostKeyAlgorithms,
    cipher: config.ciphers,
    mac: config.macs,
    compression: config.compression === 'yes' ? 'wanted' : 'off',
  })
  algorithmsOfConfig.set(config, algorithms)
  return algorithms
}

/** What the engine is told; limits that a Match block for the user changes are read when they are due. */
function optionsFor(host: Host, authenticator: Authenticator): Omit<ServeOptions, 'authentication' | 'session'> {
  const { config, hostKeys } = host
  return {
    hostKeys,
    algorithms: serverAlgorithms(config),
    signatureAlgorithms: config.pubkeyAcceptedAlgorithms,
    ...(config.versionAddendum && { versionComment: config.versionAddendum }),
    loginGraceTime: config.loginGraceTime,
    rekeyLimit: new CurrentRekeyLimit(authenticator) as RekeyLimit,
    ...groupChoice(config.moduliFile),
    log: host.log,
  }
}

/** RekeyLimit as it is at the moment. */
class CurrentRekeyLimit {
  readonly #authenticator: Authenticator

  constructor(authenticator: Authenticator) {
    this.#authenticator = authenticator
  }

  get bytes(): number | undefined {
    return Number(this.#authenticator.options.rekeyLimit.bytes) || undefined
  }

  get seconds(): number | undefined {
    return Number(this.#authenticator.options.rekeyLimit.seconds) || undefined
  }
}

/** Makes this process the user's, as far as it is root, and says what its sessions get. */
function beginLogin(
  { permissions }: ServerAuthentication,
  authenticator: Authenticator,
  peer: Peer,
  host: Host,
): { handler(marking: SessionSettings['markTraffic']): LoginHandler; cleanUp(): void } {
  const { account, options } = authenticator
  if (!account) throw new PrivilegeError('no account after a login')
  const { log } = host
  const changesUser = host.service === 'everyone' && isRoot()
  const pam: PamSession | undefined =
    changesUser && host.passwords.kind === 'pam' ? openPamSession(account, peer.address, options, log) : undefined
  const rootDirectory = rootDirectoryOf(account, options)
  if (rootDirectory !== undefined && !changesUser)
    throw new PrivilegeError('ChrootDirectory needs a server that root started')
  const lastLogin = options.printLastLog ? host.lastLogin(account) : undefined
  if (changesUser) enterAccount(account, rootDirectory, log)
  const exposed = options.exposeAuthInfo ? exposeAuthInfo(authenticator.succeeded, log) : undefined
  return {
    handler: marking => ({
      ...sessionHandler({
        account,
        permissions,
        peer,
        options,
        forwarding: forwardingServices({ home: account.home, options, permissions, peer, log }),
        log,
        notes: [...authenticator.notes, ...(pam?.notes ?? []), ...(lastLogin ? [lastLogin] : [])],
        pamEnvironment: pam?.environment ?? new Map(),
        loginEnvironment: exposed ? { SSH_USER_AUTH: exposed.file } : {},
        mustChangePassword: authenticator.mustChangePassword,
        ownProcess: changesUser,
        ...(marking && { markTraffic: marking }),
      }),
      maxSessions: options.maxSessions,
    }),
    cleanUp: () => exposed?.remove(),
  }
}

/** Limits of time that begin with the login. */
function watch({ connection }: ServerLogin, options: SshdOptions, who: string, host: Host): void {
  const { log } = host
  const { clientAliveInterval, clientAliveCountMax } = options
  const close = (text: string): void => {
    log.info?.(text)
    connection.transport.ended()
  }
  // A new limit for the user counts from now on, not from the next exchange on.
  if (
    options.rekeyLimit.bytes !== host.config.rekeyLimit.bytes ||
    options.rekeyLimit.seconds !== host.config.rekeyLimit.seconds
  )
    connection.transport.rekey()
  startKeepalive(
    connection,
    { intervalSeconds: clientAliveInterval, countMax: clientAliveCountMax || Number.POSITIVE_INFINITY },
    () => close(`Timeout, client not responding from ${who}`),
  )
  watchTimeouts(connection, options, who, log)
}
