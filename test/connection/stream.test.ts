import { PassThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it } from 'vitest'
import { writeHighWaterMark } from '../../lib/connection/channel.ts'
import type { ConnectionOptions } from '../../lib/connection/connection.ts'
import { HeldData } from '../../lib/connection/held-data.ts'
import { ChannelStream } from '../../lib/connection/stream.ts'
import { ConnectionLostError } from '../../lib/errors.ts'
import { type FakePair, fakePair } from '../support/fake-transport.ts'
import { bytes } from './helpers.ts'

function streamPair(options: ConnectionOptions = {}): FakePair & { ours: ChannelStream; theirs: ChannelStream } {
  const theirs = new ChannelStream()
  const accept = (opening: { accept(sink: ChannelStream['sink']): unknown }) => void opening.accept(theirs.sink)
  const pair = fakePair({}, { ...options, channelTypes: new Map([['test', accept]]) })
  const ours = new ChannelStream()
  pair.client.openChannel('test', ours.sink).catch(() => {})
  return { ...pair, ours, theirs }
}

/** Reads to the end by events: an async iterator would destroy the stream there. */
function collect(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return new Promise((resolve, reject) => {
    stream.on('end', () => resolve(Buffer.concat(chunks))).on('error', reject)
  })
}

describe('a channel stream', () => {
  it('takes data before the channel is open, and closes the channel when both directions ended', async () => {
    const pair = streamPair()
    pair.ours.end('question')
    const theirs = collect(pair.theirs)
    const ours = collect(pair.ours)
    await pair.settle()
    expect((await theirs).toString()).toBe('question')
    expect(pair.theirs.destroyed).toBe(false)
    pair.theirs.end('answer')
    await pair.settle()
    expect((await ours).toString()).toBe('answer')
    expect(pair.client.channels.size + pair.server.channels.size).toBe(0)
    expect([pair.ours.destroyed, pair.theirs.destroyed]).toEqual([true, true])
  })

  it('lets the peer send no more than is read', async () => {
    const pair = streamPair()
    await pair.settle()
    let written = 0
    const chunk = bytes(65536)
    const source = new PassThrough()
    const piped = pipeline(source, pair.ours).catch(() => {})
    for (let round = 0; round < 100; round++) {
      source.write(chunk)
      written += chunk.length
    }
    await pair.settle()
    const window = 2 * 1024 * 1024
    const received = written - source.readableLength - source.writableLength - pair.ours.writableLength
    expect(pair.ours.channel!.queued).toBeLessThanOrEqual(writeHighWaterMark + chunk.length)
    // What arrived: the window, and what the stream took over ahead of its reader.
    expect(received - pair.ours.channel!.queued).toBeLessThanOrEqual(window + 128 * 1024)
    source.end()
    const all = collect(pair.theirs)
    await pair.settle()
    expect((await all).length).toBe(written)
    await pair.settle()
    pair.theirs.destroy()
    await pair.settle()
    await piped
  })

  it('carries stderr apart', async () => {
    const pair = streamPair()
    await pair.settle()
    const error = collect(pair.ours.stderr)
    pair.theirs.channel!.writeExtended(1, Buffer.from('warning'))
    pair.theirs.channel!.writeExtended(2, bytes(100))
    pair.theirs.end('text')
    const plain = collect(pair.ours)
    await pair.settle()
    expect([(await plain).toString(), (await error).toString()]).toEqual(['text', 'warning'])
  })

  it('closes at once when it is destroyed, before or after the opening', async () => {
    const early = streamPair()
    early.ours.destroy()
    await early.settle()
    expect(early.client.channels.size + early.server.channels.size).toBe(0)
    expect(early.ours.closed).toBe(true)

    const late = streamPair({ window: 10 })
    late.ours.write(bytes(1000))
    await late.settle()
    late.ours.destroy()
    await late.settle()
    expect(late.client.channels.size + late.server.channels.size).toBe(0)
  })

  it('fails with the error of the connection', async () => {
    const pair = streamPair()
    await pair.settle()
    const error = new ConnectionLostError('reset', 'cut')
    const failed = new Promise(resolve => pair.ours.on('error', resolve))
    pair.theirs.on('error', () => {})
    pair.clientTransport.end(error)
    pair.serverTransport.end(error)
    expect(await failed).toBe(error)
  })

  it('fails to write once the peer closed', async () => {
    const pair = streamPair({ window: 10 })
    await pair.settle()
    const failed = new Promise(resolve => pair.ours.on('error', resolve))
    pair.ours.write(bytes(writeHighWaterMark + 100))
    await pair.settle()
    pair.theirs.channel!.close()
    await pair.settle()
    expect(await failed).toMatchObject({ code: 'EPIPE' })
    expect(pair.client.channels.size).toBe(0)
  })

  it('delivers what was read late, after the peer closed', async () => {
    const pair = streamPair()
    await pair.settle()
    pair.theirs.channel!.write(bytes(200_000))
    pair.theirs.channel!.close()
    await pair.settle()
    expect((await collect(pair.ours)).equals(bytes(200_000))).toBe(true)
  })
})

describe('held data', () => {
  it('comes out as it went in, types apart', () => {
    const held = new HeldData()
    const pieces: [number, Buffer][] = []
    for (let count = 0; count < 2000; count++) {
      const piece: [number, Buffer] = [count % 7 === 0 ? 1 : 0, bytes((count * 37) % 1500, count)]
      pieces.push(piece)
      held.push(...piece)
    }
    const of = (type: number) => Buffer.concat(pieces.filter(each => each[0] === type).map(each => each[1]))
    const out: { type: number; data: Buffer }[] = []
    for (let piece = held.shift(); piece; piece = held.shift()) out.push({ type: piece.type, data: piece.data })
    expect(Buffer.concat(out.map(each => each.data)).equals(Buffer.concat(pieces.map(each => each[1])))).toBe(true)
    for (const type of [0, 1]) {
      expect(Buffer.concat(out.filter(each => each.type === type).map(each => each.data)).equals(of(type))).toBe(true)
    }
    expect(held.isEmpty).toBe(true)
  })

  it('gathers tiny pieces, also while others are taken out', () => {
    const held = new HeldData()
    for (let count = 0; count < 100_000; count++) held.push(0, Buffer.from([count & 0xff]))
    let pieces = 0
    const first = held.shift()!
    held.push(0, Buffer.from('tail'))
    const all = [first.data]
    for (let piece = held.shift(); piece; piece = held.shift(), pieces++) all.push(piece.data)
    expect(pieces).toBeLessThan(10)
    expect(Buffer.concat(all).length).toBe(100_004)
    expect(all.at(-1)!.subarray(-4).toString()).toBe('tail')
  })
})
