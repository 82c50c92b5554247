import type { Server, Socket } from 'node:net'
import type { ChannelAcceptor, Connection, GlobalRequestHandler } from '../../../lib/connection/connection.ts'
import type { Log } from '../../../lib/log.ts'
import type { Permissions } from '../../../lib/userauth/permissions.ts'
import type { Peer } from '../../../src/api/server.ts'
import type { SshdOptions } from '../../../src/openssh/sshd-config.ts'
import { type AgentForwarding, agentForwarding } from './agent.ts'
import { connectionAcceptors } from './connections.ts'
import { listeningHandlers } from './listeners.ts'
import { forwardingRules } from './rules.ts'

/** What a login may forward, for as long as its connection lasts. */
export interface ForwardingServices {
  readonly channelTypes: ReadonlyMap<string, ChannelAcceptor>
  readonly globalRequests: ReadonlyMap<string, GlobalRequestHandler>
  /** The socket of the client's agent, once a session asked for it. */
  readonly agentSocket: string | undefined
  requestAgent(connection: Connection): boolean
  /** The connection ended: nothing listens any more, and no socket is left. */
  ended(): void
}

export interface ForwardingSettings {
  /** Of the account: the agent's socket is made there. */
  readonly home: string
  /** For this user. */
  readonly options: SshdOptions
  readonly permissions: Permissions
  readonly peer: Peer
  readonly log: Log
}

/** Forwarding for one login. The process must have the user's rights by the time that the client asks for anything. */
export function forwardingServices(settings: ForwardingSettings): ForwardingServices {
  const { home, options, permissions, peer, log } = settings
  const rules = forwardingRules(options, permissions)
  const sockets = new Set<Socket>()
  const listeners = new Map<string, readonly Server[]>()
  const context = { rules, peer, log, sockets, options, listeners }
  const agent: AgentForwarding = agentForwarding(home, sockets, log)
  return {
    channelTypes: new Map(connectionAcceptors(context)),
    globalRequests: new Map(listeningHandlers(context)),
    get agentSocket() {
      return agent.socketPath
    },
    requestAgent(connection) {
      if (rules.agent) return agent.request(connection)
      log.debug1?.('agent forwarding is not permitted')
      return false
    },
    ended() {
      agent.close()
      for (const servers of listeners.values()) for (const server of servers) server.close()
      listeners.clear()
      for (const socket of sockets) socket.destroy()
    },
  }
}
