import { describe, expect, test } from 'vitest'
import {
  formatModulusLine,
  generatorOf,
  isSafePrime,
  modulusTest,
  modulusType,
  oddPrimes,
  parseModulusLine,
  screenCandidate,
  sieveCandidates,
} from '../../lib/keys/moduli-search.ts'
import { parseModuli } from '../../src/openssh/moduli.ts'

const isPrime = (n: number): boolean => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return n > 1
}

test('the odd primes', () => {
  for (const limit of [0, 2, 3, 4, 25, 1000]) {
    const expected = Array.from({ length: limit + 1 }, (_, n) => n).filter(n => n > 2 && isPrime(n))
    expect([...oddPrimes(limit)]).toEqual(expected)
  }
})

test.each([
  [10_001n, 4000, 50],
  [(1n << 200n) + 1n, 20_000, 1000],
  [0x1234_5678_9abc_def1n, 2 * 3_000_001, 30],
])('the sieve from %s leaves exactly what has no small factor', (start, span, primeLimit) => {
  const primes = [...oddPrimes(primeLimit)].map(BigInt)
  const found = sieveCandidates({ start, span, primeLimit })
  let next = found.next()
  let [checked, kept] = [0, 0]
  for (let i = 0; i < Math.floor(span / 2); i++) {
    const q = start + 2n * BigInt(i)
    const listed = !next.done && next.value === q
    // Of the longest range only what is listed, and a sample.
    if (listed || i % 97 === 0 || span < 100_000) {
      const clear = primes.every(prime => q % prime !== 0n && (2n * q + 1n) % prime !== 0n)
      if (clear !== listed) expect([q, listed]).toEqual([q, clear])
      checked++
    }
    if (listed) {
      kept++
      next = found.next()
    }
  }
  expect(next.done).toBe(true)
  expect(kept).toBeGreaterThan(0)
  expect(checked).toBeGreaterThan(kept)
})

/** The prime of Oakley group 2, 1024 bits (RFC 2409 §6.2). */
const oakley2 = BigInt(
  '0xFFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF',
)

describe('screening', () => {
  const line = {
    type: modulusType.sophieGermain,
    tests: modulusTest.sieve,
    tries: 0,
    size: 1022,
    generator: 0,
    modulus: oakley2 >> 1n,
  }
  const options = { rounds: 8, generator: undefined }

  test('a safe prime becomes a line that the server takes', () => {
    expect(isSafePrime(oakley2, 8)).toBe(true)
    const result = screenCandidate(line, options)
    expect(result).toMatchObject({ type: 2, tests: 6, tries: 8, size: 1023, modulus: oakley2 })
    if (typeof result === 'string') return
    const text = formatModulusLine(result, new Date('2026-01-02T03:04:05Z'))
    expect(text.startsWith('20260102030405 2 6 8 1023 5 FFFFFFFF')).toBe(true)
    expect(parseModulusLine(text)).toEqual(result)
    expect(parseModuli(`${text}\n`)).toHaveLength(1)
    // Screened again, the rounds add up.
    expect(screenCandidate(result, options)).toMatchObject({ tries: 16 })
  })

  test.each([
    ['of another size', { ...line, size: 1021 }],
    ['known to be composite', { ...line, tests: modulusTest.composite }],
    ['too small', { ...line, size: 100, modulus: 1n << 100n }],
    ['without a known generator', { ...line, modulus: (oakley2 >> 1n) + 1n }],
  ])('%s is no candidate', (_, candidate) => {
    expect(screenCandidate(candidate, options)).toBe('no-candidate')
  })

  test('another generator was asked for, and a composite', () => {
    expect(screenCandidate(line, { ...options, generator: 2 })).toBe('no-candidate')
    expect(screenCandidate({ ...line, modulus: line.modulus + 60n }, options)).toBe('not-prime')
  })

  test('generators', () => {
    expect([11n, 35n, 23n, 47n, 13n, 31n].map(generatorOf)).toEqual([2, 2, 5, 5, 5, undefined])
  })
})

test.each(['', '#', 'x', '20200101000000 4 2 0 1022 0', `20200101000000 4 2 0 1 0 ${'F'.repeat(9000)}`])(
  'no modulus line: %j',
  text => expect(parseModulusLine(text)).toBeUndefined(),
)
