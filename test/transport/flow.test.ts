import { describe, expect, it } from 'vitest'
import { AuthenticationError, ConnectionLostError, DisconnectError, ProtocolError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import * as messages from '../../lib/transport/messages.ts'
import { maxBatchBytes } from '../../lib/transport/outbox.ts'
import { createTransport } from '../../lib/transport/ssh-transport.ts'
import { encode } from '../../lib/wire/writer.ts'
import { localAlgorithms } from '../support/local-algorithms.ts'
import { type PairOptions, recordingSide, transportPair } from '../support/transport-pair.ts'

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 6; turn++) await new Promise(resolve => setImmediate(resolve))
}

async function authenticatedPair(options: PairOptions = {}) {
  const pair = transportPair(options)
  await pair.opened
  await settle()
  pair.authenticate()
  return pair
}

const data = (size: number): Buffer => encode(writer => writer.byte(94).bytes(Buffer.alloc(size)))

function sendPayload(transport: { begin(): { bytes(b: Buffer): unknown }; commit(): void }, payload: Buffer): void {
  transport.begin().bytes(payload)
  transport.commit()
}

describe('output', () => {
  it('is handed over once per microtask, with all that was sent meanwhile', async () => {
    const batches: number[] = []
    const { side, handlers } = recordingSide(chunks => {
      batches.push(chunks.length)
      return true
    })
    createTransport({
      role: 'client',
      algorithms: localAlgorithms,
      softwareVersion: 'x',
      verifyHostKey: () => undefined,
      handlers,
    })
    expect(batches).toEqual([])
    await Promise.resolve()
    // Identification and KEXINIT in one batch.
    expect(batches).toEqual([2])
    expect(side.sent).toBeGreaterThan(100)
  })

  it('is not writable above the bound of a batch, and again after it', async () => {
    const { client } = await authenticatedPair()
    expect(client.transport.writable).toBe(true)
    let sent = 0
    while (client.transport.writable) {
      sendPayload(client.transport, data(32768))
      sent += 32768
    }
    expect(sent).toBeGreaterThanOrEqual(maxBatchBytes)
    expect(sent).toBeLessThan(maxBatchBytes + 3 * 32768)
    expect(client.events).not.toContain('writable')
    await settle()
    expect(client.events.filter(event => event === 'writable').length).toBe(1)
  })

  it('tells that it is writable again after a congestion in which nothing was sent', async () => {
    let flowing = true
    const { client } = await authenticatedPair({ flowing: from => from === 'server' || flowing })
    flowing = false
    sendPayload(client.transport, data(100))
    await settle()
    expect(client.transport.writable).toBe(false)
    // Who asked meanwhile waits for this word.
    expect(client.events).not.toContain('writable')
    flowing = true
    client.transport.outputDrained()
    expect(client.transport.writable).toBe(true)
    expect(client.events.filter(event => event === 'writable').length).toBe(1)
  })

  it('waits while the stream below is congested, and loses nothing', async () => {
    let flowing = true
    const { client, server } = await authenticatedPair({ flowing: from => from === 'server' || flowing })
    flowing = false
    sendPayload(client.transport, data(100))
    await settle()
    expect(client.transport.writable).toBe(false)
    const { sent } = client
    for (let index = 0; index < 5; index++) sendPayload(client.transport, data(100))
    await settle()
    expect(client.sent).toBe(sent)
    expect(server.received.length).toBe(1)
    flowing = true
    client.transport.outputDrained()
    expect(client.transport.writable).toBe(true)
    expect(client.events.at(-1)).toBe('writable')
    await settle()
    expect(server.received.length).toBe(6)
  })

  it('that a peer asks for and does not read stops the input at a bound', async () => {
    let flowing = true
    const { client, server } = await authenticatedPair({ flowing: from => from === 'client' || flowing })
    flowing = false
    const before = server.transport.statistics
    const ping = { data: Buffer.alloc(32768) }
    client.transport.send(messages.Ping, ping)
    await settle()
    for (let index = 1; index < 100; index++) client.transport.send(messages.Ping, ping)
    await settle()
    const stopped = server.transport.statistics.packetsIn - before.packetsIn
    expect(stopped * 32768).toBeGreaterThan(maxBatchBytes)
    expect(stopped * 32768).toBeLessThan(maxBatchBytes + 4 * 32768)
    flowing = true
    server.transport.outputDrained()
    await settle()
    expect(server.transport.statistics.packetsOut - before.packetsOut).toBe(100)
    expect(client.error).toBeUndefined()
  })
})

describe('input', () => {
  it('takes no further packet while a handler is busy', async () => {
    const events: string[] = []
    let release = (): void => undefined
    const pair = transportPair({
      serverHandlers: {
        authentication(_number, payload) {
          events.push(messages.ServiceRequest.read(payload).service)
          return new Promise<void>(resolve => {
            release = resolve
          })
        },
      },
    })
    await pair.opened
    for (const service of ['a', 'b', 'c']) pair.client.transport.send(messages.ServiceRequest, { service })
    await settle()
    expect(events).toEqual(['a'])
    release()
    await settle()
    expect(events).toEqual(['a', 'b'])
    release()
    await settle()
    release()
    expect(events).toEqual(['a', 'b', 'c'])
  })

  it('asks the stream to pause only when something is left over', async () => {
    let release = (): void => undefined
    const bytes: Buffer[] = []
    let capture = false
    const pair = transportPair({
      tamper(from, chunk) {
        if (!capture || from !== 'client') return chunk
        bytes.push(chunk)
        return Buffer.alloc(0)
      },
      serverHandlers: {
        authentication: () =>
          new Promise<void>(resolve => {
            release = resolve
          }),
      },
    })
    await pair.opened
    await settle()
    capture = true
    pair.client.transport.send(messages.ServiceRequest, { service: 'a' })
    pair.client.transport.send(messages.ServiceRequest, { service: 'b' })
    await settle()
    const all = Buffer.concat(bytes)
    const half = all.length / 2
    expect(pair.server.transport.receive(all.subarray(0, half))).toBeUndefined()
    const pause = pair.server.transport.receive(all.subarray(half))
    expect(pause).toBeInstanceOf(Promise)
    let resumed = false
    pause?.then(() => {
      resumed = true
    })
    await settle()
    expect(resumed).toBe(false)
    release()
    await settle()
    expect(resumed).toBe(true)
  })

  it('ends with the error of a handler, never with a rejection', async () => {
    for (const fail of [
      () => {
        throw new AuthenticationError('exhausted', 'no')
      },
      () => Promise.reject(new AuthenticationError('exhausted', 'no')),
    ]) {
      const pair = transportPair({ serverHandlers: { authentication: fail } })
      await pair.opened
      pair.client.transport.send(messages.ServiceRequest, { service: 'a' })
      expect(await pair.client.closed).toMatchObject({ code: 'by-peer', reason: 14, message: 'no' })
    }
  })

  it('that arrived before the stream ended is taken before the end is told', async () => {
    const order: string[] = []
    let release = (): void => undefined
    const pair = transportPair({
      serverHandlers: {
        authentication(_number, payload) {
          order.push(messages.ServiceRequest.read(payload).service)
          return new Promise<void>(resolve => {
            release = resolve
          })
        },
        closed: error => order.push((error as ConnectionLostError).code),
      },
    })
    await pair.opened
    for (const service of ['a', 'b']) pair.client.transport.send(messages.ServiceRequest, { service })
    await settle()
    pair.server.transport.ended()
    expect(order).toEqual(['a'])
    release()
    await settle()
    expect(order).toEqual(['a', 'b', 'closed'])
    pair.server.transport.ended()
    expect(order.length).toBe(3)
  })
})

describe('messages for everybody', () => {
  it('DEBUG and UNIMPLEMENTED go to the log without control characters, IGNORE nowhere', async () => {
    const lines: string[] = []
    const log: Log = {
      error: () => undefined,
      info: line => lines.push(`info ${line}`),
      debug1: line => lines.push(`debug1 ${line}`),
    }
    const { client, server } = await authenticatedPair({ client: { log } })
    lines.length = 0
    server.transport.send(messages.Ignore, { data: Buffer.alloc(50) })
    server.transport.send(messages.Debug, { alwaysDisplay: false, text: 'a\x1bb', language: '' })
    server.transport.send(messages.Debug, { alwaysDisplay: true, text: 'c\nd', language: '' })
    server.transport.send(messages.Unimplemented, { sequence: 7 })
    await settle()
    expect(lines).toEqual([
      'debug1 Remote: a\\033b',
      'info Remote: c\\012d',
      'debug1 Received SSH2_MSG_UNIMPLEMENTED for 7',
    ])
    expect(client.error).toBeUndefined()
  })

  it('PING is answered with its data after authentication, and not before', async () => {
    const lines: string[] = []
    const log: Log = { error: () => undefined, debug3: line => lines.push(line) }
    const pair = transportPair({ server: { log } })
    const { client, server } = pair
    await pair.opened
    client.transport.send(messages.Ping, { data: Buffer.from('early') })
    await settle()
    pair.authenticate()
    client.transport.send(messages.Ping, { data: Buffer.from('later') })
    await settle()
    const pongs = lines.filter(line => line.includes('PONG'))
    expect(pongs).toEqual([`> PONG data=${Buffer.from('later').toString('hex')}`])
    expect([client.error, server.error]).toEqual([undefined, undefined])
  })

  it('unknown numbers are answered with the sequence number of the packet', async () => {
    const lines: string[] = []
    const log: Log = { error: () => undefined, debug1: line => lines.push(line) }
    const { client } = await authenticatedPair({ client: { log } })
    // Strict key exchange: EXT_INFO was packet 0 after NEWKEYS.
    for (const number of [222, 8, 255]) sendPayload(client.transport, Buffer.from([number]))
    await settle()
    expect(lines.slice(-3)).toEqual([1, 2, 3].map(sequence => `Received SSH2_MSG_UNIMPLEMENTED for ${sequence}`))
  })

  it('unimplemented() names the packet that is being handled', async () => {
    const lines: string[] = []
    const pair = await authenticatedPair({
      client: { log: { error: () => undefined, debug1: line => lines.push(line) } },
      serverHandlers: { connection: () => pair.server.transport.unimplemented() },
    })
    sendPayload(pair.client.transport, data(1))
    sendPayload(pair.client.transport, data(1))
    await settle()
    expect(lines.slice(-2)).toEqual([1, 2].map(sequence => `Received SSH2_MSG_UNIMPLEMENTED for ${sequence}`))
  })
})

describe('the end', () => {
  it('by disconnect() is told to both sides once, with the reason', async () => {
    const { client, server } = await authenticatedPair()
    client.transport.disconnect(11, 'disconnected by \x1buser')
    client.transport.disconnect(2, 'again')
    client.transport.ended()
    expect(client.error).toBeInstanceOf(DisconnectError)
    expect(client.error).toMatchObject({ code: 'by-us', reason: 11 })
    expect(await server.closed).toMatchObject({ code: 'by-peer', reason: 11, message: 'disconnected by \\033user' })
    for (const { events, transport } of [client, server]) {
      expect(events.filter(event => event === 'closed').length).toBe(1)
      expect(transport.phase).toBe('closed')
      expect(transport.writable).toBe(false)
      expect(transport.receive(Buffer.from('more'))).toBeUndefined()
      sendPayload(transport, data(1))
      transport.outputDrained()
    }
  })

  it('of the stream is an error of its own, at any time', async () => {
    const early = transportPair({})
    early.client.transport.ended()
    expect(early.client.error).toBeInstanceOf(ConnectionLostError)
    expect(early.client.error).toMatchObject({ code: 'closed' })
    const { client } = await authenticatedPair()
    client.transport.ended(new Error('read ECONNRESET'))
    expect(client.error).toMatchObject({ code: 'reset', message: 'read ECONNRESET' })
  })

  it('by fail() has the reason that fits', async () => {
    for (const [code, reason] of [
      ['malformed-message', 2],
      ['mac-mismatch', 5],
      ['key-exchange-failed', 3],
      ['bad-compression', 6],
    ] as const) {
      const { client, server } = await authenticatedPair()
      const error = new ProtocolError(code, 'because')
      server.transport.fail(error)
      expect(server.error).toBe(error)
      expect(await client.closed).toMatchObject({ code: 'by-peer', reason, message: 'because' })
    }
  })
})

describe('what is known of a connection', () => {
  it('cannot be asked before the first key exchange', () => {
    const { client } = transportPair({})
    for (const key of ['sessionId', 'negotiated', 'hostKey'] as const) {
      expect(() => client.transport[key]).toThrow('not done')
    }
    expect(client.transport.peerIdentification).toBe('')
    expect(client.transport.ourIdentification).toBe('SSH-2.0-test_client')
  })
})
