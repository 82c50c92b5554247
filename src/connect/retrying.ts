import { AuthenticationError, HostKeyError, messageOf, NegotiationError } from '../../lib/errors.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { Reconnector, type ReconnectorOptions } from '../../lib/sftp/transfer/reconnect.ts'
import type { Retry } from '../../lib/sftp/transfer.ts'
import { ConfigError } from '../openssh/errors.ts'
import { visible } from '../terminal/names.ts'
import type { Place } from './places.ts'

/** With the pauses of a `Reconnector`, about three minutes: a host that restarts is back by then. */
export const reconnectAttempts = 10

/** What another attempt does not mend: keys, passwords, algorithms, configuration. */
export function isFinalFailure(error: Error): boolean {
  const cause = error.cause
  return (
    [HostKeyError, AuthenticationError, NegotiationError, ConfigError].some(kind => error instanceof kind) ||
    (cause instanceof Error && isFinalFailure(cause))
  )
}

/** What a person is told of an attempt. */
export const retryText = (attempt: number, milliseconds: number, error: Error): string =>
  `${visible(messageOf(error))}; attempt ${attempt} to connect again in ${Math.round(milliseconds / 1000)} s`

/** Connects the lost ones of these places again. Undefined: none of them can be lost. */
export function retryOf(source: Place, target: Place = source): Retry | undefined {
  if (source.kind === 'local' && target.kind === 'local') return undefined
  return {
    attempts: reconnectAttempts,
    isFinal: isFinalFailure,
    async reconnect() {
      for (const place of [source, target]) if (place.isLost) await place.reconnect()
      return { source: source.files, target: target.files }
    },
  }
}

/** Does something again on a new connection each time that the connection is lost under it. @throws what it throws else */
export async function insist<T>(
  retry: Retry | undefined,
  options: ReconnectorOptions,
  action: () => Promise<T>,
): Promise<T> {
  const reconnector = retry && new Reconnector(retry, options)
  for (;;) {
    try {
      return await action()
    } catch (error) {
      const lost = error instanceof SftpError && error.code === 'connection-lost'
      if (!reconnector || !lost || typeof (await reconnector.again(error)) === 'string') throw error
    }
  }
}
