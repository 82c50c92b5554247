import { describe, expect, it } from 'vitest'
import type { ChannelOpening } from '../../lib/connection/connection.ts'
import { agentConnect, authAgent } from '../../lib/connection/types/auth-agent.ts'
import type { ChannelType } from '../../lib/connection/types/channel-type.ts'
import { directStreamlocal } from '../../lib/connection/types/direct-streamlocal.ts'
import { directTcpip } from '../../lib/connection/types/direct-tcpip.ts'
import { forwardedStreamlocal } from '../../lib/connection/types/forwarded-streamlocal.ts'
import { forwardedTcpip } from '../../lib/connection/types/forwarded-tcpip.ts'
import { decodeTunPacket, encodeTunPacket, TunFamily, tun } from '../../lib/connection/types/tun.ts'
import { x11 } from '../../lib/connection/types/x11.ts'
import { RecordingSink } from '../support/channels.ts'
import { fakePair } from '../support/fake-transport.ts'

/** Opens a channel of a type and returns what went over the wire after the fixed fields, and what arrived. */
async function roundTrip<T>(type: ChannelType<T>, target: T): Promise<{ payload: string; seen: T; name: string }> {
  const seen: { target: T; opening: ChannelOpening }[] = []
  const acceptor = type.acceptor((each, opening) => {
    seen.push({ target: each, opening })
    opening.accept(new RecordingSink())
  })
  const pair = fakePair({}, { channelTypes: new Map([[type.name, acceptor]]) })
  const opened = type.open(pair.client, target, new RecordingSink())
  const message = pair.clientTransport.outbox[0]!
  pair.pump()
  await opened
  const nameEnd = 5 + message.readUInt32BE(1)
  return {
    payload: message.toString('hex', nameEnd + 12),
    seen: seen[0]!.target,
    name: message.toString('latin1', 5, nameEnd),
  }
}

const hex = (text: string): string => Buffer.from(text).toString('hex')

describe('channel types', () => {
  it('direct-tcpip and forwarded-tcpip, as in RFC 4254 §7.2', async () => {
    const origin = { originatorAddress: '::1', originatorPort: 0x1234 }
    const payload = `0000000b${hex('example.org')}0000 0050 00000003${hex('::1')}00001234`.replaceAll(' ', '')
    const direct = { host: 'example.org', port: 80, ...origin }
    expect(await roundTrip(directTcpip, direct)).toEqual({ payload, seen: direct, name: 'direct-tcpip' })
    const forwarded = { address: 'example.org', port: 80, ...origin }
    expect(await roundTrip(forwardedTcpip, forwarded)).toEqual({ payload, seen: forwarded, name: 'forwarded-tcpip' })
  })

  it('direct- and forwarded-streamlocal, with their reserved fields', async () => {
    const target = { path: '/run/x' }
    const path = `00000006${hex('/run/x')}`
    expect(await roundTrip(directStreamlocal, target)).toEqual({
      payload: `${path}0000000000000000`,
      seen: target,
      name: 'direct-streamlocal@openssh.com',
    })
    expect(await roundTrip(forwardedStreamlocal, target)).toEqual({
      payload: `${path}00000000`,
      seen: target,
      name: 'forwarded-streamlocal@openssh.com',
    })
  })

  it('x11, the agent under both names, and tun', async () => {
    const origin = { originatorAddress: '127.0.0.1', originatorPort: 6010 }
    expect(await roundTrip(x11, origin)).toEqual({
      payload: `00000009${hex('127.0.0.1')}0000177a`,
      seen: origin,
      name: 'x11',
    })
    expect(await roundTrip(authAgent, undefined)).toEqual({
      payload: '',
      seen: undefined,
      name: 'auth-agent@openssh.com',
    })
    expect((await roundTrip(agentConnect, undefined)).name).toBe('agent-connect')
    const unit = { mode: 1, unit: 0x7fffffff } as const
    expect(await roundTrip(tun, unit)).toEqual({ payload: '000000017fffffff', seen: unit, name: 'tun@openssh.com' })
  })

  it('refuse ports, names and modes that the system could not take', () => {
    const openings: [ChannelType<never>, string][] = [
      [directTcpip as never, `00000001${hex('h')}00010000 00000000 00000000`],
      [directTcpip as never, `00000002${hex('h\0')}00000050 00000000 00000000`],
      [forwardedTcpip as never, `00000001${hex('h')}ffffffff 00000000 00000000`],
      [directStreamlocal as never, `00000003${hex('/\0x')}00000000 00000000`],
      [tun as never, '00000003 00000000'],
      [directTcpip as never, `00000001${hex('h')}00000050 00000000 00000000 ff`],
      [authAgent as never, '00'],
    ]
    for (const [type, payload] of openings) {
      const acceptor = type.acceptor((_, opening) => void opening.accept(new RecordingSink()))
      const pair = fakePair({}, { channelTypes: new Map([[type.name, acceptor]]) })
      const write = (writer: { bytes(value: Buffer): unknown }) =>
        void writer.bytes(Buffer.from(payload.replaceAll(' ', ''), 'hex'))
      pair.client.openChannel(type.name, new RecordingSink(), { write }).catch(() => {})
      pair.pump()
      expect(pair.serverTransport.failure, type.name).toMatchObject({ code: 'malformed-message' })
    }
  })
})

describe('packets of a layer 3 tunnel', () => {
  it('carry their address family, whatever the system calls it', () => {
    const packet = Buffer.from('4500', 'hex')
    expect(encodeTunPacket(TunFamily.inet, packet).toString('hex')).toBe('000000024500')
    expect(encodeTunPacket(TunFamily.inet6, packet).toString('hex')).toBe('000000184500')
    expect(decodeTunPacket(Buffer.from('000000184500', 'hex'))).toEqual({ family: 24, packet })
  })

  it('are dropped when they are none', () => {
    for (const data of ['', '000000', '000000034500']) expect(decodeTunPacket(Buffer.from(data, 'hex'))).toBeUndefined()
  })
})
