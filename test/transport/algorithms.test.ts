import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { CipherAlgorithm } from '../../lib/algorithms/cipher.ts'
import { type Algorithms, allAlgorithms } from '../../lib/algorithms/index.ts'
import type { MacAlgorithm } from '../../lib/algorithms/mac.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { keySigner, type Signer } from '../../lib/keys/signer.ts'
import { deriveKey } from '../../lib/transport/key-exchange.ts'
import { createTransport } from '../../lib/transport/ssh-transport.ts'
import {
  type Chunking,
  recordingSide,
  single,
  straddling,
  transportPair,
  until,
  whole,
} from '../support/transport-pair.ts'

const signers: Signer[] = [
  generateKey('ed25519'),
  generateKey('ecdsa', 256),
  generateKey('ecdsa', 384),
  generateKey('ecdsa', 521),
  generateKey('rsa', 2048),
].map(key => keySigner(key))

const { kex, cipher, mac, compression, hostKey } = allAlgorithms
const quickest = kex.find(({ name }) => name === 'curve25519-sha256') ?? kex[0]!
const none = compression.filter(({ name }) => name === 'none')

function only(part: Partial<Algorithms>): Algorithms {
  return { ...allAlgorithms, kex: [quickest], hostKey: ['ssh-ed25519'], compression: none, ...part }
}

/** Groups for DH group exchange: group 14 (RFC 3526) as the server's only one. */
const group14 = Buffer.from(
  'ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b' +
    '302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe6' +
    '49286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d' +
    '670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718' +
    '3995497cea956ae515d2261898fa051015728e5a8aacaa68ffffffffffffffff',
  'hex',
)

/** Opens a pair, sends messages of many sizes both ways, exchanges keys in the middle, and compares. */
async function converse(algorithms: Algorithms, chunking: Chunking): Promise<void> {
  const pair = transportPair({
    chunking,
    client: { algorithms },
    server: { algorithms, hostKeys: signers, chooseGroup: () => ({ p: group14, g: Buffer.from([2]) }) },
  })
  await pair.opened
  const { client, server } = pair
  expect([client.error, server.error]).toEqual([undefined, undefined])
  // EXT_INFO is not compressed, so it must have arrived before compression starts.
  await until(() => client.transport.peerExtensions.size > 0 && server.transport.peerExtensions.size > 0)
  pair.authenticate()
  const payloads = [1, 2, 15, 16, 17, 100, 1000, 5000].map(size => Buffer.alloc(size, 80 + (size % 40)))
  for (const round of [1, 2]) {
    for (const payload of payloads) {
      for (const { transport } of [client, server]) {
        transport.begin().bytes(payload)
        transport.commit()
      }
    }
    if (round === 1) client.transport.rekey()
  }
  await until(() => server.transport.statistics.rekeys === 1 && client.received.length + server.received.length === 32)
  for (const { received, error } of [client, server]) {
    expect(received.map(({ payload }) => payload)).toEqual([...payloads, ...payloads])
    expect(error).toBeUndefined()
  }
}

// All pairs are tried without a handshake in test/algorithms/packets.test.ts.
describe('every cipher and every MAC in a session', () => {
  const named = <T extends { readonly name: string }>(list: readonly T[], name: string): T =>
    list.find(each => each.name === name)!
  const [behind, before] = [named(mac, 'umac-64-etm@openssh.com'), named(mac, 'hmac-sha2-256')]
  const suites: [CipherAlgorithm, MacAlgorithm | undefined][] = [
    ...cipher.flatMap((each): [CipherAlgorithm, MacAlgorithm | undefined][] =>
      each.authenticated
        ? [[each, undefined]]
        : [
            [each, behind],
            [each, before],
          ],
    ),
    ...mac.map((each): [CipherAlgorithm, MacAlgorithm] => [named(cipher, 'aes128-ctr'), each]),
  ]
  for (const [candidate, each] of suites) {
    it(`${candidate.name}${each ? ` ${each.name}` : ''}`, async () => {
      await converse(only({ cipher: [candidate], mac: each ? [each] : mac }), straddling)
    })
  }

  for (const name of ['aes128-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes128-ctr', 'aes128-cbc']) {
    it(`${name} in one piece and byte by byte`, async () => {
      for (const chunking of [whole, single]) await converse(only({ cipher: [named(cipher, name)] }), chunking)
    })
  }
})

describe('every compression, in chunks of all kinds', () => {
  for (const each of compression) {
    it(each.name, async () => {
      for (const chunking of [whole, single, straddling]) await converse(only({ compression: [each] }), chunking)
    })
  }
})

describe('every key exchange method', () => {
  for (const method of kex) {
    it(method.name, async () => {
      await converse(only({ kex: [method] }), straddling)
    }, 20_000)
  }
})

describe('every host key algorithm of a plain key', () => {
  for (const name of hostKey.filter(each => signers.some(({ algorithms }) => algorithms.includes(each)))) {
    it(name, async () => {
      await converse(only({ hostKey: [name] }), whole)
    })
  }

  it('of which a server without a key says so at once', () => {
    const { handlers } = recordingSide(() => true)
    const options = { role: 'server', algorithms: only({}), softwareVersion: 'x', signatureAlgorithms: [] } as const
    expect(() => createTransport({ ...options, hostKeys: [], handlers })).toThrow('no host key')
  })

  it('with an RSA key below the required size ends the connection', async () => {
    const algorithms = only({ hostKey: ['rsa-sha2-512'] })
    const { client } = transportPair({
      client: { algorithms, requiredRsaBits: 2049 },
      server: { algorithms, hostKeys: signers },
    })
    expect(await client.closed).toMatchObject({ code: 'weak' })
  })

  it('must be the one of the key that is shown and of its signature', async () => {
    const [ed25519, ecdsa] = signers
    for (const liar of [
      // Shows an ECDSA key where Ed25519 was negotiated.
      { ...ecdsa!, algorithms: ['ssh-ed25519'], sign: (data: Buffer) => ecdsa!.sign(data, 'ecdsa-sha2-nistp256') },
      // Shows the right key, and signs with another.
      { ...ed25519!, sign: (data: Buffer) => ecdsa!.sign(data, 'ecdsa-sha2-nistp256') },
    ]) {
      const { client } = transportPair({ client: { algorithms: only({}) }, hostKey: liar })
      expect((await client.closed) as Error & { code: string }).toMatchObject({
        code: expect.stringMatching(/^(key-exchange-failed|bad-signature)$/),
      })
    }
  })

  it('is not rsa-sha2-512 when the signature says rsa-sha2-256 or ssh-rsa', async () => {
    const rsa = signers.at(-1)!
    for (const label of ['rsa-sha2-256', 'ssh-rsa']) {
      const algorithms = only({ hostKey: ['rsa-sha2-512'] })
      const liar = { ...rsa, algorithms: ['rsa-sha2-512'], sign: (data: Buffer) => rsa.sign(data, label) }
      const { client } = transportPair({ client: { algorithms }, server: { algorithms }, hostKey: liar })
      expect(await client.closed).toMatchObject({ code: 'bad-signature' })
    }
  })
})

describe('the keys of a connection', () => {
  const sha256 = (...parts: Buffer[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest()

  it('are K1 || K2 || K3 of RFC 4253 §7.2', () => {
    const [k, h, id] = ['secret', 'hash', 'session'].map(text => Buffer.from(text)) as [Buffer, Buffer, Buffer]
    const k1 = sha256(k, h, Buffer.from('C'), id)
    const k2 = sha256(k, h, k1)
    const k3 = sha256(k, h, k1, k2)
    const all = Buffer.concat([k1, k2, k3])
    for (const length of [0, 12, 32, 33, 64, 80]) {
      expect(deriveKey('sha256', k, h, 'C', id, length)).toEqual(all.subarray(0, length))
    }
  })
})
