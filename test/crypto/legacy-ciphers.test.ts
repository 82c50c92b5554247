import { describe, expect, test } from 'vitest'
import { arcfour } from '../../lib/crypto/arcfour.ts'
import { type Block, ownCbc } from '../../lib/crypto/block-cipher.ts'
import { toWords } from '../../lib/crypto/blowfish.ts'
import { Cast128 } from '../../lib/crypto/cast128.ts'
import { Seed } from '../../lib/crypto/seed.ts'

const hex = (text: string): Buffer => Buffer.from(text.replace(/ /g, ''), 'hex')

function encryptAndBack(cipher: Block, plaintext: string, ciphertext: string): void {
  const block = toWords(hex(plaintext))
  cipher.encrypt(block)
  expect(block).toEqual(toWords(hex(ciphertext)))
  cipher.decrypt(block)
  expect(block).toEqual(toWords(hex(plaintext)))
}

test('CAST-128, RFC 2144 B.1', () => {
  const cipher = new Cast128(hex('0123456712345678234567893456789a'))
  encryptAndBack(cipher, '0123456789abcdef', '238b4fe5847e44b2')
})

/** RFC 4269 appendix B: key, plaintext, ciphertext. */
test.each([
  ['00000000000000000000000000000000', '000102030405060708090a0b0c0d0e0f', '5ebac6e0054e166819aff1cc6d346cdb'],
  ['000102030405060708090a0b0c0d0e0f', '00000000000000000000000000000000', 'c11f22f20140505084483597e4370f43'],
  ['4706480851e61be85d74bfb3fd956185', '83a2f8a288641fb9a4e9a5cc2f131c7d', 'ee54d13ebcae706d226bc3142cd40d4a'],
  ['28dbc3bc49ffd87dcfa509b11d422be7', 'b41e6be2eba84a148e2eed84593c5ec7', '9b9b7bfcd1813cb95d0b3618f40f5122'],
])('SEED under %s', (key, plaintext, ciphertext) => {
  encryptAndBack(new Seed(hex(key)), plaintext, ciphertext)
})

describe('arcfour, RFC 6229', () => {
  const long = hex('0102030405060708090a0b0c0d0e0f10')

  test.each([
    [hex('0102030405'), 0, 'b2396305f03dc027ccc3524a0a1118a8'],
    [long, 0, '9ac7cc9a609d1ef7b2932899cde41b97'],
    [long, 1536, 'ffa0b514647ec04f6306b892ae661181'],
  ])('key %o after %i bytes', (key, skip, expected) => {
    expect(arcfour(key, skip)(Buffer.alloc(16)).toString('hex')).toBe(expected)
  })

  test('goes on where it stopped', () => {
    const whole = arcfour(long, 0)(Buffer.alloc(100))
    const pieces = arcfour(long, 0)
    expect(Buffer.concat([pieces(Buffer.alloc(7)), pieces(Buffer.alloc(93))])).toEqual(whole)
  })
})

test('CBC chains blocks over calls', () => {
  const cbc = ownCbc(16, 16, key => new Seed(key))
  const key = hex('4706480851e61be85d74bfb3fd956185')
  const iv = hex('000102030405060708090a0b0c0d0e0f')
  const data = Buffer.from(Array.from({ length: 96 }, (_, i) => i))
  const whole = cbc.encryptor(key, iv)(data)
  const encrypt = cbc.encryptor(key, iv)
  expect(Buffer.concat([encrypt(data.subarray(0, 16)), encrypt(data.subarray(16))])).toEqual(whole)
  // The definition: each block is mixed with the one before.
  const cipher = new Seed(key)
  let before = iv
  for (let at = 0; at < 96; at += 16) {
    const block = toWords(Buffer.from(data.subarray(at, at + 16).map((byte, i) => byte ^ before[i]!)))
    cipher.encrypt(block)
    before = whole.subarray(at, at + 16)
    expect(block).toEqual(toWords(before))
  }
  const decrypt = cbc.decryptor(key, iv)
  expect(Buffer.concat([decrypt(whole.subarray(0, 48)), decrypt(whole.subarray(48))])).toEqual(data)
})
