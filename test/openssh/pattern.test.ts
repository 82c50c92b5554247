import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalAddress, formatAddress, parseAddress, parseNetwork } from '../../src/openssh/address.ts'
import {
  matchAddressList,
  matchCidrList,
  matchHostAndAddress,
  matchHostname,
  matchPattern,
  matchPatternList,
  matchUser,
} from '../../src/openssh/pattern.ts'

describe('wildcards', () => {
  test.each([
    ['', '', true],
    ['a', '', false],
    ['', '*', true],
    ['abc', 'a?c', true],
    ['abc', 'a?', false],
    ['abc', '*c', true],
    ['abcbc', 'a*bc', true],
    ['abc', '***', true],
    ['abc', 'a*d', false],
    ['ABC', 'abc', false],
    ['a.b', 'a.b', true],
    ['axb', 'a.b', false],
  ])('%j against %j is %s', (text, pattern, expected) => {
    expect(matchPattern(text, pattern)).toBe(expected)
  })

  test('agree with the regular expression of the same meaning', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '.'), maxLength: 8 })
    const patterns = fc.string({ unit: fc.constantFrom('a', 'b', '.', '*', '?'), maxLength: 8 })
    fc.assert(
      fc.property(letters, patterns, (text, pattern) => {
        const source = pattern.replace(/\./g, '\\.').replace(/\*/g, '.*').replace(/\?/g, '.')
        expect(matchPattern(text, pattern)).toBe(new RegExp(`^${source}$`).test(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('a hostile pattern takes no exponential time', () => {
    const started = performance.now()
    expect(matchPattern('a'.repeat(1000), 'a*'.repeat(400) + 'b')).toBe(false)
    expect(performance.now() - started).toBeLessThan(1000)
  })
})

describe('lists', () => {
  test.each([
    ['host', 'host', 'match'],
    ['host', 'other,h*', 'match'],
    ['host', 'h*,!host', 'negated'],
    ['host', '!host,h*', 'negated'],
    ['host', '!other', 'none'],
    ['host', '', 'none'],
    ['', 'a,', 'none'],
    ['', ',a', 'match'],
    ['host', `${'*'.repeat(1023)},host`, 'none'],
  ] as const)('%j against %j: %s', (text, list, expected) => {
    expect(matchPatternList(text, list)).toBe(expected)
  })

  test('host names ignore case on both sides', () => {
    expect(matchHostname('Host.Example', '*.EXAMPLE')).toBe('match')
    expect(matchPatternList('host', 'HOST')).toBe('none')
  })
})

describe('addresses', () => {
  test.each([
    ['192.0.2.7', '192.0.2.0/24', 'match'],
    ['192.0.2.7', '192.0.2.0/25,!192.0.2.7', 'negated'],
    ['192.0.2.130', '192.0.2.0/25', 'none'],
    ['192.0.2.7', '192.0.2.*', 'match'],
    ['192.0.2.7', '192.0.2.1/24', 'invalid'],
    ['192.0.2.7', '192.0.2.0/33', 'invalid'],
    ['192.0.2.7', '', 'invalid'],
    ['192.0.2.7', '0.0.0.0/0', 'match'],
    ['192.0.2.7', '::/0', 'none'],
    ['2001:db8::1', '2001:db8::/32', 'match'],
    ['2001:DB8:0:0::1', '2001:db8::1', 'match'],
    ['not an address', '*', 'none'],
  ] as const)('%s in %j: %s', (address, list, expected) => {
    expect(matchAddressList(address, list)).toBe(expected)
  })

  test('a plain CIDR list knows neither wildcards nor negation', () => {
    expect(matchCidrList('192.0.2.7', '10.0.0.0/8,192.0.2.0/24')).toBe('match')
    expect(matchCidrList('192.0.2.7', '192.0.2.*')).toBe('invalid')
    expect(matchCidrList('192.0.2.7', '!192.0.2.7')).toBe('invalid')
    expect(matchCidrList(undefined, '10.0.0.1/8')).toBe('invalid')
  })

  test('a list of negations matches nobody', () => {
    expect(matchHostAndAddress('good.example', '192.0.2.7', '!bad.example')).toBe('none')
    expect(matchHostAndAddress('bad.example', '192.0.2.7', '192.0.2.*,!bad.example')).toBe('none')
    expect(matchHostAndAddress('good.example', '192.0.2.7', '*.example,!192.0.2.7')).toBe('none')
    expect(matchHostAndAddress('good.example', '192.0.2.7', '*.example')).toBe('match')
  })

  test('users with hosts', () => {
    expect(matchUser('joe', 'h.example', '192.0.2.7', 'j*')).toBe('match')
    expect(matchUser('joe', 'h.example', '192.0.2.7', 'joe@192.0.2.0/24')).toBe('match')
    expect(matchUser('joe', 'h.example', '192.0.2.7', 'joe@10.0.0.0/8')).toBe('none')
    expect(matchUser('joe', 'h.example', '192.0.2.7', 'joe@192.0.2.1/24')).toBe('invalid')
  })

  test.each([
    ['::', '::'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['127.1', '127.0.0.1'],
    ['0x7f.1', '127.0.0.1'],
    ['010.0.0.1', '8.0.0.1'],
    ['2130706433', '127.0.0.1'],
  ])('%s is canonically %s', (text, expected) => {
    expect(canonicalAddress(text)).toBe(expected)
  })

  test.each(['1:2', ':::', '1::2::3', '256.0.0.1', '1.2.3', 'host', '', '1.2.3.4.5', '0x', '::1%', '12345::'])(
    '%j is not strict address text',
    text => {
      expect(parseAddress(text)).toBeUndefined()
    },
  )

  test('every network holds itself, and print and parse are inverse', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 128 }), (bytes, bits) => {
        const text = formatAddress({ bytes, zone: '' })
        expect(parseAddress(text)?.bytes).toEqual(bytes)
        const network = bytes.map((byte, i) => byte & ((0xff00 >> Math.min(8, Math.max(0, bits - i * 8))) & 0xff))
        const cidr = `${formatAddress({ bytes: network, zone: '' })}/${bits}`
        expect(parseNetwork(cidr)).toMatchObject({ bits })
        expect(matchAddressList(text, cidr)).toBe('match')
      }),
    )
  })
})
