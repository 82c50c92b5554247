import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { forwardingRules } from '../../commands/tsshd/forwarding/rules.ts'
import { type ForwardingServices, forwardingServices } from '../../commands/tsshd/forwarding/services.ts'
import type { ChannelSink } from '../../lib/connection/channel.ts'
import type { ChannelOpening, Connection } from '../../lib/connection/connection.ts'
import {
  cancelStreamlocalForward,
  requestStreamlocalForward,
} from '../../lib/connection/requests/streamlocal-forward.ts'
import { cancelTcpipForward, requestTcpipForward } from '../../lib/connection/requests/tcpip-forward.ts'
import { authAgent } from '../../lib/connection/types/auth-agent.ts'
import { directStreamlocal } from '../../lib/connection/types/direct-streamlocal.ts'
import { directTcpip } from '../../lib/connection/types/direct-tcpip.ts'
import { forwardedStreamlocal } from '../../lib/connection/types/forwarded-streamlocal.ts'
import { forwardedTcpip } from '../../lib/connection/types/forwarded-tcpip.ts'
import { tun } from '../../lib/connection/types/tun.ts'
import type { Permissions } from '../../lib/userauth/permissions.ts'
import { loadSshdConfig } from '../../src/openssh/load.ts'
import { enginePair } from '../support/engine-pair.ts'

/** tsshd's forwarding behind an engine of ours, where a client can be asked to do what ssh never does. */

const folder = mkdtempSync(join(tmpdir(), 'tssh-services-'))
chmodSync(folder, 0o700)
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string): string => join(folder, name)

const peer = { address: '127.0.0.1', port: 1, localAddress: '127.0.0.1', localPort: 2 }

function services(options: readonly string[] = [], permissions: Permissions = {}) {
  const lines: string[] = []
  const keep = (line: string): void => void lines.push(line)
  const config = loadSshdConfig({ file: 'none', options })
  const log = { error: keep, info: keep, debug1: keep }
  return { lines, made: forwardingServices({ home: folder, options: config, permissions, peer, log }) }
}

/** What the client opens and the server forwards; channels of the server's are echoed by `echo`. */
async function pairWith(made: ForwardingServices): Promise<Connection> {
  const echo = (_: unknown, opening: ChannelOpening): void => {
    const channel = opening.accept({
      data(data) {
        channel.write(Buffer.from(data))
        channel.consumed(data.length)
      },
      eof: () => channel.eof(),
    })
  }
  const { client } = await enginePair({
    server: { channelTypes: made.channelTypes, globalRequests: made.globalRequests },
    client: {
      channelTypes: new Map([
        [forwardedTcpip.name, forwardedTcpip.acceptor(echo)],
        [forwardedStreamlocal.name, forwardedStreamlocal.acceptor(echo)],
        [authAgent.name, authAgent.acceptor(echo)],
      ]),
    },
  })
  return client.connection
}

const idle: ChannelSink = { data() {} }
const target = (host: string, port: number) => ({ host, port, originatorAddress: '127.0.0.1', originatorPort: 1 })

/** Sends a word and reads what comes back until the end. */
const echoed = (to: { port: number; host?: string } | { path: string }): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ''
    const socket = connect({ allowHalfOpen: true, host: '127.0.0.1', ...to }, () => socket.end('word'))
    socket.on('data', data => {
      text += data
    })
    socket.on('end', () => resolve(text))
    socket.on('error', reject)
  })

describe('strange requests', () => {
  it.each([
    '',
    ' ',
    '.',
    '%',
    'a b',
    'a\nb',
    '\u001b[2J',
    '256.256.256.256',
    '::g',
    'http://127.0.0.1/',
    '-oProxyCommand=x',
    '__proto__',
    'x'.repeat(100),
    'x'.repeat(20_000),
    'xn--\u00e4',
  ])('for host %j are refused, and the connection goes on', async host => {
    const { made, lines } = services()
    const connection = await pairWith(made)
    await expect(directTcpip.open(connection, target(host, 9), idle)).rejects.toMatchObject({ code: 'refused' })
    const listening = requestTcpipForward(connection, { address: host, port: 0 })
    // By default every address means the loopback one, as it does for sshd.
    expect(await listening).toBeGreaterThan(0)
    expect(lines.join('')).not.toMatch(/[\n\u001b]/)
    made.ended()
  })

  it.each(['', '/', '/nonexistent/x', 'relative/x', `/${'x'.repeat(5000)}`, '/proc/self/mem', '/tmp'])(
    'for path %j are refused, and the connection goes on',
    async name => {
      const { made } = services()
      const connection = await pairWith(made)
      await expect(directStreamlocal.open(connection, { path: name }, idle)).rejects.toMatchObject({ code: 'refused' })
      await expect(requestStreamlocalForward(connection, name)).rejects.toMatchObject({ code: 'refused' })
      made.ended()
    },
  )

  it('for addresses that nobody has are refused where the client may choose', async () => {
    const { made } = services(['GatewayPorts clientspecified'])
    const connection = await pairWith(made)
    for (const address of ['192.0.2.1', 'no-such-host.invalid', '::g', 'x'.repeat(300)]) {
      await expect(requestTcpipForward(connection, { address, port: 0 })).rejects.toMatchObject({ code: 'refused' })
    }
    made.ended()
  })

  it('for ports that there are not, and for tunnels', async () => {
    const { made, lines } = services()
    const connection = await pairWith(made)
    await expect(directTcpip.open(connection, target('127.0.0.1', 0), idle)).rejects.toMatchObject({ reason: 2 })
    await expect(tun.open(connection, { mode: 1, unit: 0 }, idle)).rejects.toMatchObject({ reason: 1 })
    expect(lines.join()).toContain('refused tunnel device forwarding')
    made.ended()
  })

  it('to cancel what is not there are refused', async () => {
    const { made } = services()
    const connection = await pairWith(made)
    await expect(cancelTcpipForward(connection, { address: '', port: 1 })).rejects.toMatchObject({ code: 'refused' })
    await expect(cancelStreamlocalForward(connection, '/x')).rejects.toMatchObject({ code: 'refused' })
    made.ended()
  })
})

describe('listeners', () => {
  it('forward, are cancelled, and are bounded', async () => {
    const { made } = services()
    const connection = await pairWith(made)
    const port = await requestTcpipForward(connection, { address: 'localhost', port: 0 })
    expect(await echoed({ port })).toBe('word')
    await cancelTcpipForward(connection, { address: 'localhost', port })
    await expect(echoed({ port })).rejects.toThrow('ECONNREFUSED')
    let taken = 0
    await expect(
      (async () => {
        for (; taken < 1000; taken++) await requestTcpipForward(connection, { address: '127.0.0.1', port: 0 })
      })(),
    ).rejects.toMatchObject({ code: 'refused' })
    expect(taken).toBe(256)
    made.ended()
  })

  it('are gone with the connection, and so are the sockets', async () => {
    const { made } = services()
    const connection = await pairWith(made)
    const port = await requestTcpipForward(connection, { address: '', port: 0 })
    await requestStreamlocalForward(connection, path('gone'))
    const open = connect({ port, host: '127.0.0.1' })
    await new Promise(resolve => open.once('connect', resolve))
    const closed = new Promise(resolve => open.once('close', resolve))
    open.on('error', () => {})
    made.ended()
    await closed
    await expect(echoed({ port })).rejects.toThrow('ECONNREFUSED')
    expect(existsSync(path('gone'))).toBe(false)
  })

  it('on a path that is taken are refused, unless it may be unlinked', async () => {
    const other: Server = createServer(socket => socket.end())
    await new Promise<void>(resolve => other.listen({ path: path('taken') }, () => resolve()))
    const careful = services()
    const first = await pairWith(careful.made)
    await expect(requestStreamlocalForward(first, path('taken'))).rejects.toMatchObject({ code: 'refused' })
    const bold = services(['StreamLocalBindUnlink yes', 'StreamLocalBindMask 0117'])
    await requestStreamlocalForward(await pairWith(bold.made), path('taken'))
    expect(await echoed({ path: path('taken') })).toBe('word')
    expect(statSync(path('taken')).mode & 0o777).toBe(0o660)
    careful.made.ended()
    bold.made.ended()
    other.close()
  })
})

it('the agent’s socket is the user’s alone, is made once, and goes with the connection', async () => {
  const { made, lines } = services()
  const { client, server } = await enginePair({
    server: { channelTypes: made.channelTypes },
    client: {
      channelTypes: new Map([
        [
          authAgent.name,
          authAgent.acceptor((_, opening) => {
            const channel = opening.accept({
              data: data => void channel.write(Buffer.from(data)),
              eof: () => channel.eof(),
            })
          }),
        ],
      ]),
    },
  })
  const login = await server.login
  expect(made.requestAgent(login.connection)).toBe(true)
  expect(made.requestAgent(login.connection)).toBe(false)
  expect(lines).toContain('authentication forwarding requested twice.')
  const socketPath = made.agentSocket!
  expect(await echoed({ path: socketPath })).toBe('word')
  expect(statSync(socketPath).mode & 0o777).toBe(0o600)
  expect(statSync(join(socketPath, '..')).mode & 0o777).toBe(0o700)
  made.ended()
  await new Promise(resolve => setTimeout(resolve, 50))
  expect(existsSync(socketPath)).toBe(false)
  client.transport.disconnect(11, 'done')
})

describe('rules', () => {
  const rules = (options: readonly string[], permissions: Permissions = {}) =>
    forwardingRules(loadSshdConfig({ file: 'none', options }), permissions)

  it('both the configuration and the key must permit', () => {
    const both = rules(['PermitOpen a:1 b:*', 'PermitListen localhost:8080 9090'], {
      permitOpen: ['a:*', 'b:2'],
      permitListen: ['*:8080'],
    })
    expect([both.mayOpen('a', 1), both.mayOpen('b', 2), both.mayOpen('a', 2), both.mayOpen('b', 1)]).toEqual([
      true,
      true,
      false,
      false,
    ])
    expect([both.mayListen('localhost', 8080), both.mayListen('LOCALHOST', 8080)]).toEqual([true, true])
    expect([both.mayListen('', 8080), both.mayListen('localhost', 9090)]).toEqual([false, false])
  })

  it('an empty list of two merged logins permits nothing', () => {
    expect(rules([], { permitOpen: [] }).mayOpen('a', 1)).toBe(false)
    expect(rules([]).mayOpen('a', 1)).toBe(true)
    expect(rules(['PermitOpen none']).mayOpen('a', 1)).toBe(false)
    expect(rules([], { permitOpen: ['*:*'] }).mayOpenPath('/x')).toBe(true)
    expect(rules([], { permitOpen: ['*:1'] }).mayOpenPath('/x')).toBe(false)
  })

  it('each switch turns its own kind off', () => {
    expect(rules(['AllowTcpForwarding no'])).toMatchObject({ tcp: { local: false, remote: false }, agent: true })
    expect(rules(['AllowStreamLocalForwarding local']).streamLocal).toEqual({ local: true, remote: false })
    expect(rules(['AllowAgentForwarding no']).agent).toBe(false)
    expect(rules([], { agentForwarding: false }).agent).toBe(false)
    expect(rules(['DisableForwarding yes'])).toMatchObject({
      tcp: { local: false, remote: false },
      streamLocal: { local: false, remote: false },
      agent: false,
    })
    expect(rules([], { portForwarding: false }).streamLocal).toEqual({ local: false, remote: false })
  })
})
