import { DisconnectReason } from '../errors.ts'
import { matchWildcards } from '../keys/wildcards.ts'
import type { Log } from '../log.ts'
import type { Channel } from './channel.ts'
import type { Connection } from './connection.ts'

/** How often open channels are looked at, in milliseconds: timeouts are whole seconds. */
const interval = 1000

/** What ChannelTimeout calls the channels of sessions once their program is known, such as `session:shell`. */
const sessionNames = new WeakMap<Channel, string>()

export const nameSession = (channel: Channel, name: string): void => {
  sessionNames.set(channel, name)
}

const typeNames: Readonly<Record<string, string>> = {
  'auth-agent@openssh.com': 'agent-connection',
  x11: 'x11-connection',
}

const nameOf = (channel: Channel): string => sessionNames.get(channel) ?? typeNames[channel.type] ?? channel.type

/** The name that stands for all channels together. */
const together = 'global'

export interface Timeouts {
  /** Seconds without traffic, by a pattern of channel names; 0 for no limit. */
  readonly channelTimeout: readonly { readonly type: string; readonly seconds: number }[]
  /** Seconds without channels; 0, the default, for no limit. */
  readonly unusedConnectionTimeout?: number
}

/** Closes channels without traffic (ChannelTimeout) and connections without channels (UnusedConnectionTimeout). */
export function watchTimeouts(
  connection: Connection,
  { channelTimeout, unusedConnectionTimeout = 0 }: Timeouts,
  who: string,
  log: Log,
): void {
  if (channelTimeout.length === 0 && unusedConnectionTimeout === 0) return
  const seen = new Map<number, { traffic: number; since: number }>()
  let emptySince = Date.now()
  const timer = setInterval(() => {
    if (connection.transport.phase === 'closed') return clearInterval(timer)
    const now = Date.now()
    for (const id of seen.keys()) if (!connection.channels.has(id)) seen.delete(id)
    for (const [id, channel] of connection.channels) {
      emptySince = now
      const known = seen.get(id)
      if (known?.traffic !== channel.traffic) {
        seen.set(id, { traffic: channel.traffic, since: now })
        continue
      }
      const limit = timeoutOf(channelTimeout, nameOf(channel))
      if (limit > 0 && now - known.since >= limit * 1000) {
        log.info?.(`channel ${id} (${nameOf(channel)}) timed out after ${limit} seconds`)
        channel.abort()
      }
    }
    const idle = now - Math.max(...[...seen.values()].map(({ since }) => since))
    const shared = timeoutOf(channelTimeout, together)
    if (shared > 0 && seen.size > 0 && idle >= shared * 1000) {
      log.info?.(`all channels timed out after ${shared} seconds`)
      for (const channel of connection.channels.values()) channel.abort()
    }
    if (
      unusedConnectionTimeout > 0 &&
      connection.channels.size === 0 &&
      now - emptySince >= unusedConnectionTimeout * 1000
    ) {
      log.info?.(`terminating inactive connection from ${who}`)
      connection.transport.disconnect(DisconnectReason.byApplication, 'Connection terminating: no open channels')
      clearInterval(timer)
    }
  }, interval)
  timer.unref()
}

/** The first pattern that fits counts. */
function timeoutOf(timeouts: Timeouts['channelTimeout'], name: string): number {
  const fits = ({ type }: { readonly type: string }): boolean =>
    name === together ? type === together : matchWildcards(name, type)
  return timeouts.find(fits)?.seconds ?? 0
}
