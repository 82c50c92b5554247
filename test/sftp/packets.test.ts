import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { AnswerMemory } from '../../lib/sftp/answer-memory.ts'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { type ByteStream, type ByteStreamSink, PacketStream } from '../../lib/sftp/peer.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpServer } from '../../lib/sftp/server.ts'
import { SftpSession } from '../../lib/sftp/session.ts'
import { encode } from '../../lib/wire/writer.ts'
import { bytePair } from '../support/byte-pair.ts'

const length = 50_000
const count = 6

async function remote(files: MemoryFileSystem, chunk: number): Promise<RemoteFileSystem> {
  const [near, far] = bytePair(chunk)
  new SftpServer(far, files)
  return new RemoteFileSystem(await SftpSession.open(near))
}

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
        file.writeAt(index * length, content.subarray(index * length, (index + 1) * length)),
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
        const data = memory.room(100_000).subarray(0, [0, 4096, 8192, 8193, 40_000][(round + id) % 5]!)
        data.fill(`data of ${round} ${id}`)
        memory.keep(data.length)
        packets.begin(6, id).string(name).uint32(data.length)
        packets.send(data)
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
