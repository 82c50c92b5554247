import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bcryptPbkdf, plainBcryptHash } from '../../lib/crypto/bcrypt-pbkdf.ts'
import { Blowfish, initialState, toWords } from '../../lib/crypto/blowfish.ts'

/** Known answers that OpenBSD's and the field's other implementations share: passphrase, salt, rounds, key. */
const vectors = [
  ['password', 'salt', 4, '5bbf0cc293587f1c3635555c27796598d47e579071bf427e9d8fbe842aba34d9'],
  ['password', '\0', 4, 'c12b566235eee04c212598970a579a67'],
  ['\0', 'salt', 4, '6051be18c2f4f82cbf0efee5471b4bb9'],
] as const

describe.each([
  ['WebAssembly', undefined],
  ['plain', plainBcryptHash],
] as const)('bcrypt_pbkdf, %s', (_name, implementation) => {
  test.each(vectors)('%j with salt %j', (passphrase, salt, rounds, expected) => {
    const [text, bytes] = [Buffer.from(passphrase), Buffer.from(salt)]
    const key = bcryptPbkdf(text, bytes, rounds, expected.length / 2, implementation)
    expect(key.toString('hex')).toBe(expected)
  })
})

test('both implementations agree for any passphrase, salt and length', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 }).map(each => Buffer.from(each))
  fc.assert(
    fc.property(bytes, bytes, fc.integer({ min: 1, max: 70 }), (passphrase, salt, length) =>
      bcryptPbkdf(passphrase, salt, 1, length).equals(bcryptPbkdf(passphrase, salt, 1, length, plainBcryptHash)),
    ),
    { numRuns: 6 },
  )
})

test("Blowfish's tables are the fraction of pi", () => {
  const words = 18 + 4 * 256
  const one = 1n << BigInt(words * 32 + 64)
  // Machin: pi / 4 = 4 arctan(1/5) - arctan(1/239).
  const arctan = (x: bigint): bigint => {
    let sum = 0n
    for (let term = one / x, n = 1n; term !== 0n; term /= -(x * x), n += 2n) sum += term / n
    return sum
  }
  const fraction = (4n * (4n * arctan(5n) - arctan(239n)) - 3n * one) >> 64n
  const hex = fraction.toString(16).padStart(words * 8, '0')
  expect(
    Buffer.concat([...initialState()].map(word => Buffer.from(word.toString(16).padStart(8, '0'), 'hex'))),
  ).toEqual(Buffer.from(hex, 'hex'))
})

/** Schneier's vectors of ECB: key, plaintext, ciphertext. */
const blowfish = [
  ['0000000000000000', '0000000000000000', '4ef997456198dd78'],
  ['ffffffffffffffff', 'ffffffffffffffff', '51866fd5b85ecb8a'],
  ['3000000000000000', '1000000000000001', '7d856f9a613063f2'],
  ['1111111111111111', '1111111111111111', '2466dd878b963c9d'],
  ['0123456789abcdef', '1111111111111111', '61f9c3802281b096'],
  ['fedcba9876543210', '0123456789abcdef', '0aceab0fc6a0a28d'],
] as const

test.each(blowfish)('Blowfish under %s', (key, plaintext, ciphertext) => {
  const cipher = new Blowfish()
  cipher.expand(toWords(Buffer.from(key, 'hex')))
  const block = toWords(Buffer.from(plaintext, 'hex'))
  cipher.encrypt(block)
  expect(block).toEqual(toWords(Buffer.from(ciphertext, 'hex')))
  cipher.decrypt(block)
  expect(block).toEqual(toWords(Buffer.from(plaintext, 'hex')))
})
