import { createECDH, createHash, createPublicKey, diffieHellman, generateKeyPairSync, randomBytes } from 'node:crypto'
import { shake128 } from '@noble/hashes/sha3.js'
import { ml_kem768, ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { allKex } from '../../lib/algorithms/kex/index.ts'
import { type Kem, mlkem768, mlkem768With, mlkem1024, mlkem1024With } from '../../lib/crypto/mlkem.ts'
import { sntrup761 } from '../../lib/crypto/sntrup761.ts'
import type { Exchange } from '../../lib/wire/exchange.ts'
import { encode } from '../../lib/wire/writer.ts'

/**
 * One SHAKE128 stream gives the seeds of keys and messages, another takes every output: the test of Go's crypto/mlkem,
 * whose reference is the C implementation of pq-crystals.
 */
function accumulated(kemWith: typeof mlkem768With, rounds: number): string {
  const source = shake128.create({})
  const sink = shake128.create({})
  const kem = kemWith(length => Buffer.from(source.xof(length)))
  for (let i = 0; i < rounds; i++) {
    const key = kem.generate()
    const { ciphertext, sharedSecret } = kem.encapsulate(key.publicKey)!
    expect(key.decapsulate(ciphertext)).toEqual(sharedSecret)
    const rejected = key.decapsulate(Buffer.from(source.xof(kem.ciphertextLength)))
    for (const output of [key.publicKey, ciphertext, sharedSecret, rejected]) sink.update(output)
  }
  return Buffer.from(sink.xof(32)).toString('hex')
}

test('ML-KEM-768 gives what other implementations give', () => {
  expect(accumulated(mlkem768With, 100)).toBe('1114b1b6699ed191734fa339376afa7e285c9e6acf6ff0177d346696ce564415')
})

test('ML-KEM-1024 gives what other implementations give', () => {
  expect(accumulated(mlkem1024With, 100)).toMatch(/^800018fe.*ac00$/)
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

test('leaves nothing in the memory of WebAssembly, and nothing of a key that was wiped', async () => {
  type Instance = { readonly exports: { readonly memory: { readonly buffer: ArrayBuffer } } }
  type Constructors = { readonly Module: object; readonly Instance: new (module: object) => Instance }
  const { WebAssembly } = globalThis as unknown as { WebAssembly: Constructors }
  let memory = Buffer.alloc(0)
  let fresh = memory
  const Instance = new Proxy(WebAssembly.Instance, {
    construct(target, [module]: [object]) {
      const made = new target(module)
      memory = Buffer.from(made.exports.memory.buffer)
      fresh = Buffer.from(memory)
      return made
    },
  })
  vi.stubGlobal('WebAssembly', { Module: WebAssembly.Module, Instance })
  vi.resetModules()
  const { mlkem768With: kemWith } = await import('../../lib/crypto/mlkem.ts')
  const drawn: Buffer[] = []
  const kem = kemWith(length => {
    drawn.push(randomBytes(length))
    return drawn.at(-1)!
  })
  const key = kem.generate()
  expect(memory.length).toBeGreaterThan(0)
  expect(memory.equals(fresh)).toBe(true)
  const { ciphertext, sharedSecret } = kem.encapsulate(key.publicKey)!
  expect(memory.equals(fresh)).toBe(true)
  expect(key.decapsulate(ciphertext)).toEqual(sharedSecret)
  expect(memory.equals(fresh)).toBe(true)
  key.wipe()
  for (const bytes of drawn) expect(bytes).toEqual(Buffer.alloc(bytes.length))
  expect(key.decapsulate(ciphertext)).not.toEqual(sharedSecret)
})

test('without WebAssembly it is the same, slower', async () => {
  vi.stubGlobal('WebAssembly', undefined)
  vi.resetModules()
  const slow = await import('../../lib/crypto/mlkem.ts')
  for (const [ours, other] of [
    [mlkem768, slow.mlkem768],
    [mlkem1024, slow.mlkem1024],
  ] as const) {
    const key = other.generate()
    const there = ours.encapsulate(key.publicKey)!
    expect(key.decapsulate(there.ciphertext)).toEqual(there.sharedSecret)
    const back = other.encapsulate(ours.generate().publicKey)!
    expect(back.ciphertext).toHaveLength(ours.ciphertextLength)
  }
})

describe.each([
  { name: 'ML-KEM-768', ours: mlkem768, other: ml_kem768 },
  { name: 'ML-KEM-1024', ours: mlkem1024, other: ml_kem1024 },
])('our $name', ({ ours, other }) => {
  test('shares secrets with noble, whichever side it is', () => {
    const key = ours.generate()
    const { cipherText, sharedSecret } = other.encapsulate(key.publicKey)
    expect(key.decapsulate(Buffer.from(cipherText))).toEqual(Buffer.from(sharedSecret))
    const { publicKey, secretKey } = other.keygen()
    const answer = ours.encapsulate(Buffer.from(publicKey))!
    expect(Buffer.from(other.decapsulate(answer.ciphertext, secretKey))).toEqual(answer.sharedSecret)
    expect(key.publicKey).toHaveLength(ours.publicKeyLength)
    expect(answer.ciphertext).toHaveLength(ours.ciphertextLength)
  })

  test('refuses a key with a coefficient above the modulus, and one of another length', () => {
    const { publicKey } = ours.generate()
    const wrong = Buffer.from(publicKey)
    wrong.writeUInt16LE(0xffff, 0)
    expect(ours.encapsulate(wrong)).toBeUndefined()
    expect(ours.encapsulate(publicKey.subarray(1))).toBeUndefined()
  })

  test('gives a secret that nobody has for a ciphertext that was changed', () => {
    const key = ours.generate()
    const { ciphertext, sharedSecret } = ours.encapsulate(key.publicKey)!
    ciphertext[7]! ^= 1
    expect(key.decapsulate(ciphertext)).not.toEqual(sharedSecret)
  })
})

/** The server's half of a curve, computed here from the draft. */
function respondX25519(client: Buffer): { publicValue: Buffer; shared: Buffer } {
  const { publicKey, privateKey } = generateKeyPairSync('x25519')
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  const peer = createPublicKey({ key: Buffer.concat([spki.subarray(0, -32), client]), format: 'der', type: 'spki' })
  return { publicValue: spki.subarray(-32), shared: diffieHellman({ privateKey, publicKey: peer }) }
}

function respondEcdh(curve: string, client: Buffer): { publicValue: Buffer; shared: Buffer } {
  const ecdh = createECDH(curve)
  return { publicValue: ecdh.generateKeys(), shared: ecdh.computeSecret(client) }
}

const hybrids: readonly [
  string,
  Kem,
  typeof ml_kem768,
  string,
  (client: Buffer) => ReturnType<typeof respondX25519>,
][] = [
  ['mlkem768x25519-sha256', mlkem768, ml_kem768, 'sha256', respondX25519],
  ['mlkem768nistp256-sha256', mlkem768, ml_kem768, 'sha256', client => respondEcdh('prime256v1', client)],
  ['mlkem1024nistp384-sha384', mlkem1024, ml_kem1024, 'sha384', client => respondEcdh('secp384r1', client)],
]

/** draft-ietf-sshm-mlkem-hybrid-kex §2.4: C_INIT = pk2 || pk1, S_REPLY = ct2 || pk1, K = HASH(K_PQ || K_CL). */
describe('a hybrid exchange', () => {
  test.each(hybrids)(
    '%s joins both secrets as the draft says',
    async (name, { publicKeyLength }, other, hash, respond) => {
      let secret: Buffer | undefined
      let reply: Buffer | undefined
      const exchange = {
        send(_message: unknown, { clientPublic }: { clientPublic: Buffer }) {
          const { cipherText, sharedSecret } = other.encapsulate(clientPublic.subarray(0, publicKeyLength))
          const { publicValue, shared } = respond(clientPublic.subarray(publicKeyLength))
          secret = createHash(hash).update(sharedSecret).update(shared).digest()
          reply = Buffer.concat([cipherText, publicValue])
        },
        receive: async () => ({ hostKey: Buffer.of(1), serverPublic: reply, signature: Buffer.of(2) }),
      } as unknown as Exchange
      const method = allKex.find(each => each.name === name)!
      const { sharedSecret } = await method.client(exchange, 256)
      expect(sharedSecret).toEqual(encode(writer => writer.string(secret!)))
    },
  )

  const withCurve25519 = [
    ['mlkem768x25519-sha256', mlkem768],
    ['sntrup761x25519-sha512', sntrup761],
  ] as const
  test.each(withCurve25519)('%s refuses a point of small order on either side', async (name, kem) => {
    const good = kem.generate().publicKey
    const encapsulated = kem.encapsulate(good)!
    const exchange = {
      send() {},
      receive: async () => ({
        hostKey: Buffer.of(1),
        serverPublic: Buffer.concat([encapsulated.ciphertext, Buffer.alloc(32)]),
        signature: Buffer.of(2),
        clientPublic: Buffer.concat([good, Buffer.alloc(32)]),
      }),
    } as unknown as Exchange
    const method = allKex.find(each => each.name === name)!
    await expect(method.client(exchange, 256)).rejects.toMatchObject({ code: 'key-exchange-failed' })
    const host = { hostKey: Buffer.of(1), sign: async () => Buffer.of(2) }
    await expect(method.server(exchange, host, 256)).rejects.toMatchObject({ code: 'key-exchange-failed' })
  })

  test.each(hybrids)('%s refuses values of other lengths', async name => {
    const exchange = {
      send() {},
      receive: async () => ({
        hostKey: Buffer.of(1),
        serverPublic: Buffer.alloc(1),
        signature: Buffer.of(2),
        clientPublic: Buffer.alloc(3),
      }),
    } as unknown as Exchange
    const method = allKex.find(each => each.name === name)!
    await expect(method.client(exchange, 256)).rejects.toMatchObject({ code: 'key-exchange-failed' })
    const host = { hostKey: Buffer.of(1), sign: async () => Buffer.of(2) }
    await expect(method.server(exchange, host, 256)).rejects.toMatchObject({ code: 'key-exchange-failed' })
  })
})
