import { AgentError } from '../../lib/errors.ts'
import { type ConnectedAgent, connectAgent } from '../../src/net/agent-socket.ts'

/** The agent that SSH_AUTH_SOCK names. @throws AgentError */
export async function reachAgent(): Promise<ConnectedAgent> {
  const path = process.env['SSH_AUTH_SOCK']
  if (!path) throw new AgentError('unreachable', 'agent not present')
  return connectAgent(path)
}
