import { getDiffieHellman } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { builtInGroup } from '../../lib/algorithms/kex/dh-gex.ts'
import { bitLength, dh, dhGroup, isDhGroup } from '../../lib/crypto/dh.ts'
import { ecdh, x448, x448With, x25519, x25519With } from '../../lib/crypto/ecdh.ts'

const hex = (text: string): Buffer => Buffer.from(text, 'hex')

describe('curves', () => {
  test('X25519 gives the output of RFC 7748 §5.2', () => {
    const scalar = hex('a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4')
    const point = hex('e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c')
    expect(x25519With(scalar, point)?.toString('hex')).toBe(
      'c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552',
    )
  })

  test('X448 gives the output of RFC 7748 §5.2', () => {
    const scalar = hex(
      '3d262fddf9ec8e88495266fea19a34d28882acef045104d0d1aae121700a779c984c24f8cdd78fbff44943eba368f54b29259a4f1c600ad3',
    )
    const point = hex(
      '06fce640fa3487bfda5f6cf2d5263f8aad88334cbd07437f020f08f9814dc031ddbdc38c19c6da2583fa5429db94ada18aa7a7fb4ef8a086',
    )
    expect(x448With(scalar, point)?.toString('hex')).toBe(
      'ce3e4ff95a60dc6697da1db1d85e6afbdf79b50a2412d7546d5f239fe14fbaadeb445fc66a01b0779d98223961111e21766282f73dd96b6f',
    )
  })

  test.each([
    ['x25519', x25519, 32],
    ['x448', x448, 56],
  ] as const)('%s refuses points of small order and of another length', (_name, generate, length) => {
    const zero = Buffer.alloc(length)
    const one = Buffer.from(zero)
    one[0] = 1
    for (const point of [zero, one, Buffer.alloc(length - 1, 9)]) expect(generate().agree(point)).toBeUndefined()
  })

  test('x25519 refuses every point of small order, in every form (https://cr.yp.to/ecdh.html#validate)', () => {
    const p = 2n ** 255n - 19n
    const orderEight = [
      325606250916557431795983626356110631294008115727848805560023387167927233504n,
      39382357235489614581723060781553021112529911719440698176882885853963445705823n,
    ]
    const values = [0n, 1n, ...orderEight, p - 1n, p, p + 1n]
    for (const value of values) {
      for (const top of [0n, 2n ** 255n]) {
        const point = Buffer.from((value + top).toString(16).padStart(64, '0'), 'hex').reverse()
        expect(x25519().agree(point)).toBeUndefined()
      }
    }
  })

  test.each(['nistp256', 'nistp384', 'nistp521', '1.3.132.0.10'] as const)('%s refuses what is no point', curve => {
    const { publicValue, agree } = ecdh(curve)
    expect(agree(ecdh(curve).publicValue)).toBeDefined()
    const beside = Buffer.from(publicValue)
    beside[beside.length - 1]! ^= 1
    const compressed = Buffer.concat([Buffer.of(2), publicValue.subarray(1, (publicValue.length + 1) / 2)])
    for (const point of [beside, compressed, Buffer.of(0), Buffer.alloc(0)]) expect(agree(point)).toBeUndefined()
  })
})

describe('Diffie-Hellman groups', () => {
  test('are those that OpenSSL has', () => {
    expect(dhGroup('group1').p).toEqual(getDiffieHellman('modp2').getPrime())
    const bits = (['group1', 'group14', 'group15', 'group16', 'group17', 'group18'] as const).map(name =>
      bitLength(dhGroup(name).p),
    )
    expect(bits).toEqual([1024, 2048, 3072, 4096, 6144, 8192])
  })

  test('give both sides, and OpenSSL, one secret', () => {
    const group = dhGroup('group14')
    const [ours, theirs] = [dh(group, 256), dh(group, 128)]
    expect(ours.agree(theirs.publicValue)).toEqual(theirs.agree(ours.publicValue))
    const openssl = getDiffieHellman('modp14')
    const publicValue = openssl.generateKeys()
    expect(ours.agree(publicValue)).toEqual(openssl.computeSecret(ours.publicValue))
  })

  test('take no public value out of range or nearly without one bits', () => {
    const group = dhGroup('group14')
    const { agree } = dh(group, 128)
    const less = Buffer.from(group.p)
    less[less.length - 1]! -= 1
    const more = Buffer.from(group.p)
    const sparse = Buffer.alloc(200)
    sparse[0] = 0x80
    for (const value of [Buffer.alloc(0), Buffer.of(1), Buffer.of(7), less, more, Buffer.alloc(300, 1), sparse]) {
      expect(agree(value)).toBeUndefined()
    }
  })

  test('of a peer need the asked size, an odd modulus and a generator in range', () => {
    const { p: prime, g } = dhGroup('group14')
    expect(isDhGroup({ p: prime, g }, 2048, 8192)).toBe(true)
    const even = Buffer.from(prime)
    even[even.length - 1]! -= 1
    expect(isDhGroup({ p: prime, g }, 3072, 8192)).toBe(false)
    expect(isDhGroup({ p: dhGroup('group1').p, g }, 2048, 8192)).toBe(false)
    expect(isDhGroup({ p: even, g }, 2048, 8192)).toBe(false)
    for (const bad of [Buffer.of(0), Buffer.of(1), even, prime])
      expect(isDhGroup({ p: prime, g: bad }, 2048, 8192)).toBe(false)
  })

  test('are chosen by the wish: the next larger, else the largest', () => {
    const bits = (...sizes: [number, number, number]): number => bitLength(builtInGroup(...sizes)?.p ?? Buffer.alloc(0))
    expect(bits(2048, 3000, 8192)).toBe(3072)
    expect(bits(2048, 7680, 8192)).toBe(8192)
    expect(bits(2048, 7680, 5000)).toBe(4096)
    expect(bits(2049, 2050, 2060)).toBe(0)
  })
})
