import {
  AuthenticationError,
  ConnectionLostError,
  DisconnectError,
  HostKeyError,
  messageOf,
  NegotiationError,
  SshError,
  sanitize,
} from '../../lib/errors.ts'
import { CommandError } from '../../src/command/errors.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'

/** Exit status of ssh for every error of its own. */
const failureStatus = 255

const missing = {
  'no-common-kex': 'key exchange method',
  'no-common-host-key': 'host key type',
  'no-common-cipher': 'cipher',
  'no-common-mac': 'MAC',
  'no-common-compression': 'compression method',
} as const

/** What ssh says of an error, so that people and scripts recognise it. */
export function explain(error: unknown, config: SshConfig): unknown {
  if (!(error instanceof SshError) || error instanceof CommandError) return error
  return new CommandError(textOf(error, config), failureStatus, { cause: error })
}

function textOf(error: SshError, { hostName, host, port, user }: SshConfig): string {
  const peer = `${hostName} port ${port}`
  if (error instanceof AuthenticationError) return `${user}@${host}: ${error.message}`
  if (error instanceof NegotiationError) {
    return `Unable to negotiate with ${peer}: no matching ${missing[error.code]} found. Their offer: ${sanitize(error.theirs.join(','), true)}`
  }
  if (error instanceof HostKeyError) return error.message
  if (error instanceof DisconnectError && error.code === 'by-peer') {
    return `Received disconnect from ${peer}:${error.reason}: ${sanitize(error.message, true)}\nDisconnected from ${peer}`
  }
  if (error instanceof ConnectionLostError) {
    // Errors of the way to the host name it themselves.
    return error.message.includes(' host') ? `tssh: ${error.message}` : `Connection closed by ${peer}: ${error.message}`
  }
  return `tssh: ${messageOf(error)}`
}
