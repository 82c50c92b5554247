import { constants, createDeflate, deflateSync, inflateSync } from 'node:zlib'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { zlib, zlibDelayed } from '../../lib/algorithms/compression/zlib.ts'
import { ProtocolError } from '../../lib/errors.ts'

const limit = 256 * 1024

beforeAll(() => zlib.load!())

const compress = (payloads: readonly Buffer[]): Buffer[] => {
  const compressor = zlib.createCompressor!()
  return payloads.map(payload => Buffer.from(compressor.compress(payload)))
}

const decompress = (packets: readonly Buffer[]): Buffer[] => {
  const decompressor = zlib.createDecompressor!()
  return packets.map(packet => decompressor.decompress(packet, limit))
}

/** toEqual takes seconds for buffers of this size. */
const same = (a: readonly Buffer[], b: readonly Buffer[]): boolean =>
  a.length === b.length && a.every((each, i) => each.equals(b[i]!))

/** The same stream by Node's zlib, flushed after each payload. */
async function nodeStream(payloads: readonly Buffer[], flush: number): Promise<Buffer[]> {
  const stream = createDeflate({ flush: constants.Z_NO_FLUSH })
  const packets: Buffer[] = []
  let pieces: Buffer[] = []
  stream.on('data', (piece: Buffer) => pieces.push(piece))
  for (const payload of payloads) {
    stream.write(payload)
    await new Promise<void>(resolve => stream.flush(flush, resolve))
    packets.push(Buffer.concat(pieces))
    pieces = []
  }
  stream.destroy()
  return packets
}

const samples = [
  Buffer.from('a'),
  Buffer.from('the same text, the same text, the same text'),
  Buffer.alloc(32_768),
  Buffer.from('the same text, the same text, the same text'),
  Buffer.from(Array.from({ length: 70_000 }, (_, i) => (i * i * 2_654_435_761) >>> 23)),
  Buffer.alloc(limit, 'abcdefgh'),
]

test('only the delayed one waits for authentication', () => {
  expect([zlibDelayed.name, zlibDelayed.delayed]).toEqual(['zlib@openssh.com', true])
  expect([zlib.name, zlib.delayed]).toEqual(['zlib', false])
})

describe('one stream for all payloads', () => {
  test('they come back as they were, each from its own packet', () => {
    expect(same(decompress(compress(samples)), samples)).toBe(true)
  })

  test('any payloads', () => {
    const payload = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc
        .tuple(fc.nat(255), fc.integer({ min: 1, max: 150_000 }))
        .map(([byte, size]) => new Uint8Array(size).fill(byte)),
    )
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 6 }), list => {
        const payloads = list.map(each => Buffer.from(each))
        return same(decompress(compress(payloads)), payloads)
      }),
      { numRuns: 50 },
    )
  })

  test('what was said before makes a packet smaller', () => {
    const text = Buffer.from('all that was said before in this direction may be pointed at')
    const [first, , second] = compress([text, Buffer.alloc(500), text])
    expect(second!.length).toBeLessThan(first!.length)
  })

  test("Node's zlib reads it", () => {
    const stream = Buffer.concat(compress(samples))
    const options = { finishFlush: constants.Z_SYNC_FLUSH }
    expect(inflateSync(stream, options).equals(Buffer.concat(samples))).toBe(true)
  })

  test.each([
    ['partial', constants.Z_PARTIAL_FLUSH],
    ['sync', constants.Z_SYNC_FLUSH],
    ['full', constants.Z_FULL_FLUSH],
  ])("it reads Node's zlib with a %s flush", async (_name, flush) => {
    expect(same(decompress(await nodeStream(samples, flush)), samples)).toBe(true)
  })

  test('results are no views of one another', () => {
    const packets = compress([Buffer.from('first'), Buffer.from('other')])
    const decompressor = zlib.createDecompressor!()
    const first = decompressor.decompress(packets[0]!, limit)
    decompressor.decompress(packets[1]!, limit)
    expect(first.toString()).toBe('first')
  })
})

describe('hostile input', () => {
  const codeOf = (packet: Buffer, bound = limit): string => {
    try {
      zlib.createDecompressor!().decompress(packet, bound)
    } catch (error) {
      if (error instanceof ProtocolError) return error.code
      throw error
    }
    return 'taken'
  }

  test('a bomb ends at the limit', () => {
    const [bomb] = compress([Buffer.alloc(100 * 1024 * 1024)])
    expect(bomb!.length).toBeLessThan(limit)
    expect(codeOf(bomb!)).toBe('bad-compression')
  })

  test('the limit itself is allowed, one more is not', () => {
    const [packet] = compress([Buffer.alloc(1000)])
    expect(codeOf(packet!, 1000)).toBe('taken')
    expect(codeOf(packet!, 999)).toBe('bad-compression')
  })

  test.each([
    ['no zlib header', Buffer.from('hello, world')],
    ['a preset dictionary', deflateSync('text', { dictionary: Buffer.from('text') })],
    ['a stream that ends', deflateSync('text')],
    ['damage inside', Buffer.from([0x78, 0x9c, 0x07, 0xff, 0xff])],
  ])('%s is refused', (_name, packet) => {
    expect(codeOf(packet)).toBe('bad-compression')
  })

  test('any bytes end in an error of ours or in output within the limit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 500 }), bytes => {
        // A right header gets further.
        for (const packet of [Buffer.from(bytes), Buffer.from([0x78, 0x9c, ...bytes])]) codeOf(packet, 5000)
      }),
      { numRuns: 300 },
    )
  })
})
