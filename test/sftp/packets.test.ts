import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpServer } from '../../lib/sftp/server.ts'
import { SftpSession } from '../../lib/sftp/session.ts'
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
