import { createCipheriv } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { SftpVersion } from '../../lib/sftp/attributes.ts'
import { Lanes } from '../../lib/sftp/lanes.ts'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { transfer } from '../../lib/sftp/transfer.ts'
import { type SftpPair, sftpPair } from '../support/sftp-pair.ts'

const mib = 1024 * 1024

/** Bytes of which no part is like another. */
const content = (length: number): Buffer =>
  createCipheriv('aes-128-ctr', Buffer.alloc(16, 1), Buffer.alloc(16, 2)).update(Buffer.alloc(length))

async function store(files: MemoryFileSystem, path: string, data: Buffer): Promise<void> {
  const file = await files.open(path, OpenFlag.write | OpenFlag.create | OpenFlag.truncate)
  await file.writeAt(0, data)
  await file.close()
}

async function load(files: MemoryFileSystem, path: string): Promise<Buffer> {
  const file = await files.open(path, OpenFlag.read)
  const data = await file.readAt(0, (await file.stat()).size! + 1)
  await file.close()
  return Buffer.from(data)
}

/** In so many steps that lanes open before the end. */
const slowly = { maximumRequests: 4, blockSize: 65_536 }

/** A far server whose path is long, and what went over each lane. */
async function farFiles({
  version = 3,
  lanes = 3,
  milliseconds = 50,
  others = undefined as MemoryFileSystem | undefined,
}: {
  version?: SftpVersion
  lanes?: number
  milliseconds?: number
  others?: MemoryFileSystem | undefined
}) {
  const there = new MemoryFileSystem()
  const options = { session: { version }, server: { version } }
  const first = await sftpPair(there, options)
  first.session.roundTrip = milliseconds
  const more: SftpPair[] = []
  let opened = 0
  const open = async () => {
    if (++opened > lanes) throw new Error('no more sessions')
    const pair = await sftpPair(others ?? there, options)
    more.push(pair)
    return pair.session
  }
  return { there, first, more, files: new RemoteFileSystem(first.session, new Lanes(open)) }
}

describe.each([3, 6] as const)('version %i', version => {
  test('a large file on a long path goes over several lanes, and is whole', async () => {
    const { there, files, more } = await farFiles({ version })
    const here = new MemoryFileSystem()
    const data = content(12 * mib)
    await store(here, '/f', data)
    const report = await transfer({ files: here, path: '/f' }, { files, path: '/g' }, { atomic: true, ...slowly })
    expect(report).toMatchObject({ files: 1, failures: [], end: 'complete' })
    expect((await load(there, '/g')).equals(data)).toBe(true)
    expect(more).toHaveLength(3)
    for (const pair of more) expect(pair.bytes).toBeGreaterThan(mib / 2)
  })
})

test('a server that gives fewer sessions has fewer lanes', async () => {
  const { there, files, more } = await farFiles({ lanes: 1 })
  const here = new MemoryFileSystem()
  const data = content(12 * mib)
  await store(here, '/f', data)
  const report = await transfer({ files: here, path: '/f' }, { files, path: '/g' })
  expect(report).toMatchObject({ files: 1, failures: [] })
  expect((await load(there, '/g')).equals(data)).toBe(true)
  expect(more).toHaveLength(1)
})

test.each([
  ['a small file', 3 * mib, 50],
  ['a short path', 12 * mib, 1],
])('%s has one lane', async (_what, length, milliseconds) => {
  const { files, more } = await farFiles({ milliseconds })
  const here = new MemoryFileSystem()
  await store(here, '/f', content(length))
  await transfer({ files: here, path: '/f' }, { files, path: '/g' })
  expect(more).toHaveLength(0)
})

test('a lane on which another file has the name is not used', async () => {
  const others = new MemoryFileSystem()
  const foreign = content(mib).reverse()
  await store(others, '/g', foreign)
  const { there, files, more } = await farFiles({ others })
  const here = new MemoryFileSystem()
  const data = content(12 * mib)
  await store(here, '/f', data)
  const report = await transfer({ files: here, path: '/f' }, { files, path: '/g' }, slowly)
  expect(report).toMatchObject({ files: 1, failures: [] })
  expect((await load(there, '/g')).equals(data)).toBe(true)
  expect((await load(others, '/g')).equals(foreign)).toBe(true)
  expect(more).toHaveLength(3)
})
