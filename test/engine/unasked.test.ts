import { createServer } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Connection } from '../../lib/connection/connection.ts'
import { forwardedTcpip } from '../../lib/connection/types/forwarded-tcpip.ts'
import { ChannelOpenError } from '../../lib/errors.ts'
import { createForwards } from '../../src/connect/forwards.ts'
import { loadHostConfig } from '../../src/connect/host-config.ts'
import { enginePair } from '../support/engine-pair.ts'

const idle = { data() {} }
const kinds = [
  ...['session', 'direct-tcpip', 'direct-streamlocal@openssh.com', 'forwarded-tcpip', 'x11', 'tun@openssh.com'],
  ...['forwarded-streamlocal@openssh.com', 'auth-agent@openssh.com', 'agent-connect', '__proto__', ''],
]

async function refusesAll(connection: Connection): Promise<void> {
  for (const kind of kinds) {
    await expect(connection.openChannel(kind, idle), kind).rejects.toBeInstanceOf(ChannelOpenError)
  }
}

describe('a server that opens what nobody asked for', () => {
  it('is refused by a client that forwards nothing', async () => {
    const { client, server } = await enginePair()
    await refusesAll((await server.login).connection)
    await client.connection.openChannel('session', idle).catch(() => {})
    await refusesAll((await server.login).connection)
  })

  it('reaches by -R only what the binding names, and no agent without -A', async () => {
    const listener = createServer(socket => socket.end()).listen(0, '127.0.0.1')
    await new Promise(resolve => listener.once('listening', resolve))
    const address = listener.address()
    const target = typeof address === 'object' && address ? address.port : 0
    const config = await loadHostConfig({
      host: 'h',
      file: 'none',
      options: [`RemoteForward 127.0.0.1:7000 127.0.0.1:${target}`],
    })
    const forwards = createForwards({ config, agentSocket: undefined, log: { error() {} } })
    const { client, server } = await enginePair({
      client: { channelTypes: forwards.channelTypes },
      server: { globalRequests: new Map([['tcpip-forward', (_, reply) => reply(true)]]) },
    })
    const { connection: serverSide } = await server.login
    const opened = (host: string, port: number) =>
      forwardedTcpip.open(serverSide, { address: host, port, originatorAddress: '127.0.0.1', originatorPort: 1 }, idle)
    try {
      // Before it is asked for, nothing is bound.
      await expect(opened('127.0.0.1', 7000)).rejects.toBeInstanceOf(ChannelOpenError)
      await forwards.start(client.connection)
      await expect(opened('127.0.0.1', 7001)).rejects.toBeInstanceOf(ChannelOpenError)
      await expect(opened('0.0.0.0', 7000)).rejects.toBeInstanceOf(ChannelOpenError)
      await expect(opened('127.0.0.1', target)).rejects.toBeInstanceOf(ChannelOpenError)
      for (const kind of ['auth-agent@openssh.com', 'agent-connect', 'x11', 'session', 'direct-tcpip']) {
        await expect(serverSide.openChannel(kind, idle), kind).rejects.toBeInstanceOf(ChannelOpenError)
      }
      const channel = await opened('127.0.0.1', 7000)
      channel.close()
    } finally {
      forwards.close()
      listener.close()
    }
  })
})
