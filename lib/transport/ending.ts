import {
  AuthenticationError,
  ConnectionLostError,
  DisconnectError,
  DisconnectReason,
  HostKeyError,
  messageOf,
  NegotiationError,
  ProtocolError,
  type ProtocolErrorCode,
  SshError,
} from '../errors.ts'

/** What the peer is told at the end. */
export interface Farewell {
  /** Of RFC 4253 §11.1. */
  readonly reason: number
  readonly description: string
  /** The line a server says to a peer whose identification it could not take. */
  readonly plain?: string
}

const reasons: Partial<Record<ProtocolErrorCode, DisconnectReason>> = {
  'mac-mismatch': DisconnectReason.macError,
  'bad-compression': DisconnectReason.compressionError,
  'unsupported-version': DisconnectReason.protocolVersionNotSupported,
  'key-exchange-failed': DisconnectReason.keyExchangeFailed,
}

/** The farewell that fits an error; undefined when the peer cannot hear it or said goodbye itself. */
export function farewellOf(error: SshError): Farewell | undefined {
  if (error instanceof ConnectionLostError) return undefined
  if (error instanceof DisconnectError) {
    return error.code === 'by-us' ? { reason: error.reason, description: error.message } : undefined
  }
  if (error instanceof NegotiationError) {
    return { reason: DisconnectReason.keyExchangeFailed, description: error.message }
  }
  if (error instanceof HostKeyError) {
    return { reason: DisconnectReason.hostKeyNotVerifiable, description: 'Host key verification failed.' }
  }
  if (error instanceof AuthenticationError) {
    const cancelled = error.code === 'cancelled'
    const reason = cancelled ? DisconnectReason.authCancelledByUser : DisconnectReason.noMoreAuthMethodsAvailable
    return { reason, description: error.message }
  }
  if (error instanceof ProtocolError) {
    const reason = reasons[error.code] ?? DisconnectReason.protocolError
    const plain = plainLines[error.code]
    return { reason, description: error.message, ...(plain && { plain }) }
  }
  return { reason: DisconnectReason.byApplication, description: 'internal error' }
}

const plainLines: Partial<Record<ProtocolErrorCode, string>> = {
  'bad-identification': 'Invalid SSH identification string.',
  'unsupported-version': 'Protocol major versions differ.',
}

/** Whatever was thrown while a packet was handled, as an error that ends the connection. */
export function asSshError(error: unknown): SshError {
  if (error instanceof SshError) return error
  return new ProtocolError('malformed-message', `cannot handle a message: ${messageOf(error)}`, { cause: error })
}
