import {
  AuthenticationError,
  ConnectionLostError,
  DisconnectError,
  NegotiationError,
  ProtocolError,
  type SshError,
  sanitize,
} from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'

/** Said to a client that did not log in in time. */
export const graceText = 'Timeout before authentication'

/** Whose connection ended. */
export interface Ended {
  /** `joe`, `invalid user joe`, or '' when no name came. */
  readonly user: string
  /** `10.0.0.1 port 5`. */
  readonly place: string
  readonly phase: 'before login' | 'after login'
}

/** What the engine says to a client that failed too often. */
const tooManyText = 'Too many authentication failures'

/** Logs how a connection ended, in sshd's words. */
export function logFarewell(error: SshError, { user, place, phase }: Ended, log: Log): void {
  const before = phase === 'before login'
  const tail = before ? ' [preauth]' : ''
  const kind = user === '' || user.startsWith('invalid user') ? '' : before ? 'authenticating user ' : 'user '
  const who = `${kind}${user} ${place}`.trimStart()
  if (error instanceof DisconnectError && error.code === 'by-peer') {
    log.info?.(`Received disconnect from ${place}:${error.reason}: ${sanitize(error.message, true)}${tail}`)
    log.info?.(`Disconnected from ${who}${tail}`)
  } else if (error instanceof DisconnectError || error instanceof AuthenticationError) {
    // What made us end it for its time was logged where it happened.
    if (error.message === graceText) return
    if (error.message === tooManyText)
      log.error(`maximum authentication attempts exceeded for ${user} from ${place} ssh2${tail}`)
    log.info?.(`Disconnecting ${who}: ${sanitize(error.message, true)}${tail}`)
  } else if (error instanceof ConnectionLostError) {
    if (error.code === 'timeout') log.info?.(`Connection with ${who} timed out${tail}`)
    else log.info?.(`Connection ${error.code === 'reset' ? 'reset' : 'closed'} by ${who}${tail}`)
  } else if (error instanceof NegotiationError) {
    const offer = sanitize(error.theirs.join(','), true)
    log.info?.(`Unable to negotiate with ${place}: ${error.message}. Their offer: ${offer}${tail}`)
  } else if (error instanceof ProtocolError && error.code === 'bad-identification') {
    log.error(`banner exchange: Connection from ${place}: invalid format`)
  } else {
    log.info?.(`Connection from ${who}: ${sanitize(error.message, true)}${tail}`)
  }
}
