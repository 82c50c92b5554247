import { expect, test } from 'vitest'
import { newRsaKey } from '../../lib/crypto/generate-key.ts'
import { reduceByPrime } from '../../lib/crypto/private-der.ts'
import { generatePrivateNumbers, numbersOf, privateKeyObject } from '../../lib/crypto/signature.ts'

const numberOf = (bytes: Buffer): bigint => BigInt(`0x0${bytes.toString('hex')}`)
const bytesOf = (value: bigint, length: number): Buffer =>
  Buffer.from(value.toString(16).padStart(length * 2, '0'), 'hex')

test('an exponent modulo a prime less one, as BigInt has it', () => {
  let state = 0x2545f4914f6cdd1dn
  const random = (length: number): Buffer => {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) {
      state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffff_ffff_ffff_ffffn
      bytes[i] = Number(state >> 56n)
    }
    return bytes
  }
  for (let i = 0; i < 300; i++) {
    const prime = random(1 + (i % 70))
    prime[prime.length - 1]! |= 1
    if (numberOf(prime) < 3n) continue
    const exponent = i % 7 === 0 ? bytesOf(numberOf(prime) - 1n, prime.length) : random(1 + ((i * 13) % 140))
    expect(reduceByPrime(exponent, prime)).toEqual(bytesOf(numberOf(exponent) % (numberOf(prime) - 1n), prime.length))
  }
})

test.each(['ed25519', 'ed448', 'nistp256', 'nistp384', 'nistp521', 'secp256k1', 'rsa', 'dsa'] as const)(
  '%s: numbers go to OpenSSL and come back as they were',
  kind => {
    const numbers = generatePrivateNumbers(kind, kind === 'rsa' ? 1024 : undefined)
    const object = privateKeyObject(numbers)
    expect(numbersOf(object)).toEqual(numbers)
  },
)

test('the exponents of the Chinese remainder theorem are those that OpenSSL made', () => {
  const { dp, dq, d, p, q } = newRsaKey(2048).export({ format: 'jwk' })
  const bytes = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64url')
  expect(numberOf(reduceByPrime(bytes(d), bytes(p)))).toBe(numberOf(bytes(dp)))
  expect(numberOf(reduceByPrime(bytes(d), bytes(q)))).toBe(numberOf(bytes(dq)))
})
