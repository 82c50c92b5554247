import type { Duplex } from 'node:stream'
import { ChannelStream } from '../../lib/connection/stream.ts'
import { directTcpip } from '../../lib/connection/types/direct-tcpip.ts'
import { ChannelOpenError, ConnectionLostError } from '../../lib/errors.ts'
import { type JumpHost, parseJumpHosts } from '../openssh/forwarding.ts'
import { expandForProxy, type SshConfig } from '../openssh/resolve-ssh-config.ts'
import { hopConfig as defaultHopConfig } from './hop-config.ts'
import { openConnection } from './open.ts'
import type { OpenOptions } from './options.ts'

/** Most hosts on the way, each counted, whatever configurations say. */
const maxJumps = 16

/** A host on the way may be named after the destination (`gate-%h`). @throws ConfigError, ConnectionLostError */
function expandHop(hop: JumpHost, config: SshConfig): JumpHost {
  if (!hop.text.includes('%')) return hop
  const text = expandForProxy(config, hop.text)
  const [expanded, ...more] = parseJumpHosts(text, true) ?? []
  if (!expanded || more.length > 0) throw new ConnectionLostError('closed', `ProxyJump: no host: ${text}`)
  return expanded
}

/** Opens a channel of a connection to the last host on the way; its own key is checked like any other. */
export async function jump(options: OpenOptions): Promise<Duplex> {
  const { config, log, hopConfig = defaultHopConfig, hops = 0 } = options
  const way = config.proxyJump.map(hop => expandHop(hop, config))
  const last = way.at(-1)!
  if (hops >= maxJumps) throw new ConnectionLostError('closed', `more than ${maxJumps} hosts on the way`)
  const before = way.slice(0, -1).map(hop => hop.text)
  log.debug1?.(`Jumping through ${last.text}`)
  const { credentials: _credentials, connection: _connection, way: _way, ...rest } = options
  const opened = await openConnection({ ...rest, config: await hopConfig(last, before), hops: hops + 1 })
  const { connection } = opened.client
  const stream = new ChannelStream()
  const target = { host: config.hostName, port: config.port, originatorAddress: '127.0.0.1', originatorPort: 65535 }
  try {
    await directTcpip.open(connection, target, stream.sink)
  } catch (error) {
    opened.close()
    if (!(error instanceof ChannelOpenError)) throw error
    const text = `${last.text} cannot reach ${config.hostName} port ${config.port}: ${error.message}`
    throw new ConnectionLostError('closed', text, { cause: error })
  }
  stream.once('close', () => opened.close())
  return stream
}
