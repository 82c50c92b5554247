import { createCipheriv, createHash, randomBytes } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import type { RandomSource } from '../../lib/crypto/random.ts'
import { sntrup761, sntrup761With } from '../../lib/crypto/sntrup761.ts'
import { plainEncapsulate, plainGenerate } from '../support/plain-sntrup761.ts'

/** The generator behind NIST's test vectors: AES-256 in counter mode (SP 800-90A §10.2.1), made anew for each call. */
function nistGenerator(seed: Buffer): RandomSource {
  let key: Buffer = Buffer.alloc(32)
  let counter = Buffer.alloc(16)
  const block = (): Buffer => {
    // It never comes far enough to carry.
    counter.writeUInt32BE((counter.readUInt32BE(12) + 1) >>> 0, 12)
    return createCipheriv('aes-256-ecb', key, null).setAutoPadding(false).update(counter)
  }
  const renew = (mask?: Buffer): void => {
    const bytes = Buffer.concat([block(), block(), block()])
    for (const [i, byte] of (mask ?? Buffer.alloc(48)).entries()) bytes[i]! ^= byte
    key = bytes.subarray(0, 32)
    counter = bytes.subarray(32)
  }
  renew(seed)
  return size => {
    const blocks = Array.from({ length: Math.ceil(size / 16) }, block)
    renew()
    return Buffer.concat(blocks).subarray(0, size)
  }
}

/** The reference implementation draws each word by itself. */
const byWords =
  (source: RandomSource): RandomSource =>
  size =>
    size % 4 === 0 ? Buffer.concat(Array.from({ length: size / 4 }, () => source(4))) : source(size)

/** Bytes that follow from a number. */
function numbered(seed: number): RandomSource {
  let calls = 0
  return size => {
    const digest = createHash('shake256', { outputLength: size })
    return digest.update(`${seed} ${calls++}`).digest()
  }
}

describe('sntrup761', () => {
  // kat_kem.rsp of the submission (ntruprime-20201007), counts 0 and 1: the seed, SHA-256 of pk, sk and ct, and ss.
  test.each([
    [
      '061550234d158c5ec95595fe04ef7a25767f2e24cc2bc479d09d86dc9abcfde7056a8c266f9ef97ed08541dbd2e1ffa1',
      '200da6cd33c9228e63209297c6108c294346a87cb5cb0248fa9fc2235f327381',
      '344ca5e25f6da5ea95e4a695b1c5446eca9859334532e4a9537669f012c743a2',
    ],
    [
      'd81c4d8d734fcbfbeade3d3f8a039faa2a2c9957e835ad55b22e75bf57bb556ac81adde6aeeb4a5a875c3bfcadfa958f',
      '1370e1710fdd795f8625d90662b7759c0d6be5299b6a095bc9b2feb81428c92f',
      '16c15126f734e51268ba916ce3b39a72e171ae79b8c2b6a68b34ab0dc5621b7e',
    ],
  ])('gives what the test vectors of its submission say from seed %s', (seed, digest, secret) => {
    const source = (): RandomSource => byWords(nistGenerator(Buffer.from(seed, 'hex')))
    const ours = sntrup761With(source())
    const key = ours.generate()
    const { publicKey, secretKey } = plainGenerate(source())
    expect(key.publicKey).toEqual(publicKey)
    const { ciphertext, sharedSecret } = ours.encapsulate(publicKey)!
    const all = createHash('sha256').update(publicKey).update(secretKey).update(ciphertext)
    expect(all.digest('hex')).toBe(digest)
    expect(sharedSecret.toString('hex')).toBe(secret)
    expect(key.decapsulate(ciphertext)).toEqual(sharedSecret)
  })

  test('agrees with schoolbook arithmetic, for right and for wrong ciphertexts', () => {
    for (let round = 0; round < 3; round++) {
      const key = sntrup761With(numbered(round)).generate()
      const plain = plainGenerate(numbered(round))
      expect(key.publicKey).toEqual(plain.publicKey)
      const sent = sntrup761With(numbered(round + 100)).encapsulate(key.publicKey)!
      expect(sent).toEqual(plainEncapsulate(key.publicKey, numbered(round + 100)))
      const wrong = Buffer.from(sent.ciphertext)
      wrong[round * 500]! ^= 4
      const foreign = numbered(round + 200)(1039)
      for (const ciphertext of [sent.ciphertext, wrong, foreign]) {
        expect(key.decapsulate(ciphertext)).toEqual(plain.decapsulate(ciphertext))
      }
      // Any bytes are a public key.
      const bytes = numbered(round + 300)(1158)
      expect(sntrup761With(numbered(round)).encapsulate(bytes)).toEqual(plainEncapsulate(bytes, numbered(round)))
    }
  })

  test('shares a secret, and gives another one for a ciphertext that was changed anywhere', () => {
    const key = sntrup761.generate()
    const { ciphertext, sharedSecret } = sntrup761.encapsulate(key.publicKey)!
    expect([key.publicKey.length, ciphertext.length, sharedSecret.length]).toEqual([1158, 1039, 32])
    expect(key.decapsulate(ciphertext)).toEqual(sharedSecret)
    for (const at of [0, 500, 1006, 1007, 1038]) {
      const changed = Buffer.from(ciphertext)
      changed[at]! ^= 1
      expect(key.decapsulate(changed)).not.toEqual(sharedSecret)
    }
    expect(sntrup761.encapsulate(key.publicKey.subarray(1))).toBeUndefined()
  })

  test('shares secrets with itself every time', () => {
    for (let i = 0; i < 100; i++) {
      const key = sntrup761.generate()
      const { ciphertext, sharedSecret } = sntrup761.encapsulate(key.publicKey)!
      expect(key.decapsulate(ciphertext)).toEqual(sharedSecret)
    }
  })

  test('keeps nothing of a key that was wiped', () => {
    const drawn: Buffer[] = []
    const key = sntrup761With(size => {
      drawn.push(randomBytes(size))
      return drawn.at(-1)!
    }).generate()
    const { ciphertext, sharedSecret } = sntrup761.encapsulate(key.publicKey)!
    key.wipe()
    for (const bytes of drawn) expect(bytes).toEqual(Buffer.alloc(bytes.length))
    expect(key.decapsulate(ciphertext)).not.toEqual(sharedSecret)
  })

  test('leaves nothing in the memory of WebAssembly', async () => {
    type Instance = { readonly exports: { readonly memory: { readonly buffer: ArrayBuffer } } }
    type Constructors = { readonly Module: object; readonly Instance: new (module: object) => Instance }
    const { WebAssembly } = globalThis as unknown as { WebAssembly: Constructors }
    const made: Instance[] = []
    const Instance = new Proxy(WebAssembly.Instance, {
      construct(target, [module]: [object]) {
        made.push(new target(module))
        return made.at(-1)!
      },
    })
    vi.stubGlobal('WebAssembly', { Module: WebAssembly.Module, Instance })
    vi.resetModules()
    const fresh = await import('../../lib/crypto/sntrup761.ts')
    const isEmpty = (): boolean => Buffer.from(made[0]!.exports.memory.buffer).every(byte => byte === 0)
    const emptyWhenDrawing: boolean[] = []
    const kem = fresh.sntrup761With(size => {
      if (made.length > 0) emptyWhenDrawing.push(isEmpty())
      return randomBytes(size)
    })
    const key = kem.generate()
    // When f is drawn, g is there.
    expect(emptyWhenDrawing).toContain(false)
    expect(isEmpty()).toBe(true)
    const { ciphertext, sharedSecret } = kem.encapsulate(key.publicKey)!
    expect(isEmpty()).toBe(true)
    expect(key.decapsulate(ciphertext)).toEqual(sharedSecret)
    expect(isEmpty()).toBe(true)
    expect(made).toHaveLength(1)
    vi.unstubAllGlobals()
  })

  test.each([
    ['zeros', 0],
    ['ones', 255],
  ] as const)('takes random bytes that are all %s', (_name, byte) => {
    const source = (calls: number): RandomSource => {
      let left = calls
      return size => (left-- > 0 ? Buffer.alloc(size, byte) : randomBytes(size))
    }
    const key = sntrup761With(source(2)).generate()
    const { ciphertext, sharedSecret } = sntrup761With(source(1)).encapsulate(key.publicKey)!
    expect(key.decapsulate(ciphertext)).toEqual(sharedSecret)
  })
})
