import { spawn } from 'node:child_process'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import type { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { haveProgram } from '../support/programs.ts'
import { RawClient } from '../support/raw-sftp.ts'
import { sftpPair } from '../support/sftp-pair.ts'

/** What a client must not be able to do to a server and to what lies outside of its root. */

const { eof, failure, badMessage, unsupported } = { eof: 1, failure: 4, badMessage: 5, unsupported: 8 }

describe('packets', () => {
  const client = (): RawClient => new RawClient(new MemoryFileSystem())

  test.each([
    ['a length of 4 GiB', Buffer.from('ffffffff00', 'hex')],
    ['a length above the most', Buffer.from('0004000101', 'hex')],
    ['a length of nothing', Buffer.from('0000000001', 'hex')],
  ])('%s ends the session before anything is stored', async (_name, bytes) => {
    const raw = await client().begin()
    raw.say(bytes)
    expect(await raw.answer()).toBeUndefined()
    expect(await raw.server.closed).toMatchObject({ code: 'limit-exceeded' })
  })

  test('a request before INIT, and a second INIT, end the session', async () => {
    const early = client()
    early.packet(17, writer => writer.uint32(1).text('/'))
    expect(await early.server.closed).toMatchObject({ code: 'unexpected-message' })
    const late = await client().begin()
    late.packet(1, writer => writer.uint32(3))
    expect(await late.server.closed).toMatchObject({ code: 'unexpected-message' })
  })

  test('unknown requests and extensions are not supported, and the session goes on', async () => {
    const raw = await client().begin()
    expect(await raw.status(99, () => {})).toBe(unsupported)
    expect(await raw.status(200, writer => writer.text('evil@example.com').bytes(Buffer.alloc(100)))).toBe(unsupported)
    expect((await raw.ask(17, writer => writer.text('/')))[0]).toBe(105)
  })

  test.each([
    [
      'more extended attributes than bytes',
      (w: Parameters<Parameters<RawClient['ask']>[1]>[0]) => w.uint32(0xffffffff),
    ],
    [
      'an extended attribute that is cut off',
      (w: Parameters<Parameters<RawClient['ask']>[1]>[0]) => w.uint32(1).uint32(9),
    ],
  ])('%s: a bad message', async (_name, write) => {
    const raw = await client().begin()
    expect(await raw.status(14, writer => write(writer.text('/d').uint32(0x80000000)))).toBe(badMessage)
    expect(await raw.status(14, writer => writer.text('/d').uint32(0))).toBe(0)
  })

  test('a path with NUL is refused, and nothing of it is made', async () => {
    const raw = await client().begin()
    expect(await raw.status(14, writer => writer.text('/d\0evil').uint32(0))).toBe(badMessage)
    expect(await raw.status(17, writer => writer.text('/d'))).toBe(2)
  })

  test('offsets above 2^53 and 2^63 fail, and no file grows', async () => {
    const files = new MemoryFileSystem()
    const raw = await new RawClient(files).begin()
    const handle = await raw.open('/f', 0x1b)
    for (const high of [0x200000, 0x7fffffff, 0x80000000, 0xffffffff]) {
      const at = (writer: Parameters<Parameters<RawClient['ask']>[1]>[0]) =>
        writer.string(handle).uint32(high).uint32(1)
      expect(await raw.status(6, writer => at(writer).string(Buffer.from('x')))).toBe(badMessage)
      expect(await raw.status(5, writer => at(writer).uint32(10))).toBe(badMessage)
      expect(await raw.status(10, writer => writer.string(handle).uint32(1).uint32(high).uint32(1))).toBe(badMessage)
    }
    expect((await files.stat('/f')).size).toBe(0)
  })

  test('a READ of 4 GiB gets what one packet holds', async () => {
    const files = new MemoryFileSystem()
    const raw = await new RawClient(files).begin()
    const handle = await raw.open('/f', 0x1b)
    for (let at = 0; at < 4; at++)
      await raw.status(6, w =>
        w
          .string(handle)
          .uint32(0)
          .uint32(at * 200_000)
          .string(Buffer.alloc(200_000, 7)),
      )
    const answer = await raw.ask(5, writer => writer.string(handle).uint32(0).uint32(0).uint32(0xffffffff))
    expect(answer[0]).toBe(103)
    expect(answer.length).toBeLessThanOrEqual(256 * 1024)
    expect(await raw.status(5, w => w.string(handle).uint32(0).uint32(900_000).uint32(1))).toBe(eof)
  })
})

describe('handles', () => {
  test('are limited, and free again once closed', async () => {
    const files = new MemoryFileSystem()
    await (await files.open('/f', 0x1a)).close()
    const raw = await new RawClient(files, { maximumHandles: 10 }).begin()
    const handles: Buffer[] = []
    for (let i = 0; i < 10; i++) handles.push(await raw.open('/f'))
    for (let i = 0; i < 5; i++) {
      expect(await raw.status(3, writer => writer.text('/f').uint32(1).uint32(0))).toBe(failure)
      expect(await raw.status(11, writer => writer.text('/'))).toBe(failure)
    }
    expect(await raw.status(4, writer => writer.string(handles[3]!))).toBe(0)
    await raw.open('/f')
  })

  test('openings that fail take no place', async () => {
    const raw = await new RawClient(new MemoryFileSystem(), { maximumHandles: 2 }).begin()
    for (let i = 0; i < 20; i++) expect(await raw.status(3, w => w.text('/none').uint32(1).uint32(0))).toBe(2)
    await raw.open('/f', 0x1a)
  })

  test('cannot be guessed, do not outlive their end, and are of one kind', async () => {
    const raw = await new RawClient(new MemoryFileSystem()).begin()
    const handle = await raw.open('/f', 0x1b)
    const refused = async (bytes: Buffer): Promise<void> => {
      for (const type of [4, 8, 12]) expect(await raw.status(type, writer => writer.string(bytes))).toBe(failure)
      expect(await raw.status(5, w => w.string(bytes).uint32(0).uint32(0).uint32(1))).toBe(failure)
      expect(await raw.status(6, w => w.string(bytes).uint32(0).uint32(0).string(Buffer.from('x')))).toBe(failure)
    }
    for (let at = 0; at < handle.length; at++) {
      const other = Buffer.from(handle)
      other[at]! ^= 1
      await refused(other)
    }
    await refused(Buffer.alloc(0))
    await refused(handle.subarray(0, 4))
    await refused(Buffer.alloc(256))
    // A file is no directory, and a directory no file.
    expect(await raw.status(12, writer => writer.string(handle))).toBe(failure)
    const answer = await raw.ask(11, writer => writer.text('/'))
    const directory = Buffer.from(answer.subarray(9))
    expect(await raw.status(5, w => w.string(directory).uint32(0).uint32(0).uint32(1))).toBe(failure)
    expect(await raw.status(4, writer => writer.string(handle))).toBe(0)
    await refused(handle)
    // The next one is another, though it is the same file.
    expect((await raw.open('/f')).equals(handle)).toBe(false)
  })
})

test('a client that asks and does not read: the server stops reading, so little waits', async () => {
  const files = new MemoryFileSystem()
  const raw = await new RawClient(files).begin()
  const handle = await raw.open('/f', 0x1b)
  await raw.status(6, w => w.string(handle).uint32(0).uint32(0).string(Buffer.alloc(200_000)))
  raw.reads = false
  const before = raw.taken
  for (let i = 0; i < 20_000; i++) {
    raw.packet(5, w => w.uint32(i).string(handle).uint32(0).uint32(0).uint32(200_000))
    if (i % 1000 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  await new Promise(resolve => setTimeout(resolve, 50))
  const packet = 4 + 1 + 4 + 4 + handle.length + 8 + 4
  // At most 128 requests are looked at; all else stays in the window of the channel.
  expect((raw.taken - before) / packet).toBeLessThanOrEqual(130)
})

describe.skipIf(process.platform === 'win32')('a root', () => {
  let folder: string
  let files: LocalFileSystem
  let remote: RemoteFileSystem
  beforeEach(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'tssh-root-')))
    for (const name of ['root', 'root/in', 'root2', 'outside']) mkdirSync(join(folder, name))
    writeFileSync(join(folder, 'secret'), 'secret')
    writeFileSync(join(folder, 'root2/secret'), 'secret')
    writeFileSync(join(folder, 'outside/secret'), 'secret')
    writeFileSync(join(folder, 'root/in/own'), 'own')
    files = new LocalFileSystem({ root: join(folder, 'root') })
    remote = (await sftpPair(files)).files
  })
  afterEach(() => {
    files.close()
    rmSync(folder, { recursive: true, force: true })
  })

  /** What lies outside, which must stay as it is. */
  const outside = (): string[] =>
    ['', 'root2', 'outside'].flatMap(name =>
      readdirSync(join(folder, name))
        .filter(entry => entry !== 'root')
        .map(entry => {
          const stats = statSync(join(folder, name, entry))
          const text = stats.isFile() ? readFileSync(join(folder, name, entry), 'utf8') : ''
          return `${name}/${entry} ${stats.mode} ${stats.uid} ${stats.mtimeMs} ${stats.nlink} ${text}`
        }),
    )

  /** Everything that can be asked of a path. Resolves to what succeeded. */
  async function everything(path: string): Promise<string[]> {
    const done: string[] = []
    const attempt = async (name: string, action: () => Promise<unknown>): Promise<void> => {
      try {
        await action()
        done.push(name)
      } catch (error) {
        expect(error).toBeInstanceOf(SftpError)
        // The path that was asked for may be named, nothing else.
        expect((error as Error).message.replaceAll(path, '')).not.toContain(folder)
      }
    }
    await attempt('read', async () => {
      const file = await remote.open(path)
      try {
        expect((await file.read()).toString()).not.toBe('secret')
      } finally {
        await file.close()
      }
    })
    await attempt('stat', () => remote.stat(path))
    await attempt('lstat', () => remote.lstat(path))
    await attempt('list', async () => (await remote.opendir(path)).close())
    await attempt('statvfs', () => remote.statvfs(path))
    await attempt('readlink', () => remote.readlink(path))
    await attempt('chmod', () => remote.setstat(path, { permissions: 0o777 }))
    await attempt('truncate', () => remote.setstat(path, { size: 0 }))
    await attempt('utimes', () => remote.setstat(path, { atime: 1, mtime: 1 }))
    await attempt('lchmod', () => remote.lsetstat(path, { atime: 1, mtime: 1 }))
    await attempt('write', async () => {
      const file = await remote.open(path, 'r+')
      await file.write('evil', 0)
      await file.close()
    })
    await attempt('create', async () => (await remote.open(path, 'w')).close())
    await attempt('hard link', () => remote.link(path, `/in/link-${Math.random()}`))
    await attempt('link to it', () => remote.link('/in/own', path))
    await attempt('rename', () => remote.rename(path, '/in/renamed'))
    await attempt('rename to it', () => remote.rename('/in/own', path, true))
    await attempt('mkdir', () => remote.mkdir(path))
    await attempt('rmdir', () => remote.rmdir(path))
    await attempt('remove', () => remote.remove(path))
    return done
  }

  test.each([
    '/../secret',
    '../secret',
    '/in/../../secret',
    '/../root2/secret',
    '/..//./../outside/secret',
    '/proc/self/root/etc/passwd',
    '/etc/passwd',
    '/in/own/../../../secret',
  ])('%s is a path below it, whatever is asked', async path => {
    const before = outside()
    await everything(path)
    expect(outside()).toEqual(before)
  })

  test('its own path and its parents do not exist in it', async () => {
    for (const path of [folder, join(folder, 'root'), join(folder, 'secret'), `${folder}/root/in/own`])
      expect(await everything(path).then(done => done.filter(name => name === 'read' || name === 'stat'))).toEqual([])
  })

  test.each([
    ['an absolute link to a file', () => join(folder, 'secret')],
    ['a relative link to a file', () => '../../secret'],
    ['a link to a directory', () => '../../outside'],
    ['a link to nothing outside', () => '../../new'],
    ['a link through /proc', () => '/proc/self/cwd'],
    ['a long way up', () => '../'.repeat(60)],
  ])('%s, made before or by the client, leads nowhere', async (_name, target) => {
    const before = outside()
    for (const how of ['before', 'by the client'] as const) {
      const path = `/in/link ${how}`
      if (how === 'before') symlinkSync(target(), join(folder, 'root', path))
      else await remote.symlink(target(), path)
      for (const at of [path, `${path}/secret`, `${path}/../secret`, `${path}/new`]) {
        await everything(at)
        expect(outside()).toEqual(before)
        if (!existsSync(join(folder, 'root/in/own'))) writeFileSync(join(folder, 'root/in/own'), 'own')
      }
      expect(existsSync(join(folder, 'new'))).toBe(false)
    }
  })

  test('a file of the client with the path of a link: nothing is written through it', async () => {
    symlinkSync('../../new', join(folder, 'root/in/dangling'))
    await (await remote.open('/in/dangling', 'w')).close()
    // What the link leads to is below the root, as all paths are.
    expect(existsSync(join(folder, 'new'))).toBe(false)
    expect(existsSync(join(folder, 'root/new'))).toBe(true)
  })

  test('what exists outside and what does not cannot be told apart', async () => {
    const told = async (path: string): Promise<unknown> =>
      Promise.all(
        [() => remote.stat(path), () => remote.open(path), () => remote.opendir(path), () => remote.realpath(path)].map(
          ask => ask().then(String, (error: SftpError) => error.code),
        ),
      ).then(answers => answers.map(text => text.replace(path.split('/').at(-1)!, '')))
    for (const way of ['/..', '/in/link', '/in/link/..']) {
      if (!existsSync(join(folder, 'root/in/link'))) symlinkSync('../../outside', join(folder, 'root/in/link'))
      expect(await told(`${way}/secret`)).toEqual(await told(`${way}/nothing`))
    }
  })

  test('realpath shows paths below it, as the client sees them', async () => {
    expect(await remote.realpath('.')).toBe('/')
    expect(await remote.realpath('/../../in/./own')).toBe('/in/own')
    symlinkSync(join(folder, 'root/in'), join(folder, 'root/absolute'))
    await expect(remote.realpath('/absolute/own')).rejects.toMatchObject({ code: 'no-such-file' })
    expect(await remote.expandPath('~/in')).toBe('/in')
  })

  test('a hard link from outside is a file like any other, but none can be made to what is outside', async () => {
    linkSync(join(folder, 'secret'), join(folder, 'root/in/given'))
    expect((await (await remote.open('/in/given')).read()).toString()).toBe('secret')
    for (const from of ['/../secret', '../../outside/secret', join(folder, 'outside/secret')])
      await expect(remote.link(from, '/in/taken')).rejects.toBeInstanceOf(SftpError)
    expect(existsSync(join(folder, 'root/in/taken'))).toBe(false)
  })

  test.runIf(process.platform === 'linux' && haveProgram('python3'))(
    'a directory that turns into a link and back all the time: nothing outside is read or changed',
    async () => {
      mkdirSync(join(folder, 'root/real'))
      writeFileSync(join(folder, 'root/real/secret'), 'bait')
      const script = `
import os, sys
os.chdir(sys.argv[1])
os.symlink('../outside', 'link')
libc = __import__('ctypes').CDLL(None)
while os.path.exists('link'):
    libc.renameat2(-100, b'link', -100, b'real', 2)
`
      const racer = spawn('/usr/bin/python3', ['-c', script, join(folder, 'root')], { stdio: 'ignore' })
      const before = outside()
      const seen = new Set<string>()
      try {
        const end = Date.now() + 1500
        for (let round = 0; Date.now() < end; round++) {
          const path = '/real/secret'
          await Promise.allSettled([
            remote.open(path).then(async file => {
              seen.add((await file.read()).toString())
              await file.close()
            }),
            remote.open(path, 'r+').then(async file => {
              await file.write('bait', 0)
              await file.close()
            }),
            remote.open(`/real/new${round}`, 'w').then(file => file.close()),
            remote.setstat(path, { permissions: 0o640 }),
            remote.mkdir(`/real/dir${round}`),
            remote.symlink('x', `/real/sym${round}`),
            remote.rename('/in/own', `/real/own${round}`).then(() => remote.rename(`/real/own${round}`, '/in/own')),
            remote.link('/real/secret', `/in/hard${round}`),
            remote.opendir('/real').then(async directory => {
              const names = (await directory.read())?.map(({ name }) => name) ?? []
              if (names.includes('only-outside')) seen.add('listed')
              await directory.close()
            }),
          ])
        }
      } finally {
        racer.kill('SIGKILL')
      }
      expect(outside()).toEqual(before)
      expect([...seen].filter(text => text !== 'bait')).toEqual([])
      expect(seen.has('bait')).toBe(true)
    },
  )
})
