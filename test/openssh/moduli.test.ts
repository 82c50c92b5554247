import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { chooseModuliGroup, parseModuli } from '../../src/openssh/moduli.ts'

// Oakley group 5 of RFC 3526 would be long; a small safe prime does as well: 0x17 = 23 has 5 bits and 23 = 2·11 + 1.
const good = '20200101000000 2 6 100 4 5 17'

describe('moduli(5)', () => {
  test('a tested safe prime', () => {
    expect(parseModuli(`# comment\n\n${good}\n`)).toEqual([{ bits: 5, g: Buffer.of(5), p: Buffer.of(0x17) }])
  })

  test.each([
    ['not a safe prime', '20200101000000 1 6 100 4 5 17'],
    ['untested', '20200101000000 2 0 100 4 5 17'],
    ['composite', '20200101000000 2 7 100 4 5 17'],
    ['never tried', '20200101000000 2 6 0 4 5 17'],
    ['another size', '20200101000000 2 6 100 7 5 17'],
    ['even', '20200101000000 2 6 100 4 5 16'],
    ['generator 1', '20200101000000 2 6 100 4 1 17'],
    ['generator too large', '20200101000000 2 6 100 4 FF 17'],
    ['not hexadecimal', '20200101000000 2 6 100 4 5 1g'],
    ['too few fields', '20200101000000 2 6 100 4 5'],
    ['enormous', `20200101000000 2 6 100 99999 5 ${'F'.repeat(30_000)}`],
  ])('%s is passed over', (_, line) => {
    expect(parseModuli(line)).toEqual([])
  })

  test.runIf(existsSync('/etc/ssh/moduli'))('the file of this machine', () => {
    const text = readFileSync('/etc/ssh/moduli', 'utf8')
    const lines = text.split('\n').filter(line => /^\d/.test(line))
    expect(parseModuli(text)).toHaveLength(lines.length)
  })

  test('the choice', () => {
    const groups = [2048, 3072, 4096, 4096, 8192].map((bits, i) => ({ bits, g: Buffer.of(2), p: Buffer.of(i) }))
    const choose = (min: number, wish: number, max: number) => chooseModuliGroup(groups, min, wish, max, n => n - 1)
    expect(choose(2048, 3072, 8192)?.bits).toBe(3072)
    expect(choose(2048, 3500, 8192)).toBe(groups[3])
    expect(choose(2048, 9000, 16_384)?.bits).toBe(8192)
    expect(choose(2048, 8192, 4096)?.bits).toBe(4096)
    expect(choose(9000, 9000, 10_000)).toBeUndefined()
  })
})
