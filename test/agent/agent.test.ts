import { describe, expect, test } from 'vitest'
import { AgentClient } from '../../lib/agent/client.ts'
import type { KeyConstraints } from '../../lib/agent/constraints.ts'
import { messageLimit } from '../../lib/agent/messages.ts'
import { AgentError } from '../../lib/errors.ts'
import { certificateAlgorithmOf } from '../../lib/keys/algorithms.ts'
import { issueCertificate } from '../../lib/keys/certificate-issue.ts'
import { type GeneratedKind, generateKey, PrivateKey } from '../../lib/keys/private-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { encode } from '../../lib/wire/writer.ts'
import { securityKeyNumbers } from '../support/security-key.ts'
import { startAgent } from './helpers.ts'

const data = Buffer.from('what is signed')
const kinds: readonly [GeneratedKind, number?][] = [
  ['ed25519'],
  ['ecdsa', 256],
  ['ecdsa', 384],
  ['ecdsa', 521],
  ['rsa', 2048],
  ['ed448'],
  ['mldsa44-ed25519'],
]
/** The agent disposes what it holds; it reads a copy off the wire anyway. */
const fresh = (): PrivateKey => generateKey('ed25519', undefined, 'comment')

describe('keys', () => {
  test.each(kinds)('%s %s: added, listed, signing, removed; alone and under a certificate', async (kind, bits) => {
    const client = startAgent().connect()
    const key = generateKey(kind, bits)
    const { publicKey } = key
    await client.add(key, 'plain')
    const authority = generateKey('ed25519')
    const request = { publicKey, kind: 'user' as const, keyId: 'id', principals: ['u'] }
    const certificate = await issueCertificate(request, keySigner(authority))
    await client.add(key, 'certified', {}, certificate)

    const listed = await client.list()
    expect(listed.map(({ comment, blob }) => [comment, blob])).toEqual([
      ['plain', publicKey.blob],
      ['certified', certificate.blob],
    ])
    const [plain, certified] = await client.signers()
    expect(certified!.algorithms).toContain(certificateAlgorithmOf(publicKey.algorithms[0]!))
    for (const signer of [plain!, certified!]) {
      expect(publicKey.verify(data, await signer.sign(data, signer.algorithms[0]!))).toBe(true)
    }
    await client.remove(publicKey.blob)
    expect((await client.list()).map(({ comment }) => comment)).toEqual(['certified'])
    await client.removeAll()
    expect(await client.list()).toEqual([])
    await expect(client.sign(publicKey.blob, data, publicKey.algorithms[0]!)).rejects.toThrow('refused')
  })

  test('flags choose the hash of an RSA signature', async () => {
    const client = startAgent().connect()
    const key = generateKey('rsa', 2048)
    await client.add(key, '')
    for (const name of ['rsa-sha2-256', 'rsa-sha2-512', 'ssh-rsa']) {
      const signature = await client.sign(key.publicKey.blob, data, name)
      expect(key.publicKey.verify(data, signature, name), name).toBe(true)
    }
  })

  test('a key added again keeps its place and takes the new comment and constraints', async () => {
    const agent = startAgent()
    const client = agent.connect()
    const [first, second] = [fresh(), fresh()]
    await client.add(first, 'old', { lifetime: 10 })
    await client.add(second, 'second')
    await client.add(first, 'new')
    agent.clock.advance(60)
    expect((await client.list()).map(({ comment }) => comment)).toEqual(['new', 'second'])
    expect(await client.sign(first.publicKey.blob, data, 'ssh-ed25519')).toBeInstanceOf(Buffer)
  })

  test('secrets are wiped when a key goes', async () => {
    const { keyring } = startAgent()
    for (const forget of [
      (key: PrivateKey) => keyring.remove(key.publicKey.blob),
      () => keyring.removeAll(),
      () => keyring.lock(Buffer.from('x')),
    ]) {
      const key = fresh()
      const { numbers } = key
      keyring.add(key, undefined, '', {})
      forget(key)
      expect('seed' in numbers && numbers.seed.every(byte => byte === 0)).toBe(true)
      expect(() => key.numbers).toThrow('wiped')
    }
  })

  test('no more keys than it can hold', async () => {
    const agent = startAgent()
    const client = agent.connect()
    const key = fresh()
    const request = { publicKey: key.publicKey, kind: 'user', keyId: 'id', principals: ['u'] } as const
    const certificate = await issueCertificate(request, keySigner(key))
    // One secret under many names: 2048 real keys would take seconds.
    for (let i = 0; i < 2048; i++) agent.keyring.add(key, { ...certificate, blob: Buffer.from(`${i}`) }, '', {})
    await expect(client.add(fresh(), 'one more')).rejects.toThrow(AgentError)
    expect(agent.keyring.list()).toHaveLength(2048)
  })
})

describe('constraints', () => {
  test('a lifetime ends by itself, and while nobody asks', async () => {
    const agent = startAgent()
    const client = agent.connect()
    const [short, long] = [fresh(), fresh()]
    await client.add(short, 'short', { lifetime: 30 })
    await client.add(long, 'long', { lifetime: 7000 })
    expect(agent.clock.waiting).toEqual([30])
    agent.clock.advance(29)
    expect(await client.list()).toHaveLength(2)
    agent.clock.advance(1)
    expect((await client.list()).map(({ comment }) => comment)).toEqual(['long'])
    // A timer that stood still while the machine slept is asked again soon.
    expect(agent.clock.waiting).toEqual([60])
    agent.clock.time += 7000
    await expect(client.sign(long.publicKey.blob, data, 'ssh-ed25519')).rejects.toThrow('refused')
    expect(agent.clock.waiting).toEqual([])
  })

  test("the agent's own lifetime counts for keys that come without one", async () => {
    const agent = startAgent({ lifetime: 100 })
    const client = agent.connect()
    await client.add(fresh(), 'own')
    await client.add(fresh(), 'given', { lifetime: 200 })
    agent.clock.advance(150)
    expect((await client.list()).map(({ comment }) => comment)).toEqual(['given'])
  })

  test('the user confirms each signature', async () => {
    const agent = startAgent()
    const client = agent.connect()
    const key = fresh()
    await client.add(key, 'ask me', { confirm: true })
    expect(await client.sign(key.publicKey.blob, data, 'ssh-ed25519')).toBeInstanceOf(Buffer)
    agent.answer = false
    await expect(client.sign(key.publicKey.blob, data, 'ssh-ed25519')).rejects.toThrow('refused')
    expect(agent.questions.map(({ comment }) => comment)).toEqual(['ask me', 'ask me'])
  })

  test('a key removed or locked away while the user thinks does not sign', async () => {
    for (const forget of ['removeAll', 'lock'] as const) {
      let decide: (answer: boolean) => void = () => {}
      const agent = startAgent({
        confirm: () =>
          new Promise(resolve => {
            decide = resolve
          }),
      })
      const [asker, other] = [agent.connect(), agent.connect()]
      const key = fresh()
      await asker.add(key, '', { confirm: true })
      const signature = asker.sign(key.publicKey.blob, data, 'ssh-ed25519')
      await (forget === 'lock' ? other.lock('x') : other.removeAll())
      decide(true)
      await expect(signature).rejects.toThrow('refused')
    }
  })

  test('requests behind a question wait for it, in order; other connections do not', async () => {
    let decide: (answer: boolean) => void = () => {}
    const agent = startAgent({
      confirm: () =>
        new Promise(resolve => {
          decide = resolve
        }),
    })
    const [asker, other] = [agent.connect(), agent.connect()]
    const key = fresh()
    await asker.add(key, 'k', { confirm: true })
    const order: string[] = []
    const signing = asker.sign(key.publicKey.blob, data, 'ssh-ed25519').then(() => order.push('signed'))
    const listing = asker.list().then(() => order.push('listed'))
    await other.list()
    order.push('other')
    decide(true)
    await Promise.all([signing, listing])
    expect(order).toEqual(['other', 'signed', 'listed'])
  })

  test.each([
    ['an unknown constraint', Buffer.from([7])],
    ['an unknown extension', encode(writer => writer.byte(255).text('x@example.org').text(''))],
    ['a lifetime twice', encode(writer => writer.byte(1).uint32(9).byte(1).uint32(9))],
    ['a cut lifetime', Buffer.from([1, 0])],
    [
      'certificates for a token',
      encode(w => w.byte(255).text('associated-certs-v00@openssh.com').boolean(false).text('')),
    ],
    ['a provider of security keys', encode(w => w.byte(255).text('sk-provider@openssh.com').text('internal'))],
  ])('%s: the key is refused, not held with less', async (_name, constraint) => {
    const agent = startAgent()
    const client = agent.connect()
    const key = fresh()
    const message = encode(writer => {
      writer.byte(25).text('ssh-ed25519')
      key.family.writePrivate(writer, key.numbers)
      writer.text('').bytes(constraint)
    })
    client.raw.send(encode(writer => writer.string(message)))
    expect(client.raw.received.at(-1)).toEqual(Buffer.from([0, 0, 0, 1, 5]))
    expect(await client.list()).toEqual([])
  })

  test('tokens and security keys are refused, with a reason in the log', async () => {
    const agent = startAgent()
    const client = agent.connect()
    await expect(client.addToken('/usr/lib/x.so', '1234', { lifetime: 5 })).rejects.toThrow('refused')
    await expect(client.removeToken('/usr/lib/x.so')).rejects.toThrow('refused')
    expect(agent.lines.join('\n')).toContain('PKCS#11')
    const numbers = securityKeyNumbers()
    const constraints: KeyConstraints = { securityKeyProvider: 'internal' }
    await expect(client.add(new PrivateKey(numbers), 'sk', constraints)).rejects.toThrow('refused')
    expect(agent.lines.join('\n')).toContain('security key')
  })
})

describe('lock', () => {
  test('nothing is shown and nothing done until the passphrase comes', async () => {
    const client = startAgent().connect()
    const keys = kinds.map(([kind, bits]) => generateKey(kind, bits))
    for (const key of keys) await client.add(key, 'k')
    await client.lock('secret')
    expect(await client.list()).toEqual([])
    await expect(client.sign(keys[0]!.publicKey.blob, data, 'ssh-ed25519')).rejects.toThrow('refused')
    await expect(client.add(fresh(), '')).rejects.toThrow('refused')
    await expect(client.removeAll()).rejects.toThrow('refused')
    await expect(client.lock('other')).rejects.toThrow('refused')
    await expect(client.extensions()).rejects.toThrow('refused')
    await client.unlock('secret')
    expect(await client.list()).toHaveLength(keys.length)
    for (const { publicKey } of keys) {
      const signature = await client.sign(publicKey.blob, data, publicKey.algorithms[0]!)
      expect(publicKey.verify(data, signature), publicKey.type).toBe(true)
    }
    await expect(client.unlock('secret')).rejects.toThrow('refused')
  })

  test('a wrong passphrase costs more time each time, over many connections too', async () => {
    const agent = startAgent()
    const clients = [agent.connect(), agent.connect(), agent.connect()]
    await clients[0]!.lock('right')
    const results: string[] = []
    const attempts = clients.map((client, i) =>
      client.unlock('wrong').catch(() => {
        results.push(`refused ${i} at ${(agent.clock.time - 1000).toFixed(1)}`)
      }),
    )
    for (let i = 0; i < 3; i++) {
      await expect.poll(() => agent.clock.waiting.length).toBe(1)
      agent.clock.advance(agent.clock.waiting[0]!)
    }
    await Promise.all(attempts)
    expect(results).toEqual(['refused 0 at 0.1', 'refused 1 at 0.3', 'refused 2 at 0.6'])
    await clients[2]!.unlock('right')
  })

  test('keys that expire while locked stay away', async () => {
    const agent = startAgent()
    const client = agent.connect()
    await client.add(fresh(), 'short', { lifetime: 10 })
    await client.add(fresh(), 'long')
    await client.lock('x')
    agent.clock.advance(11)
    await client.unlock('x')
    expect((await client.list()).map(({ comment }) => comment)).toEqual(['long'])
  })

  test('an empty passphrase does not lock', async () => {
    const client = startAgent().connect()
    await expect(client.lock('')).rejects.toThrow('refused')
  })
})

describe('messages', () => {
  test('extensions', async () => {
    expect(await startAgent().connect().extensions()).toEqual(['session-bind@openssh.com'])
  })

  test('any chunking', async () => {
    const client = startAgent().connect()
    const list = Buffer.from([0, 0, 0, 1, 11])
    const many = Buffer.concat([list, list, list])
    const empty = Buffer.from([0, 0, 0, 5, 12, 0, 0, 0, 0])
    for (const byte of many) client.raw.send(Buffer.of(byte))
    client.raw.send(many)
    client.raw.send(many.subarray(0, 7))
    client.raw.send(many.subarray(7))
    expect(Buffer.concat(client.raw.received)).toEqual(Buffer.concat(Array.from({ length: 9 }, () => empty)))
  })

  test('a message of impossible length ends its connection only', async () => {
    const agent = startAgent()
    const good = agent.connect()
    for (const length of [0, messageLimit + 1, 0xffff_ffff]) {
      const { raw } = agent.connect()
      raw.send(encode(writer => writer.uint32(length).byte(11)))
      expect(raw.isClosed).toBe(true)
    }
    expect(await good.list()).toEqual([])
  })

  test('the longest message is answered', async () => {
    const client = startAgent().connect()
    const key = fresh()
    await client.add(key, '')
    const overhead = 1 + 4 + key.publicKey.blob.length + 4 + 4
    const long = Buffer.alloc(messageLimit - overhead, 1)
    const signature = await client.sign(key.publicKey.blob, long, 'ssh-ed25519')
    expect(key.publicKey.verify(long, signature)).toBe(true)
  })

  test('a client treats an untyped success as no answer', async () => {
    const listing = new AgentClient(() => {})
    const list = listing.list()
    listing.receive(Buffer.from([0, 0, 0, 1, 6]))
    await expect(list).rejects.toThrow(AgentError)
  })

  test('10,000 damaged messages: each is answered or ends its connection, and the agent serves on', {
    timeout: 120_000,
  }, async () => {
    const agent = startAgent({ confirm: async () => false })
    const keeper = agent.connect()
    const key = fresh()
    await keeper.add(key, 'kept')
    const samples: Buffer[] = []
    const record = new AgentClient(bytes => samples.push(Buffer.from(bytes)))
    const other = generateKey('ecdsa', 256)
    const certificate = await issueCertificate(
      { publicKey: other.publicKey, kind: 'user', keyId: 'id', principals: ['u'] },
      keySigner(key),
    )
    const hop = { user: 'u', host: 'h', keys: [{ key: key.publicKey, isAuthority: false }] }
    const destinations = [{ from: { user: '', host: '', keys: [] }, to: hop }]
    void record.list()
    void record.sign(key.publicKey.blob, data, 'ssh-ed25519')
    void record.add(other, 'c', { lifetime: 5, confirm: true, destinations })
    void record.add(other, 'c', {}, certificate)
    void record.unlock('not locked')
    void record.remove(other.publicKey.blob)
    void record.extensions()
    void record.bindSession({
      hostKey: key.publicKey.blob,
      sessionId: data,
      signature: key.sign(data, 'ssh-ed25519'),
      forwarding: true,
    })
    void record.addToken('p', 'pin', { lifetime: 4 })
    // Costly to read, so that they come seldom.
    const cheap = samples.length
    const more = [generateKey('rsa', 1024), generateKey('dsa'), generateKey('ed448'), generateKey('mldsa44-ed25519')]
    for (const each of more) {
      void record.add(each, 'c')
      const request = { publicKey: each.publicKey, kind: 'user', keyId: 'id', principals: ['u'] } as const
      void record.add(each, 'c', { lifetime: 9 }, await issueCertificate(request, keySigner(key)))
    }
    let state = 7
    const dice = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * limit)
    }
    let client = agent.connect()
    let answered = 0
    const before = process.resourceUsage().maxRSS
    for (let i = 0; i < 10_000; i++) {
      const bad = Buffer.from(samples[dice(dice(20) === 0 ? samples.length : cheap)]!)
      for (let n = 1 + dice(3); n > 0; n--) {
        // Not the number of the message, else most would be of no kind; keys that are removed are put back below.
        const at = 5 + dice(Math.max(1, bad.length - 5))
        if (at < bad.length) bad[at] = dice(3) === 0 ? 255 : dice(256)
      }
      client.raw.send(bad)
      answered += client.raw.received.splice(0).length
      if (client.raw.isClosed || i % 50 === 0) client = agent.connect()
      if (i % 500 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    expect(answered).toBeGreaterThan(9000)
    // KiB: a few of the longest messages, and garbage.
    expect(process.resourceUsage().maxRSS - before).toBeLessThan(300 * 1024)
    expect(await keeper.sign(key.publicKey.blob, data, 'ssh-ed25519')).toBeInstanceOf(Buffer)
    expect(agent.lines.filter(line => line.startsWith('internal error'))).toEqual([])
  })
})
