import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { AnswerMemory } from '../../lib/sftp/answer-memory.ts'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { type ByteStream, type ByteStreamSink, PacketStream } from '../../lib/sftp/peer.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpServer } from '../../lib/sftp/server.ts'
import { SftpSession } from '../../lib/sftp/session.ts'
import { giveBack, room } from '../../lib/wire/room.ts'
import { encode } from '../../lib/wire/writer.ts'
import { bytePair } from '../support/byte-pair.ts'

const length = 50_000
const count = 6

async function remote(files: MemoryFileSystem, chunk: number): Promise<RemoteFileSystem> {
  const [near, far] = bytePair(chunk)
  new SftpServer(far, files)
  return new RemoteFileSystem(await SftpSession.open(near))
}

/** A copy of data with so many bytes in front of it, and their number. */
const inFrontOf = (data: Buffer, before: number): [Buffer, number] => [
  Buffer.concat([Buffer.alloc(before), data]).subarray(before),
  before,
]

describe.each([7, 1000, 32 * 1024, 1 << 20])('packets in pieces of %i bytes', chunk => {
  test('reads into memory that is used again', async () => {
    const content = randomBytes(length * count)
    const files = new MemoryFileSystem()
    await files.open('/f', OpenFlag.write | OpenFlag.create).then(file => file.writeAt(0, content))
    const file = await (await remote(files, chunk)).open('/f')
    const memories = [0, 1, 2].map(() => Buffer.alloc(length + 10, 0xee))
    for (let at = 0; at < count; at += memories.length) {
      const reads = memories.map((memory, index) => file.readAt((at + index) * length, length, memory))
      for (const [index, data] of (await Promise.all(reads)).entries()) {
        expect(data.equals(content.subarray((at + index) * length, (at + index + 1) * length))).toBe(true)
        if (chunk === 32 * 1024) expect(data.buffer).toBe(memories[index]!.buffer)
      }
    }
    for (const memory of memories) expect(memory.subarray(length)).toEqual(Buffer.alloc(10, 0xee))
    expect(await file.readAt(length * count - 5, length, memories[0])).toEqual(content.subarray(-5))
    expect(await file.readAt(length * count, length, memories[0])).toHaveLength(0)
  })

  test('writes whose packets the server puts together in the same memory', async () => {
    const content = randomBytes(length * count)
    const files = new MemoryFileSystem()
    const file = await (await remote(files, chunk)).open('/f', 'w')
    await Promise.all(
      Array.from({ length: count }, (_, index) =>
        file.writeAt(index * length, ...inFrontOf(content.subarray(index * length, (index + 1) * length), index * 20)),
      ),
    )
    await file.close()
    const written = await files.open('/f', OpenFlag.read)
    expect((await written.readAt(0, content.length)).equals(content)).toBe(true)
  })
})

/** Takes its time: what was written may not change until it is `taken`. */
class SlowStream implements ByteStream {
  sink: ByteStreamSink = { data() {} }
  readonly #written: Buffer[] = []
  readonly #taken: Buffer[] = []

  get queued(): number {
    return this.#written.reduce((sum, { length }) => sum + length, 0)
  }

  write(data: Buffer): boolean {
    this.#written.push(data)
    return true
  }

  take(): void {
    for (const data of this.#written.splice(0)) this.#taken.push(Buffer.from(data))
  }

  get all(): Buffer {
    return Buffer.concat(this.#taken)
  }

  consumed(): void {}
  eof(): void {}
  close(): void {}
  abort(): void {}
}

describe.each(['at once', 'late'])('a stream that takes data %s', when => {
  test('gets every packet as it was, whatever memory they were written to', async () => {
    const stream = new SlowStream()
    if (when === 'at once') {
      const { write } = stream
      stream.write = data => {
        const room = write.call(stream, data)
        stream.take()
        return room
      }
    }
    const memory = new AnswerMemory()
    const packets = new PacketStream(stream, { packet() {}, ended() {}, idle: () => memory.release() })
    const expected: Buffer[] = []
    for (let round = 0; round < 300; round++) {
      for (let id = 0; id < round % 5; id++) {
        const name = Buffer.alloc((round * 7 + id) % 90, `${round} ${id}`)
        const size = [0, 4096, 8192, 8193, 40_000][(round + id) % 5]!
        const before = [0, 20, 200][round % 3]!
        const data = memory.room(100_000).subarray(before, before + size)
        data.fill(`data of ${round} ${id}`)
        memory.keep(before + size)
        packets.begin(6, id).string(name).uint32(data.length)
        packets.send(data, before)
        expected.push(
          encode(writer => {
            writer
              .uint32(1 + 4 + 4 + name.length + 4 + data.length)
              .byte(6)
              .uint32(id)
            writer.string(name).string(data)
          }),
        )
      }
      await new Promise(resolve => setImmediate(resolve))
      if (round % 3 === 2) stream.take()
    }
    packets.end()
    stream.take()
    expect(stream.all.equals(Buffer.concat(expected))).toBe(true)
  })
})

describe('the memory that a large chunk came in', () => {
  const size = 60_000
  const placed = Buffer.alloc(size)
  const received: Buffer[] = []
  const packets = new PacketStream(new SlowStream(), {
    packet: packet => received.push(packet),
    place: head => (head[0] === 103 ? placed : undefined),
    placed: () => {},
    ended() {},
  })
  /** Sends the stream a packet in memory of `room`, cut in two. */
  const arrive = (type: number, cut: number): [Buffer, Buffer] => {
    const whole = encode(writer => {
      writer
        .uint32(9 + size)
        .byte(type)
        .uint32(1)
        .uint32(size)
        .bytes(Buffer.alloc(size, type))
    })
    const parts: [Buffer, Buffer] = [room(cut), room(whole.length - cut)]
    whole.copy(parts[0], 0, 0, cut)
    whole.copy(parts[1], 0, cut)
    for (const part of parts) packets.data(part)
    return parts
  }

  test('is used again once its packet was put together elsewhere', () => {
    const [first] = arrive(103, 30_000)
    expect(placed.equals(Buffer.alloc(size, 103))).toBe(true)
    const next = room(30_000)
    expect([next.buffer, next.byteOffset]).toEqual([first.buffer, first.byteOffset])
    giveBack(next)
    // Nothing of this slab is in use.
    expect(next.byteOffset).toBe(0)
  })

  test('is not while a packet is a view of it', () => {
    const short = encode(writer => writer.uint32(20_000).byte(1).uint32(2).bytes(Buffer.alloc(19_995, 7)))
    const chunk = room(short.length)
    short.copy(chunk)
    packets.data(chunk)
    room(30_000).fill(9)
    expect(received.at(-1)!.equals(short.subarray(4))).toBe(true)
  })
})
