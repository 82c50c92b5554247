import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sendEndOfWrite } from '../../lib/connection/requests/end-of-write.ts'
import {
  announceHostKeys,
  hearHostKeys,
  proveHostKeys,
  requestHostKeyProofs,
} from '../../lib/connection/requests/hostkeys.ts'
import { answerKeepalive, startKeepalive } from '../../lib/connection/requests/keepalive.ts'
import { guardSessions, sendNoMoreSessions } from '../../lib/connection/requests/no-more-sessions.ts'
import {
  cancelStreamlocalForward,
  requestStreamlocalForward,
  streamlocalForwardHandlers,
} from '../../lib/connection/requests/streamlocal-forward.ts'
import {
  cancelTcpipForward,
  type ForwardBinding,
  requestTcpipForward,
  tcpipForwardHandlers,
} from '../../lib/connection/requests/tcpip-forward.ts'
import { KeyError, type RequestError } from '../../lib/errors.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { acceptAll, RecordingSink } from '../support/channels.ts'
import { fakePair } from '../support/fake-transport.ts'
import { openPair } from './helpers.ts'

describe('keepalive', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('asks once per interval of silence, and takes any answer', async () => {
    for (const globalRequests of [new Map(), new Map([['keepalive@openssh.com', answerKeepalive]])]) {
      const pair = fakePair({}, { globalRequests })
      let dead = 0
      const stop = startKeepalive(pair.client, { intervalSeconds: 15, countMax: 3 }, () => dead++)
      pair.clientTransport.sent = []
      for (let round = 1; round <= 10; round++) {
        await vi.advanceTimersByTimeAsync(15_000)
        pair.pump()
        await Promise.resolve()
        expect(pair.clientTransport.sent.length).toBe(round)
      }
      stop()
      await vi.advanceTimersByTimeAsync(150_000)
      expect([dead, pair.clientTransport.sent.length]).toEqual([0, 10])
    }
  })

  it('counts a peer as dead after so many questions without an answer', async () => {
    const pair = fakePair()
    let dead = 0
    startKeepalive(pair.client, { intervalSeconds: 10, countMax: 3 }, () => dead++)
    await vi.advanceTimersByTimeAsync(39_000)
    expect([dead, pair.clientTransport.outbox.length]).toEqual([0, 3])
    await vi.advanceTimersByTimeAsync(1000)
    expect(dead).toBe(1)
    await vi.advanceTimersByTimeAsync(100_000)
    expect(dead).toBe(1)
  })

  it('asks nothing while packets come in', async () => {
    const pair = fakePair()
    startKeepalive(pair.client, { intervalSeconds: 10, countMax: 1 }, () => {
      throw new Error('not dead')
    })
    for (let round = 0; round < 10; round++) {
      pair.server.globalNotify('noise')
      pair.pump()
      await vi.advanceTimersByTimeAsync(10_000)
    }
    expect(pair.clientTransport.outbox.length).toBe(0)
  })

  it('does nothing at an interval of 0, and stops with the connection', async () => {
    const idle = fakePair()
    startKeepalive(idle.client, { intervalSeconds: 0, countMax: 0 }, () => {
      throw new Error('not dead')
    })
    const pair = fakePair()
    startKeepalive(pair.client, { intervalSeconds: 10, countMax: 0 }, () => {
      throw new Error('not dead')
    })
    pair.clientTransport.end()
    await vi.advanceTimersByTimeAsync(100_000)
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('no-more-sessions@openssh.com', () => {
  it('makes a session after it end the connection', async () => {
    const sinks: RecordingSink[] = []
    const guard = guardSessions(acceptAll(sinks))
    const pair = fakePair(
      {},
      {
        channelTypes: new Map([['session', guard.accept]]),
        globalRequests: new Map([['no-more-sessions@openssh.com', guard.noMoreSessions]]),
      },
    )
    void pair.client.openChannel('session', new RecordingSink())
    sendNoMoreSessions(pair.client)
    pair.pump()
    expect([sinks.length, pair.serverTransport.failure]).toEqual([1, undefined])
    pair.client.openChannel('session', new RecordingSink()).catch(() => {})
    pair.pump()
    expect(pair.serverTransport.failure).toMatchObject({ code: 'unexpected-message' })
  })

  it('goes only to peers that know it, as does eow@openssh.com', () => {
    for (const [identification, count] of [
      ['SSH-2.0-OpenSSH_9.2p1 Debian-2', 2],
      ['SSH-2.0-tssh_0.1.0', 2],
      ['SSH-2.0-dropbear_2022.83', 0],
      ['SSH-2.0-NotOpenSSH', 0],
    ] as const) {
      const pair = openPair()
      pair.clientTransport.peerIdentification = identification
      sendNoMoreSessions(pair.client)
      sendEndOfWrite(pair.client, pair.ours)
      expect(pair.clientTransport.outbox.length).toBe(count)
    }
  })
})

describe('tcpip-forward', () => {
  const listening: ForwardBinding[] = []
  const handlers = tcpipForwardHandlers({
    async listen(binding) {
      if (binding.port === 22) throw new Error('privileged')
      listening.push(binding)
      return binding.port || 40_000
    },
    async cancel(binding) {
      const index = listening.findIndex(each => each.address === binding.address)
      if (index < 0) throw new Error('not listening')
      listening.splice(index, 1)
    },
  })

  it('asks, learns the port when the server chose it, and cancels', async () => {
    const pair = fakePair({}, { globalRequests: new Map(handlers) })
    const asked = Promise.all([
      requestTcpipForward(pair.client, { address: 'localhost', port: 0 }),
      requestTcpipForward(pair.client, { address: '', port: 8080 }),
      requestTcpipForward(pair.client, { address: '', port: 22 }).catch((error: RequestError) => error.code),
    ])
    await pair.settle()
    expect(await asked).toEqual([40_000, 8080, 'refused'])
    expect(listening).toEqual([
      { address: 'localhost', port: 0 },
      { address: '', port: 8080 },
    ])
    const cancelled = Promise.all([
      cancelTcpipForward(pair.client, { address: 'localhost', port: 40_000 }),
      cancelTcpipForward(pair.client, { address: 'elsewhere', port: 1 }).catch((error: RequestError) => error.code),
    ])
    await pair.settle()
    expect((await cancelled)[1]).toBe('refused')
    expect(listening).toEqual([{ address: '', port: 8080 }])
  })

  it('is malformed with a port that does not exist or a NUL in the address', () => {
    for (const [address, port] of [
      ['', 65536],
      ['a\0b', 1],
    ] as const) {
      const pair = fakePair({}, { globalRequests: new Map(handlers) })
      requestTcpipForward(pair.client, { address, port }).catch(() => {})
      pair.pump()
      expect(pair.serverTransport.failure).toMatchObject({ code: 'malformed-message' })
    }
  })
})

it('streamlocal-forward@openssh.com asks and cancels', async () => {
  const events: string[] = []
  const handlers = streamlocalForwardHandlers({
    listen: async path => void events.push(`listen ${path}`),
    cancel: () => Promise.reject(new Error('unknown')),
  })
  const pair = fakePair({}, { globalRequests: new Map(handlers) })
  const asked = requestStreamlocalForward(pair.client, '/tmp/s')
  const cancelled = cancelStreamlocalForward(pair.client, '/tmp/s').catch((error: RequestError) => error.code)
  await pair.settle()
  await asked
  expect(await cancelled).toBe('refused')
  expect(events).toEqual(['listen /tmp/s'])
})

describe('host key rotation', () => {
  const ed25519 = keySigner(generateKey('ed25519'))
  const ecdsa = keySigner(generateKey('ecdsa'))
  const rsa = keySigner(generateKey('rsa', 2048))
  const stranger = keySigner(generateKey('ed25519'))

  it('announces keys and proves them', async () => {
    const signers = [ed25519, ecdsa, rsa]
    const heard: Buffer[][] = []
    const pair = fakePair(
      { globalRequests: new Map([['hostkeys-00@openssh.com', hearHostKeys(blobs => void heard.push(blobs))]]) },
      { globalRequests: new Map([['hostkeys-prove-00@openssh.com', proveHostKeys(signers)]]) },
    )
    announceHostKeys(
      pair.server,
      signers.map(signer => signer.blob),
    )
    await pair.settle()
    expect(heard).toEqual([signers.map(signer => signer.blob)])
    const proven = requestHostKeyProofs(
      pair.client,
      signers.map(signer => signer.publicKey),
    )
    await pair.settle()
    await proven
  })

  it('accepts from an RSA key only the algorithm of the key exchange, if that was RSA', async () => {
    for (const [ours, theirs, good] of [
      ['rsa-sha2-256', 'rsa-sha2-256', true],
      ['rsa-sha2-512', 'rsa-sha2-256', false],
      ['ssh-ed25519', 'rsa-sha2-256', true],
      ['ssh-ed25519', 'ssh-ed25519', true],
    ] as const) {
      const pair = fakePair({}, { globalRequests: new Map([['hostkeys-prove-00@openssh.com', proveHostKeys([rsa])]]) })
      pair.clientTransport.negotiated = { ...pair.clientTransport.negotiated, hostKey: ours }
      pair.serverTransport.negotiated = { ...pair.serverTransport.negotiated, hostKey: theirs }
      const proven = requestHostKeyProofs(pair.client, [rsa.publicKey]).then(
        () => true,
        (error: unknown) => error instanceof KeyError && error.code === 'bad-signature' && false,
      )
      await pair.settle()
      expect(await proven).toBe(good)
    }
  })

  it('believes no proof of another session, another key, or in another order', async () => {
    const prove = async (
      asked: (typeof rsa)[],
      proving: (typeof rsa)[],
      change: (pair: ReturnType<typeof fakePair>) => void,
    ) => {
      const lying = proveHostKeys(
        asked.map((signer, index) => ({ ...signer, blob: signer.blob, sign: proving[index]!.sign })),
      )
      const pair = fakePair({}, { globalRequests: new Map([['hostkeys-prove-00@openssh.com', lying]]) })
      change(pair)
      const proven = requestHostKeyProofs(
        pair.client,
        asked.map(signer => signer.publicKey),
      ).then(
        () => 'proven',
        (error: KeyError | RequestError) => error.code,
      )
      await pair.settle()
      return proven
    }
    expect(await prove([ed25519], [ed25519], () => {})).toBe('proven')
    expect(await prove([ed25519], [stranger], () => {})).toBe('bad-signature')
    expect(await prove([ed25519, stranger], [stranger, ed25519], () => {})).toBe('bad-signature')
    expect(await prove([ed25519], [ed25519], pair => pair.clientTransport.sessionId.fill(9))).toBe('bad-signature')
  })

  it('signs nothing for keys that are not its own, and nothing at all when one is not', async () => {
    const pair = fakePair(
      {},
      { globalRequests: new Map([['hostkeys-prove-00@openssh.com', proveHostKeys([ed25519])]]) },
    )
    const refused = requestHostKeyProofs(pair.client, [ed25519.publicKey, stranger.publicKey]).catch(
      (error: RequestError) => error.code,
    )
    const empty = pair.client.globalRequest('hostkeys-prove-00@openssh.com').catch((error: RequestError) => error.code)
    await pair.settle()
    expect(await Promise.all([refused, empty])).toEqual(['refused', 'refused'])
  })

  it('hears no more than 64 keys', async () => {
    const heard: Buffer[][] = []
    const handler = hearHostKeys(blobs => void heard.push(blobs))
    const pair = fakePair({ globalRequests: new Map([['hostkeys-00@openssh.com', handler]]) })
    pair.server.globalNotify('hostkeys-00@openssh.com', writer => {
      for (let count = 0; count < 1000; count++) writer.string(ed25519.blob)
    })
    pair.pump()
    expect(heard[0]!.length).toBe(64)
  })
})
