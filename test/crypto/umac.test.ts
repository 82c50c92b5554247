import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { umac } from '../../lib/crypto/umac.ts'
import { PlainUhash } from '../../lib/crypto/umac-plain.ts'

const key = Buffer.from('abcdefghijklmnop')
const nonce = Buffer.from('bcdefghi')

/**
 * RFC 4418, appendix: text, how often, UMAC-64. UMAC-128 begins with the appendix's UMAC-96; its last 4 bytes are those
 * that the field agrees on (nettle). The appendix's message of 32 MiB is longer than we take.
 */
const vectors = [
  ['', 0, '6e155fad26900be1', '32fedb100c79ad58f07ff7643cc60465'],
  ['a', 3, '44b5cb542f220104', '185e4fe905cba7bd85e4c2dc3d117d8d'],
  ['a', 2 ** 10, '26bf2f5d60118bd9', '7a54abe04af82d60fb298c3cbd195bcb'],
  ['a', 2 ** 15, '27f8ef643b0d118d', '7b136bd911e4b734286ef2be501f2c3c'],
  ['a', 2 ** 20, 'a4477e87e9f55853', 'f8acfa3ac31cfeea047f7b115b03bef5'],
  ['abc', 1, 'd4d7b9f6bd4fbfcf', '883c3d4b97a61976ffcf232308cba5a5'],
  ['abc', 500, 'd4cf26ddefd5c01a', '8824a260c53c66a36c9260a62cb83aa1'],
] as const

const implementations = {
  WebAssembly: undefined,
  plain: (keys: ConstructorParameters<typeof PlainUhash>[0]) => new PlainUhash(keys),
}

describe.each(Object.entries(implementations))('RFC 4418, %s', (_name, create) => {
  test.each(vectors)('%s × %i', (text, count, tag64, tag128) => {
    const message = Buffer.from(text.repeat(count))
    for (const [length, expected] of [
      [8, tag64],
      [16, tag128],
    ] as const) {
      const tag = umac(key, length, create).tag(nonce.readUInt32BE(0), nonce.readUInt32BE(4), [message])
      expect(tag.toString('hex')).toBe(expected)
    }
  })
})

test.each([8, 16] as const)('both implementations agree on any message in any parts, tags of %i bytes', length => {
  const any = fc.uint8Array({ minLength: 16, maxLength: 16 })
  const parts = fc.array(fc.oneof(fc.uint8Array({ maxLength: 2200 }), fc.constant(Buffer.alloc(1500, 0xff))), {
    maxLength: 4,
  })
  fc.assert(
    fc.property(any, fc.nat(0xffff_ffff), parts, (bytes, sequence, list) => {
      const own = Buffer.from(bytes)
      const buffers = list.map(part => Buffer.from(part))
      const fast = umac(own, length).tag(0, sequence, buffers)
      return fast.equals(umac(own, length, implementations.plain).tag(0, sequence, [Buffer.concat(buffers)]))
    }),
    { numRuns: 200 },
  )
})

test('messages around the size of the memory and above', () => {
  const data = Buffer.from(Array.from({ length: 262_160 }, (_, i) => (i * 31) & 0xff))
  for (const length of [1023, 1024, 1025, 65_535, 65_536, 65_537, 66_560, 131_072, 262_152]) {
    const parts = [data.subarray(0, 4), data.subarray(4, length)]
    expect(
      umac(key, 8)
        .tag(0, 7, parts)
        .equals(umac(key, 8, implementations.plain).tag(0, 7, parts)),
    ).toBe(true)
  }
})

test('one object gives the same tags as fresh ones over any order of nonces', () => {
  const one = umac(key, 8)
  const message = [Buffer.from('message')]
  for (const low of [0, 1, 127, 128, 129, 5, 0xffff_ffff, 0xffff_ff80, 0]) {
    expect(one.tag(0, low, message)).toEqual(umac(key, 8).tag(0, low, message))
  }
})

test('words of the polynomial that are no residues are marked (§5.4.1)', () => {
  let keys: ConstructorParameters<typeof PlainUhash>[0] | undefined
  umac(key, 8, given => {
    keys = given
    return new PlainUhash(given)
  })
  // NH of the first iteration becomes 0xffffffff² + 0xffffffff + the length: 2^64 - 2^32 + 8192.
  const wanted = new Uint32Array(256)
  wanted[0] = wanted[4] = wanted[1] = 0xffff_ffff
  wanted[5] = 1
  const chunk = Buffer.alloc(1024)
  for (let i = 0; i < 256; i++) chunk.writeUInt32LE((wanted[i]! - keys!.l1[i]!) >>> 0, i * 4)
  const message = Buffer.concat([chunk, chunk, Buffer.from('end')])
  const slow = umac(key, 8, implementations.plain)
  expect(umac(key, 8).tag(0, 1, [message])).toEqual(slow.tag(0, 1, [message]))
})
