import { poly1305 as noblePoly1305 } from '@noble/ciphers/_poly1305.js'
import { chacha20orig } from '@noble/ciphers/chacha.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chachaPoly, plainChachaPoly, poly1305 } from '../../lib/crypto/chacha20-poly1305.ts'

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex')
const repeat = (byte: string, count: number): string => byte.repeat(count)

/** RFC 8439 §2.5.2 and appendix A.3: key, message, tag. The last ones make the accumulator wrap around 2^130 - 5. */
const rfc8439 = [
  [
    '85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b',
    Buffer.from('Cryptographic Forum Research Group').toString('hex'),
    'a8061dc1305136c6c22b8baf0c0127a9',
  ],
  [repeat('00', 32), repeat('00', 64), repeat('00', 16)],
  [`02${repeat('00', 31)}`, repeat('ff', 16), `03${repeat('00', 15)}`],
  [`02${repeat('00', 15)}${repeat('ff', 16)}`, `02${repeat('00', 15)}`, `03${repeat('00', 15)}`],
  [`01${repeat('00', 31)}`, `${repeat('ff', 16)}f0${repeat('ff', 15)}11${repeat('00', 15)}`, `05${repeat('00', 15)}`],
  [`01${repeat('00', 31)}`, `${repeat('ff', 16)}fb${repeat('fe', 15)}${repeat('01', 16)}`, repeat('00', 16)],
  [`02${repeat('00', 31)}`, `fd${repeat('ff', 15)}`, `fa${repeat('ff', 15)}`],
  [
    `0100000000000000040000000000000000000000000000000000000000000000`,
    `e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000
     01000000000000000000000000000000`,
    '14000000000000005500000000000000',
  ],
  [
    `0100000000000000040000000000000000000000000000000000000000000000`,
    'e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000',
    '13000000000000000000000000000000',
  ],
] as const

describe('poly1305', () => {
  test.each(rfc8439)('RFC 8439 with key %s', (key, message, tag) => {
    expect(Buffer.from(poly1305(hex(key), hex(message))).toString('hex')).toBe(tag)
  })

  test('equals noble for every length up to four groups and around the capacity', () => {
    const key = Buffer.from(Array.from({ length: 32 }, (_, i) => 255 - i))
    const data = Buffer.alloc(200_000, 0xff)
    const lengths = [...Array(520).keys(), 65_535, 65_536, 65_537, 65_600, 131_072, 131_073, 200_000]
    for (const length of lengths) {
      const part = data.subarray(0, length)
      expect(Buffer.from(poly1305(key, part)).equals(noblePoly1305(part, key)), `${length} bytes`).toBe(true)
    }
  })

  test('equals noble for any key and message', () => {
    // Bytes near the ends carry the most.
    const extreme = fc.constantFrom(0, 1, 2, 4, 5, 0xfa, 0xfb, 0xfc, 0xfe, 0xff)
    const bytes = (constraints: fc.ArrayConstraints) =>
      fc.oneof(fc.array(extreme, constraints), fc.array(fc.nat(255), constraints)).map(Buffer.from)
    fc.assert(
      fc.property(bytes({ minLength: 32, maxLength: 32 }), bytes({ maxLength: 700 }), (key, data) =>
        Buffer.from(poly1305(key, data)).equals(noblePoly1305(data, key)),
      ),
      { numRuns: 500 },
    )
  })
})

/** PROTOCOL.chacha20poly1305 once more, over noble alone. */
function sealWithNoble(key: Buffer, sequence: number, packet: Buffer): Buffer {
  const nonce = Buffer.alloc(8)
  nonce.writeUInt32BE(sequence, 4)
  const [bodyKey, lengthKey] = [key.subarray(0, 32), key.subarray(32)]
  const sealed = Buffer.concat([
    chacha20orig(lengthKey, nonce, packet.subarray(0, 4)),
    chacha20orig(bodyKey, nonce, packet.subarray(4), undefined, 1),
  ])
  return Buffer.concat([sealed, noblePoly1305(sealed, chacha20orig(bodyKey, nonce, Buffer.alloc(32)))])
}

const implementations = { WebAssembly: chachaPoly, plain: plainChachaPoly }

describe.each(Object.entries(implementations))('chacha20-poly1305@openssh.com, %s', (_name, create) => {
  const key = Buffer.from(Array.from({ length: 64 }, (_, i) => i * 3))
  const cipher = create(key)
  const packetOf = (length: number): Buffer => {
    const packet = Buffer.from(Array.from({ length }, (_, i) => (i * 7) & 0xff))
    packet.writeUInt32BE(length - 4, 0)
    return packet
  }
  const lengths = [12, 20, 36, 188, 196, 197, 204, 260, 452, 453, 1028, 4096, 4104, 32_780, 65_532, 65_540, 262_148]
  const sequences = [0, 1, 0x7fff_ffff, 0xffff_ffff]

  test.each(lengths)('packets of %i bytes are sealed as noble seals them, and opened', length => {
    const packet = packetOf(length)
    for (const sequence of sequences) {
      const out: Buffer[] = []
      cipher.seal(sequence, packet, out)
      const sealed = Buffer.concat(out)
      expect(sealed.equals(sealWithNoble(key, sequence, packet))).toBe(true)
      expect(cipher.openLength(sequence, sealed.subarray(0, 4))).toBe(length - 4)
      const opened = cipher.open(sequence, sealed)!
      expect(opened.equals(packet.subarray(4))).toBe(true)
      expect(opened.buffer === sealed.buffer && opened.byteOffset === sealed.byteOffset).toBe(false)
    }
  })

  test.each([36, 5000])('a change of any part of %i bytes is seen', length => {
    const sealed = sealWithNoble(key, 5, packetOf(length))
    expect(cipher.open(5, sealed)).toBeDefined()
    expect(cipher.open(6, sealed)).toBeUndefined()
    for (const at of [0, 3, 4, 30, length - 1, length, length + 8, length + 15]) {
      const changed = Buffer.from(sealed)
      changed[at]! ^= 0x80
      expect(cipher.open(5, changed), `byte ${at}`).toBeUndefined()
    }
  })
})
