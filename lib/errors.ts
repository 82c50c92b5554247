/**
 * The errors of the engine. There is one class for each different reaction of a caller; what exactly went wrong is
 * the literal `code`. Messages are made for people, codes for programs.
 */

/** Common face of every error that the engine throws on purpose. */
export abstract class SshError<Code extends string = string> extends Error {
  readonly code: Code

  constructor(code: Code, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.name = new.target.name
  }
}

/** Makes an error that is no fault of a program: to note the calls that led to it would cost more than all else of it. */
export function withoutStack<E extends Error>(make: () => E): E {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

export type ProtocolErrorCode =
  | 'malformed-message'
  | 'unexpected-message'
  | 'bad-identification'
  | 'unsupported-version'
  | 'bad-packet-length'
  | 'mac-mismatch'
  | 'strict-kex-violation'
  | 'window-exceeded'
  | 'limit-exceeded'
  | 'bad-compression'
  | 'key-exchange-failed'

/** The peer broke the protocol: we send DISCONNECT with the reason that fits the code, and close. */
export class ProtocolError extends SshError<ProtocolErrorCode> {}

export type NegotiationErrorCode =
  | 'no-common-kex'
  | 'no-common-host-key'
  | 'no-common-cipher'
  | 'no-common-mac'
  | 'no-common-compression'

/** Nothing in common with the peer: both lists are shown to the user. */
export class NegotiationError extends SshError<NegotiationErrorCode> {
  /** What we offered, in order. */
  readonly ours: readonly string[]
  /** What the peer offered, in order. */
  readonly theirs: readonly string[]

  constructor(code: NegotiationErrorCode, message: string, ours: readonly string[], theirs: readonly string[]) {
    super(code, message)
    this.ours = ours
    this.theirs = theirs
  }
}

export type HostKeyErrorCode = 'unknown' | 'changed' | 'revoked' | 'bad-signature' | 'refused' | 'weak'

/** The host did not prove who it is: nobody may continue silently. */
export class HostKeyError extends SshError<HostKeyErrorCode> {}

export type AuthenticationErrorCode = 'exhausted' | 'too-many-attempts' | 'no-methods' | 'cancelled' | 'timeout'

/** The user was not let in. */
export class AuthenticationError extends SshError<AuthenticationErrorCode> {
  /** Methods the server would still have taken (RFC 4252 §5.1). */
  readonly methodsLeft: readonly string[]

  constructor(code: AuthenticationErrorCode, message: string, methodsLeft: readonly string[] = []) {
    super(code, message)
    this.methodsLeft = methodsLeft
  }
}

/** Reason codes of SSH_MSG_DISCONNECT (RFC 4253 §11.1). */
export const DisconnectReason = {
  hostNotAllowedToConnect: 1,
  protocolError: 2,
  keyExchangeFailed: 3,
  macError: 5,
  compressionError: 6,
  serviceNotAvailable: 7,
  protocolVersionNotSupported: 8,
  hostKeyNotVerifiable: 9,
  connectionLost: 10,
  byApplication: 11,
  tooManyConnections: 12,
  authCancelledByUser: 13,
  noMoreAuthMethodsAvailable: 14,
  illegalUserName: 15,
} as const
export type DisconnectReason = (typeof DisconnectReason)[keyof typeof DisconnectReason]

/** The connection was ended with SSH_MSG_DISCONNECT, by the peer or by us. */
export class DisconnectError extends SshError<'by-peer' | 'by-us'> {
  /** Reason number of RFC 4253 §11.1, as it was on the wire. */
  readonly reason: number

  constructor(code: 'by-peer' | 'by-us', reason: number, message: string) {
    super(code, message)
    this.reason = reason
  }
}

/** The byte stream below us ended or failed: the caller may try again. */
export class ConnectionLostError extends SshError<'closed' | 'reset' | 'timeout' | 'keepalive'> {}

/** The peer refused to open a channel (RFC 4254 §5.1); other channels go on. */
export class ChannelOpenError extends SshError<'refused' | 'closed'> {
  /** Reason number of RFC 4254 §5.1; 0 when the connection closed first. */
  readonly reason: number

  constructor(code: 'refused' | 'closed', reason: number, message: string) {
    super(code, message)
    this.reason = reason
  }
}

/** The peer refused a channel request or a global request, or the channel closed before the answer. */
export class RequestError extends SshError<'refused' | 'closed'> {}

export type KeyErrorCode =
  | 'passphrase-required'
  | 'wrong-passphrase'
  | 'unknown-format'
  | 'unsupported'
  | 'malformed'
  | 'mismatch'
  | 'too-weak'
  | 'bad-signature'
  | 'not-valid'

/** A key, certificate or signature cannot be used: ask, skip or report. */
export class KeyError extends SshError<KeyErrorCode> {}

/** The agent cannot be reached, refused, or spoke nonsense: go on without it. */
export class AgentError extends SshError<'unreachable' | 'refused' | 'malformed' | 'locked'> {}

/** The caller used the interface in a way it does not have: a bug at the call. */
export class UsageError extends SshError<'usage'> {
  constructor(message: string) {
    super('usage', message)
  }
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * Removes what a terminal could obey from text that a peer sent: C0 and C1 controls become `\ooo` (octal, as OpenSSH's
 * vis(3) does), except tab and, unless `singleLine`, newline (kept) and carriage return before it (dropped).
 */
export function sanitize(text: string, singleLine = false): string {
  return text
    .replace(/\r\n/g, '\n')
    .replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, c => {
      if (c === '\n' && !singleLine) return c
      return [...Buffer.from(c)].map(byte => `\\${byte.toString(8).padStart(3, '0')}`).join('')
    })
}
