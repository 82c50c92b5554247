import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collect, entriesOf } from '../../lib/sftp/tree.ts'
import { LocalFile } from '../../src/net/local-file.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-local-file-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe.each([false, true])('LocalFile that blocks: %s', blocking => {
  it('writes pieces that are given at once, in any order, where they belong', async () => {
    const path = join(folder, 'file')
    const file = new LocalFile(openSync(path, 'w+'), path, blocking)
    const pieces = Array.from({ length: 100 }, (_, index) => ({
      offset: index * 50_000,
      data: Buffer.alloc(50_000, index + 1),
    }))
    const shuffled = pieces.map((piece, index) => pieces[(index * 37) % 100] ?? piece)
    await Promise.all([...pieces.slice(0, 60), ...shuffled].map(({ offset, data }) => file.writeAt(offset, data)))
    await file.close()
    expect(readFileSync(path).equals(Buffer.concat(pieces.map(({ data }) => data)))).toBe(true)
  })

  it('lets the later of two writes to the same place win', async () => {
    const path = join(folder, 'file')
    const file = new LocalFile(openSync(path, 'w+'), path, blocking)
    const writes = ['aaaa', 'bb', 'c'].map(text => file.writeAt(0, Buffer.from(text)))
    const closed = file.close()
    await Promise.all(writes)
    await closed
    expect(readFileSync(path, 'latin1')).toBe('cbaa')
  })

  it('tells every writer of a failure, and closes', async () => {
    const path = join(folder, 'file')
    writeFileSync(path, 'old')
    const file = new LocalFile(openSync(path, 'r'), path, blocking)
    const writes = [0, 10, 20].map(offset => file.writeAt(offset, Buffer.alloc(10)))
    for (const write of writes) await expect(write).rejects.toMatchObject({ code: 'invalid-handle' })
    await file.close()
    await expect(file.writeAt(0, Buffer.alloc(1))).rejects.toMatchObject({ code: 'invalid-handle' })
    expect(readFileSync(path, 'latin1')).toBe('old')
  })

  it('reads into memory that it is given when that is large enough', async () => {
    const path = join(folder, 'file')
    writeFileSync(path, '0123456789')
    const file = new LocalFile(openSync(path, 'r'), path, blocking)
    const memory = Buffer.alloc(8, '-')
    const data = await file.readAt(2, 4, memory)
    expect([data.toString(), data.buffer === memory.buffer]).toEqual(['2345', true])
    expect((await file.readAt(0, 10, memory)).toString()).toBe('0123456789')
    await file.close()
  })
})

it('a blocking file system lists the same as one that is not', async () => {
  for (let index = 0; index < 200; index++) writeFileSync(join(folder, `file ${index}`), 'x'.repeat(index))
  mkdirSync(join(folder, 'below'))
  symlinkSync('nowhere', join(folder, 'link'))
  closeSync(openSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff, 0x41)]), 'w'))
  const [one, other] = await Promise.all(
    [{ blocking: 'always' as const }, {}].map(async options =>
      collect(entriesOf(new LocalFileSystem(options), folder)),
    ),
  )
  const byName = (entries: typeof one) => new Map(entries!.map(({ name, attributes }) => [name, attributes]))
  expect(one).toHaveLength(203)
  expect(byName(one)).toEqual(byName(other))
})
