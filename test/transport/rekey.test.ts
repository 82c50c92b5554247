import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { HostKeyError, type ProtocolError } from '../../lib/errors.ts'
import type { Signer } from '../../lib/keys/signer.ts'
import { DirectionLimit } from '../../lib/transport/rekey-limits.ts'
import type { Transport } from '../../lib/transport/transport.ts'
import { ctr, ed25519Signer, gcm, localAlgorithms } from '../support/local-algorithms.ts'
import { type Pair, type Side, straddling, transportPair, whole } from '../support/transport-pair.ts'

const CHANNEL_DATA = 94

function sendNumbered(transport: Transport, number: number, size = 200): void {
  const writer = transport.begin()
  writer.byte(CHANNEL_DATA).uint32(number)
  writer.reserve(size)
  transport.commit()
}

const numbersOf = (side: Side): number[] => side.received.map(({ payload }) => payload.readUInt32BE(1))

async function authenticatedPair(options: Parameters<typeof transportPair>[0] = {}): Promise<Pair> {
  const pair = transportPair(options)
  await pair.opened
  pair.authenticate()
  return pair
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index)

/** Sends messages from both sides, with pauses in which keys may be exchanged, and checks that all arrive in order. */
async function exchangeUnderLoad(pair: Pair, count: number, each: (index: number) => void = () => undefined) {
  for (const index of upTo(count)) {
    sendNumbered(pair.client.transport, index)
    sendNumbered(pair.server.transport, index)
    each(index)
    if (index % 7 === 0) await Promise.resolve()
    if (index % 50 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  await expect.poll(() => [pair.client.received.length, pair.server.received.length]).toEqual([count, count])
  expect(numbersOf(pair.server)).toEqual(upTo(count))
  expect(numbersOf(pair.client)).toEqual(upTo(count))
  expect([pair.client.error, pair.server.error]).toEqual([undefined, undefined])
}

describe('keys are exchanged again', () => {
  for (const chunking of [whole, straddling]) {
    for (const cipher of [gcm, ctr]) {
      it(`by either side and by both at once, while messages flow (${cipher.name}, ${chunking.name || 'whole'})`, async () => {
        const algorithms = { ...localAlgorithms, cipher: [cipher] }
        const pair = await authenticatedPair({ chunking, client: { algorithms }, server: { algorithms } })
        const { client, server } = pair
        const sessionId = client.transport.sessionId
        await exchangeUnderLoad(pair, 300, index => {
          if (index % 60 === 10) client.transport.rekey()
          if (index % 60 === 30) server.transport.rekey()
          if (index % 60 === 50) {
            client.transport.rekey()
            server.transport.rekey()
          }
        })
        const { rekeys } = client.transport.statistics
        expect(rekeys).toBeGreaterThanOrEqual(5)
        await expect.poll(() => server.transport.statistics.rekeys).toBe(rekeys)
        expect(client.events.filter(event => event === 'rekeyed').length).toBe(rekeys)
        expect(client.transport.sessionId).toEqual(sessionId)
        expect(server.transport.sessionId).toEqual(sessionId)
      })
    }
  }

  for (const limit of [{ bytes: 1 }, { bytes: 3000 }, { packets: 10 }]) {
    it(`after ${Object.entries(limit)}`, async () => {
      const pair = await authenticatedPair({ client: { rekeyLimit: limit }, server: { rekeyLimit: limit } })
      await exchangeUnderLoad(pair, 200)
      expect(pair.client.transport.statistics.rekeys).toBeGreaterThan(1)
    })
  }

  it('by the side that only receives', async () => {
    const pair = await authenticatedPair({ server: { rekeyLimit: { bytes: 4000 } } })
    for (const index of upTo(100)) {
      sendNumbered(pair.client.transport, index)
      if (index % 10 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    await expect.poll(() => pair.server.received.length).toBe(100)
    expect(pair.server.transport.statistics.rekeys).toBeGreaterThan(1)
  })

  it('only once authenticated, when asked for earlier', async () => {
    const pair = transportPair()
    await pair.opened
    pair.client.transport.rekey()
    expect(pair.client.transport.writable).toBe(true)
    pair.authenticate()
    expect(pair.client.transport.writable).toBe(false)
    await expect.poll(() => pair.client.transport.statistics.rekeys).toBe(1)
    expect(pair.client.transport.writable).toBe(true)
    expect(pair.client.events.at(-1)).toBe('rekeyed')
    expect(pair.client.events).toContain('writable')
  })

  it('with the same host key, or the client leaves', async () => {
    const first = ed25519Signer()
    const second = ed25519Signer()
    let current: Signer = first
    const changing: Signer = {
      get publicKey() {
        return current.publicKey
      },
      get blob() {
        return current.blob
      },
      algorithms: first.algorithms,
      comment: '',
      sign: (data, algorithm) => current.sign(data, algorithm),
    }
    let asked = 0
    const pair = await authenticatedPair({ hostKey: changing, client: { verifyHostKey: () => void asked++ } })
    pair.client.transport.rekey()
    await expect.poll(() => pair.client.transport.statistics.rekeys).toBe(1)
    current = second
    pair.server.transport.rekey()
    expect(await pair.client.closed).toBeInstanceOf(HostKeyError)
    expect(pair.client.error).toMatchObject({ code: 'changed' })
    expect(await pair.server.closed).toMatchObject({ code: 'by-peer', reason: 9 })
    expect(asked).toBe(1)
  })

  it('and what waits meanwhile is bounded', async () => {
    // The client never hears the server's answer to its KEXINIT.
    let deaf = false
    const pair = await authenticatedPair({
      tamper: (from, bytes) => (deaf && from === 'server' ? Buffer.alloc(0) : bytes),
    })
    deaf = true
    const { client } = pair
    client.transport.rekey()
    expect(client.transport.writable).toBe(false)
    let sent = 0
    while (!client.error && sent < 10_000) sendNumbered(client.transport, sent++, 8192)
    expect(client.error).toMatchObject({ code: 'limit-exceeded' })
    expect(sent).toBeGreaterThan(1000)
    expect(sent).toBeLessThan(3000)
  })
})

describe('a rekey by time', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('happens after the interval, again and again', async () => {
    const pair = await authenticatedPair({ client: { rekeyLimit: { seconds: 60 } } })
    for (const expected of [1, 2, 3]) {
      vi.advanceTimersByTime(59_000)
      for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
      expect(pair.client.transport.statistics.rekeys).toBe(expected - 1)
      vi.advanceTimersByTime(1_000)
      while (pair.client.transport.statistics.rekeys < expected) await new Promise(resolve => setImmediate(resolve))
    }
    pair.client.transport.disconnect(11, 'done')
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the limits of one set of keys', () => {
  const traffic = (bytes: number, packets: number) => ({ bytes, packets, totalBytes: 0, totalPackets: 0 })

  it('are 1 GiB and 2^31 packets, or less', () => {
    const limit = new DirectionLimit({}, gcm, 16)
    expect(limit.reached(traffic(2 ** 30 - 1, 2 ** 31 - 1))).toBe(false)
    expect(limit.reached(traffic(2 ** 30, 1))).toBe(true)
    expect(limit.reached(traffic(1, 2 ** 31))).toBe(true)
    expect(new DirectionLimit({ packets: 2 ** 40 }, gcm, 16).reached(traffic(1, 2 ** 31))).toBe(true)
  })

  it('are lower for ciphers with small blocks, whatever is configured', () => {
    const small = { ...ctr, name: '3des-cbc' }
    expect(new DirectionLimit({}, small, 8).bytes).toBe(2 ** 28)
    expect(new DirectionLimit({ bytes: 2 ** 40 }, small, 8).bytes).toBe(2 ** 28)
    expect(new DirectionLimit({ bytes: 1000 }, small, 8).bytes).toBe(1000)
    expect(new DirectionLimit({ bytes: 2 ** 40 }, gcm, 16).bytes).toBe(2 ** 40)
  })

  it('close a connection that is not authenticated, and a low configured one does not', async () => {
    const limit = new DirectionLimit({ bytes: 16 }, gcm, 16)
    expect(limit.exceeded(traffic(2 ** 20, 100))).toBe(false)
    expect(limit.exceeded(traffic(2 ** 30, 100))).toBe(true)
    expect(limit.exceeded(traffic(100, 2 ** 31))).toBe(true)
    const pair = transportPair({ client: { rekeyLimit: { bytes: 16 } }, server: { rekeyLimit: { bytes: 16 } } })
    await pair.opened
    sendNumbered(pair.client.transport, 0)
    expect(pair.client.transport.statistics.rekeys).toBe(0)
    expect(((await pair.server.closed) as ProtocolError).code).toBe('unexpected-message')
  })
})
