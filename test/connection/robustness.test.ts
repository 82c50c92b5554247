import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChannelOpening } from '../../lib/connection/connection.ts'
import { connectionMessages } from '../../lib/connection/messages.ts'
import { hearHostKeys, proveHostKeys } from '../../lib/connection/requests/hostkeys.ts'
import { answerKeepalive } from '../../lib/connection/requests/keepalive.ts'
import { streamlocalForwardHandlers } from '../../lib/connection/requests/streamlocal-forward.ts'
import { tcpipForwardHandlers } from '../../lib/connection/requests/tcpip-forward.ts'
import { acceptSessions } from '../../lib/connection/server-session.ts'
import { agentConnect, authAgent } from '../../lib/connection/types/auth-agent.ts'
import { directStreamlocal } from '../../lib/connection/types/direct-streamlocal.ts'
import { directTcpip } from '../../lib/connection/types/direct-tcpip.ts'
import { forwardedStreamlocal } from '../../lib/connection/types/forwarded-streamlocal.ts'
import { forwardedTcpip } from '../../lib/connection/types/forwarded-tcpip.ts'
import { tun } from '../../lib/connection/types/tun.ts'
import { x11 } from '../../lib/connection/types/x11.ts'
import { ProtocolError } from '../../lib/errors.ts'
import type { Dice } from '../../lib/wire/struct.ts'
import { encode } from '../../lib/wire/writer.ts'
import { acceptAll, RecordingSink } from '../support/channels.ts'
import { type FakePair, fakePair } from '../support/fake-transport.ts'

/** mulberry32: the same numbers from the same seed everywhere. */
function seeded(seed: number): Dice {
  let state = seed
  return {
    next(limit) {
      state = (state + 0x6d2b79f5) | 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
    },
  }
}

/** A pair whose server accepts everything that this layer knows. */
function everything(): FakePair {
  const accept = (_: unknown, opening: ChannelOpening) => void opening.accept(new RecordingSink())
  const nothing = () => Promise.reject(new Error('not now'))
  const types = [
    directTcpip,
    forwardedTcpip,
    directStreamlocal,
    forwardedStreamlocal,
    x11,
    authAgent,
    agentConnect,
    tun,
  ]
  return fakePair(
    {},
    {
      channelTypes: new Map([
        ['test', acceptAll([])],
        [
          'session',
          acceptSessions({
            pty: () => true,
            env: () => true,
            x11: () => true,
            agentForwarding: () => true,
            start: (session, _, reply) => {
              reply(true)
              session.attach(new RecordingSink())
            },
          }),
        ],
        ...types.map(type => [type.name, type.acceptor(accept)] as const),
      ]),
      globalRequests: new Map([
        ['keepalive@openssh.com', answerKeepalive],
        ['hostkeys-00@openssh.com', hearHostKeys(() => {})],
        ['hostkeys-prove-00@openssh.com', proveHostKeys([])],
        ...tcpipForwardHandlers({ listen: nothing, cancel: nothing }),
        ...streamlocalForwardHandlers({ listen: nothing, cancel: nothing }),
      ]),
    },
  )
}

const requestNames = [
  'pty-req',
  'env',
  'shell',
  'exec',
  'subsystem',
  'window-change',
  'signal',
  'break',
  'x11-req',
  'auth-agent-req@openssh.com',
  'eow@openssh.com',
  'keepalive@openssh.com',
  '__proto__',
]
const globalNames = [
  'tcpip-forward',
  'cancel-tcpip-forward',
  'hostkeys-00@openssh.com',
  'hostkeys-prove-00@openssh.com',
]

/** A random message of this layer, mostly for channels that are open, sometimes spoilt. */
function randomMessage(dice: Dice): Buffer {
  const message = connectionMessages[dice.next(connectionMessages.length)]!
  const value = message.struct.random(dice) as Record<string, unknown>
  if ('recipientChannel' in value) value['recipientChannel'] = dice.next(4)
  if (message.name === 'CHANNEL_OPEN')
    value['type'] = ['session', 'test', 'direct-tcpip', 'tun@openssh.com'][dice.next(4)]
  if (message.name === 'CHANNEL_REQUEST') value['request'] = requestNames[dice.next(requestNames.length)]
  if (message.name === 'GLOBAL_REQUEST') value['request'] = globalNames[dice.next(globalNames.length)]
  const payload = encode(writer => {
    writer.byte(message.number)
    message.struct.write(writer, value as never)
  })
  switch (dice.next(8)) {
    case 0:
      return payload.subarray(0, 1 + dice.next(payload.length))
    case 1:
      payload[dice.next(payload.length)] = dice.next(256)
      return payload
    case 2:
      return Buffer.concat([payload, Buffer.from([dice.next(256)])])
    default:
      return payload
  }
}

describe('hostile peers', () => {
  it('never make us throw: what they send is taken, or ends in a ProtocolError', () => {
    const endings = new Map<string, number>()
    for (let seed = 1; seed <= 1500; seed++) {
      const dice = seeded(seed)
      const pair = everything()
      for (const type of ['test', 'session', 'session'])
        pair.client.openChannel(type, new RecordingSink()).catch(() => {})
      pair.pump()
      for (let count = 0; count < 30; count++) pair.serverTransport.deliver(randomMessage(dice))
      const { failure } = pair.serverTransport
      if (failure) expect(failure, `seed ${seed}`).toBeInstanceOf(ProtocolError)
      endings.set(failure?.code ?? 'none', (endings.get(failure?.code ?? 'none') ?? 0) + 1)
    }
    // The messages reached all the judges, not just the first.
    expect([...endings.keys()].sort()).toEqual(
      expect.arrayContaining(['malformed-message', 'unexpected-message', 'window-exceeded']),
    )
  })
})

describe('any interleaving', () => {
  const action = fc.record({
    what: fc.constantFrom(
      'write',
      'writeError',
      'consume',
      'eof',
      'close',
      'step',
      'block',
      'unblock',
      'request',
      'open',
    ),
    side: fc.constantFrom('client' as const, 'server' as const),
    channel: fc.nat(5),
    size: fc.nat(900),
  })

  it('loses, doubles and mixes nothing, keeps windows, and ends in order', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 120 }), actions => {
        const options = { window: 500, maximumPacket: 100 }
        const sinks = { client: [] as RecordingSink[], server: [] as RecordingSink[] }
        const pair = fakePair(options, {
          ...options,
          channelTypes: new Map([['test', acceptAll(sinks.server, 'by hand')]]),
        })
        const written = new Map<RecordingSink, { plain: number[]; error: number[]; complete: boolean }>()
        const transports = { client: pair.clientTransport, server: pair.serverTransport }
        const open = (): void => {
          const sink = new RecordingSink('by hand')
          sinks.client.push(sink)
          pair.client.openChannel('test', sink).catch(() => {})
        }
        open()
        pair.pump()
        let stamp = 0
        for (const { what, side, channel: index, size } of actions) {
          const sink = sinks[side][index % Math.max(1, sinks[side].length)]
          const channel = sink?.channel
          if (what === 'step') pair.step(side)
          else if (what === 'block') transports[side].writable = false
          else if (what === 'unblock') transports[side].writable = true
          else if (what === 'open') open()
          if (!sink || !channel) continue
          const record = written.get(sink) ?? { plain: [], error: [], complete: false }
          written.set(sink, record)
          const alive = channel.local === 'open' && !record.complete && channel.remote !== 'closed'
          if ((what === 'write' || what === 'writeError') && alive) {
            const data = Buffer.alloc(size, ++stamp)
            if (what === 'write') {
              channel.write(data)
              record.plain.push(...data)
            } else {
              channel.writeExtended(1, data)
              record.error.push(...data)
            }
          } else if (what === 'consume') sink.consume(Math.min(size, sink.unread))
          else if (what === 'request') channel.request('something').catch(() => {})
          else if (what === 'eof' || what === 'close') {
            channel[what]()
            record.complete = true
          }
          expect(sink.unread).toBeLessThanOrEqual(500)
        }
        transports.client.writable = true
        transports.server.writable = true
        for (let moved = 1; moved > 0; ) {
          for (const sink of [...sinks.client, ...sinks.server]) {
            if (sink.channel && sink.unread > 0) sink.consume()
            for (const request of sink.requests.splice(0)) request.reply(true)
          }
          moved = pair.pump()
        }
        expect(pair.clientTransport.failure ?? pair.serverTransport.failure).toBeUndefined()
        expect(sinks.server.length).toBe(sinks.client.length)
        sinks.client.forEach((ours, index) => {
          // Openings arrive in their order.
          const theirs = sinks.server[index]!
          for (const [from, to] of [
            [ours, theirs],
            [theirs, ours],
          ] as const) {
            const record = written.get(from)
            if (!record) continue
            const plain = [...to.received]
            const error = [...Buffer.concat(to.extended.map(each => each.data))]
            const closedEarly = from.events.includes('closed') || to.events.includes('closed')
            // A channel that was closed by the other side may have lost its tail, but never its order.
            if (closedEarly) {
              expect(record.plain.slice(0, plain.length)).toEqual(plain)
              expect(record.error.slice(0, error.length)).toEqual(error)
            } else {
              expect(plain).toEqual(record.plain)
              expect(error).toEqual(record.error)
            }
          }
          expect(ours.events.filter(event => event === 'closed').length).toBeLessThanOrEqual(1)
          expect(ours.events.includes('closed')).toBe(theirs.events.includes('closed'))
        })
      }),
      { numRuns: 150, seed: 20240611 },
    )
  })
})
