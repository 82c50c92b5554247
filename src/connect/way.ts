import { networkInterfaces } from 'node:os'
import { ConnectionLostError } from '../../lib/errors.ts'
import { connectTcp } from '../net/tcp.ts'
import { expandForProxy, type SshConfig } from '../openssh/resolve-ssh-config.ts'
import type { OpenOptions, Way } from './options.ts'

/** Reaches the host as the configuration says (this file needs no engine: an engine is loaded meanwhile): at once, through a command, or through other hosts. @throws SshError */
export async function reach(options: OpenOptions): Promise<Way> {
  const { config, log } = options
  if (config.proxyJump.length > 0) return { stream: await (await import('./jump.ts')).jump(options) }
  if (config.proxyCommand !== undefined) {
    if (config.proxyUseFdpass)
      throw new ConnectionLostError('closed', 'ProxyUseFdpass is not possible: Node cannot receive a socket this way')
    // Behind a pipe there is nothing to keep alive and no address.
    const { runProxyCommand } = await import('./proxy-command.ts')
    const command = expandForProxy(config, config.proxyCommand)
    return { stream: runProxyCommand(command, options.env['SHELL'] || '/bin/sh', log, options.survivesInterrupts) }
  }
  const bindAddress = localAddressOf(config)
  const socket = await connectTcp({
    host: config.hostName,
    port: config.port,
    family: config.addressFamily,
    keepAlive: config.tcpKeepAlive,
    attempts: config.connectionAttempts,
    largeReads: true,
    ...(config.connectTimeout !== undefined && { connectTimeout: config.connectTimeout }),
    ...(bindAddress !== undefined && { bindAddress }),
    log,
  })
  return { stream: socket, ...(socket.remoteAddress !== undefined && { address: socket.remoteAddress }) }
}

/** BindAddress, or else the first address of BindInterface that fits. @throws ConnectionLostError */
function localAddressOf({ bindAddress, bindInterface, addressFamily }: SshConfig): string | undefined {
  if (bindAddress !== undefined || bindInterface === undefined) return bindAddress
  const family = addressFamily === 'inet6' ? 'IPv6' : addressFamily === 'inet' ? 'IPv4' : undefined
  const own = networkInterfaces()[bindInterface]?.find(
    entry => (family === undefined || entry.family === family) && !entry.address.startsWith('fe80:'),
  )
  if (!own) throw new ConnectionLostError('closed', `getifaddrs: ${bindInterface}: no suitable addresses`)
  return own.address
}
