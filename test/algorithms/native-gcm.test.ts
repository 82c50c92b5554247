import { createCipheriv, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { aes128Gcm, aes256Gcm, aesGcm } from '../../lib/algorithms/ciphers/aes-gcm.ts'
import { opensslGcm } from '../../src/native/openssl.ts'

/** What a provider costs to load is paid at once here. */
const eager = (...[key, direction]: Parameters<typeof opensslGcm>) =>
  opensslGcm(key, direction, Number.MAX_SAFE_INTEGER)

const available = typeof opensslGcm(Buffer.alloc(16), 'seal', Number.MAX_SAFE_INTEGER) === 'object'
const sizes = [16, 32, 48, 1024, 4096, 32_784, 131_072, 262_128]

function packetOf(length: number): Buffer {
  const packet = randomBytes(4 + length)
  packet.writeUInt32BE(length)
  return packet
}

const keysOf = (bits: 128 | 256, iv = randomBytes(12)) => ({ key: randomBytes(bits / 8), iv })

test.skipIf(!available)(
  'OpenSSL called directly seals what Node opens, packet by packet, and the other way round',
  () => {
    for (const bits of [128, 256] as const) {
      const plain = bits === 128 ? aes128Gcm : aes256Gcm
      // The counter in the IV carries over all of its 64 bits.
      for (const iv of [randomBytes(12), Buffer.concat([randomBytes(4), Buffer.alloc(8, 0xff)])]) {
        const keys = keysOf(bits, iv)
        const pairs = [
          [aesGcm(bits, eager).createSealer(keys), plain.createOpener(keys)],
          [plain.createSealer(keys), aesGcm(bits, eager).createOpener(keys)],
          [aesGcm(bits, eager).createSealer(keys), aesGcm(bits, eager).createOpener(keys)],
        ] as const
        for (const [sealer, opener] of pairs) {
          const kept: [Buffer, Buffer][] = []
          for (const [sequence, length] of sizes.entries()) {
            const packet = packetOf(length)
            const out: Buffer[] = []
            sealer.seal(sequence, packet, out)
            // As it lies in what was read: somewhere within.
            const arrived = Buffer.concat([randomBytes(7), ...out, randomBytes(9)])
            const sealed = arrived.subarray(7, arrived.length - 9)
            expect(opener.openLength(sequence, sealed.subarray(0, 4))).toBe(length)
            kept.push([opener.open(sequence, sealed), packet])
          }
          // Compared at the end: no packet was written over by a later one.
          for (const [opened, packet] of kept) expect(opened.equals(packet.subarray(4))).toBe(true)
        }
      }
    }
  },
)

test.skipIf(!available)('it writes the bytes that OpenSSL writes through Node', () => {
  const keys = keysOf(128)
  const packet = packetOf(32_768)
  const cipher = createCipheriv('aes-128-gcm', keys.key, keys.iv)
  cipher.setAAD(packet.subarray(0, 4))
  const expected = Buffer.concat([
    packet.subarray(0, 4),
    cipher.update(packet.subarray(4)),
    cipher.final(),
    cipher.getAuthTag(),
  ])
  const out: Buffer[] = []
  aesGcm(128, eager).createSealer(keys).seal(0, packet, out)
  expect(Buffer.concat(out).equals(expected)).toBe(true)
})

test.skipIf(!available)('a changed bit anywhere ends the connection', () => {
  for (const place of [0, 3, 4, 500, -17, -16, -1]) {
    const keys = keysOf(256)
    const out: Buffer[] = []
    aes256Gcm.createSealer(keys).seal(0, packetOf(1024), out)
    const sealed = Buffer.concat(out)
    sealed[place < 0 ? sealed.length + place : place]! ^= 0x10
    const open = () => aesGcm(256, eager).createOpener(keys).open(0, sealed)
    expect(open).toThrow(expect.objectContaining({ code: 'mac-mismatch' }))
  }
})

test('the change to a provider in the middle of a stream is not seen by the peer', () => {
  const keys = keysOf(128)
  let asked = 0
  const late = aesGcm(128, (key, direction, bytes) => {
    asked++
    return bytes < 100_000 ? undefined : (eager(key, direction, bytes) ?? 'never')
  })
  const [sealer, opener] = [late.createSealer(keys), late.createOpener(keys)]
  const [plainSealer, plainOpener] = [aes128Gcm.createSealer(keys), aes128Gcm.createOpener(keys)]
  for (let sequence = 0; sequence < 40; sequence++) {
    const packet = packetOf(8192)
    const [ours, plain]: Buffer[][] = [[], []]
    sealer.seal(sequence, packet, ours!)
    plainSealer.seal(sequence, packet, plain!)
    expect(Buffer.concat(ours!).equals(Buffer.concat(plain!))).toBe(true)
    expect(opener.open(sequence, Buffer.concat(plain!)).equals(packet.subarray(4))).toBe(true)
    expect(plainOpener.open(sequence, Buffer.concat(ours!)).equals(packet.subarray(4))).toBe(true)
  }
  // Until it answered, once a packet in each direction: 13 packets of 8 KiB are more than 100,000 bytes.
  expect(asked).toBe(2 * 14)
})
