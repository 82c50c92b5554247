/** Agents as a library: a client of any agent, and an agent of one's own over any byte stream or on a UNIX socket. */

export { AgentClient, type AgentKey, type SessionBinding } from '../lib/agent/client.ts'
export type { KeyConstraints, TokenConstraints } from '../lib/agent/constraints.ts'
export type { DestinationConstraint, DestinationHop, HostKeySpec } from '../lib/agent/destinations.ts'
export {
  type AgentClock,
  type Confirmation,
  type HeldKey,
  Keyring,
  type KeyringOptions,
} from '../lib/agent/keyring.ts'
export { type AgentServerOptions, serveAgent } from '../lib/agent/server.ts'
export { type AgentListenOptions, listenForAgentClients, systemClock } from './net/agent-listener.ts'
export { agentPathOf, type ConnectedAgent, connectAgent } from './net/agent-socket.ts'
