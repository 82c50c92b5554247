import {
  AuthenticationError,
  ChannelOpenError,
  ConnectionLostError,
  DisconnectError,
  HostKeyError,
  messageOf,
  NegotiationError,
  SshError,
  sanitize,
} from '../../lib/errors.ts'
import { CommandError } from '../command/errors.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'

/** Exit status of ssh for every error of its own. */
const failureStatus = 255

const missing = {
  'no-common-kex': 'key exchange method',
  'no-common-host-key': 'host key type',
  'no-common-cipher': 'cipher',
  'no-common-mac': 'MAC',
  'no-common-compression': 'compression method',
} as const

/** What ssh says of an error, so that people and scripts recognise it. `program` begins lines that name nothing else. */
export function explain(error: unknown, config: SshConfig, program = 'tssh'): unknown {
  if (!(error instanceof SshError) || error instanceof CommandError) return error
  return new CommandError(textOf(error, config, program), failureStatus, { cause: error })
}

function textOf(error: SshError, config: SshConfig, program: string): string {
  const { hostName, host, port, user } = config
  const isProxied = config.proxyCommand !== undefined || config.proxyJump.length > 0
  const peer = isProxied ? 'UNKNOWN port 65535' : `${hostName} port ${port}`
  if (error instanceof AuthenticationError) return `${user}@${host}: ${error.message}`
  if (error instanceof NegotiationError) {
    return `Unable to negotiate with ${peer}: no matching ${missing[error.code]} found. Their offer: ${sanitize(error.theirs.join(','), true)}`
  }
  if (error instanceof HostKeyError) {
    // The judge of known_hosts ends what it says so itself.
    return error.message.endsWith('failed.') ? error.message : `${error.message}\nHost key verification failed.`
  }
  if (error instanceof DisconnectError && error.code === 'by-peer') {
    return `Received disconnect from ${peer}:${error.reason}: ${sanitize(error.message, true)}\nDisconnected from ${peer}`
  }
  if (error instanceof ConnectionLostError) return textOfLoss(error, peer, program)
  if (error instanceof ChannelOpenError) return `channel 0: open failed: ${openFailure(error)}`
  return `${program}: ${messageOf(error)}`
}

const openFailures: Readonly<Record<number, string>> = {
  1: 'administratively prohibited',
  2: 'connect failed',
  3: 'unknown channel type',
  4: 'resource shortage',
}

/** A refused channel as ssh tells it: what its reason stands for, then the server's words. */
export const openFailure = ({ reason, message }: ChannelOpenError): string =>
  [openFailures[reason], message].filter(Boolean).join(': ')

function textOfLoss(error: ConnectionLostError, peer: string, program: string): string {
  const { message } = error
  // These say all there is to say.
  if (
    error.code === 'keepalive' ||
    error.code === 'timeout' ||
    /^(Connection|client_loop|KnownHostsCommand) ?/.test(message)
  )
    return message
  // Errors of the way to the host name it themselves.
  if (/(host|hostname|port) |^getifaddrs/.test(message)) return `${program}: ${message}`
  if (error.code === 'reset') return `Connection reset by ${peer}`
  return `Connection closed by ${peer}`
}
