import { connect } from 'node:net'
import { AgentClient } from '../../lib/agent/client.ts'
import { AgentError, messageOf } from '../../lib/errors.ts'

/** An agent reached over its socket (or named pipe). Call `close` when done. */
export interface ConnectedAgent {
  readonly client: AgentClient
  close(): void
}

/** @throws AgentError `unreachable` */
export function connectAgent(path: string): Promise<ConnectedAgent> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    const client = new AgentClient(bytes => socket.write(bytes))
    socket.on('data', (chunk: Buffer) => client.receive(chunk))
    socket.on('close', () => client.end())
    socket.on('error', error => {
      reject(new AgentError('unreachable', messageOf(error), { cause: error }))
    })
    socket.once('connect', () => {
      // An idle agent must not keep the process alive.
      socket.unref()
      resolve({ client, close: () => socket.destroy() })
    })
  })
}
