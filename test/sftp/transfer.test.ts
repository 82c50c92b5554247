import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { joinPath } from '../../lib/sftp/paths.ts'
import { ReadOnlyFileSystem } from '../../lib/sftp/read-only-filesystem.ts'
import { type TransferOptions, transfer } from '../../lib/sftp/transfer.ts'
import { walk } from '../../lib/sftp/tree.ts'
import { type PairOptions, sftpPair } from '../support/sftp-pair.ts'

const creating = OpenFlag.write | OpenFlag.create | OpenFlag.truncate

async function put(files: FileSystem, path: string, data: Buffer, permissions = 0o644): Promise<void> {
  const file = await files.open(path, creating, { permissions })
  for (let at = 0; at < data.length; at += 200_000) await file.writeAt(at, data.subarray(at, at + 200_000))
  await file.close()
}

/** The same files with some methods of another kind. */
function overridden(files: FileSystem, methods: Partial<FileSystem>): FileSystem {
  return new Proxy(files, {
    get(target, name) {
      if (name in methods) return methods[name as keyof FileSystem]
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function contents(files: FileSystem, path: string): Promise<Buffer> {
  const file = await files.open(path, OpenFlag.read)
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const data = await file.readAt(at, 1 << 20)
    if (data.length === 0) break
    parts.push(data)
    at += data.length
  }
  await file.close()
  return Buffer.concat(parts)
}

/** Everything below a directory: type, permissions, time and content of each name. */
async function picture(files: FileSystem, path: string, times = false): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for await (const { path: at, directories, files: others } of walk(files, path)) {
    for (const { name } of [...directories, ...others]) {
      const whole = joinPath(at, name)
      const { type, permissions = 0, mtime } = await files.lstat(whole)
      const what =
        type === 'file'
          ? createHash('sha256')
              .update(await contents(files, whole))
              .digest('hex')
          : type === 'symlink'
            ? await files.readlink(whole)
            : ''
      found[whole.slice(path.length)] = `${type} ${permissions.toString(8)} ${times ? mtime : ''} ${what}`
    }
  }
  return found
}

async function tree(): Promise<MemoryFileSystem> {
  const files = new MemoryFileSystem()
  await files.mkdir('/t')
  await files.mkdir('/t/empty')
  await files.mkdir('/t/a')
  await files.mkdir('/t/a/b', { permissions: 0o755 })
  await put(files, '/t/nothing', Buffer.alloc(0))
  await put(files, '/t/-dash', Buffer.from('dash'), 0o600)
  await put(files, '/t/line\nbreak', Buffer.from('x'))
  await put(files, '/t/caf\u00e9', Buffer.from('utf8'))
  await put(files, '/t/bytes\udcff\udc80', Buffer.from('not utf8'))
  await put(files, `/t/${'n'.repeat(255)}`, Buffer.from('long'))
  await put(files, '/t/a/large', randomBytes(3_000_001))
  for (let i = 0; i < 300; i++) await put(files, `/t/a/b/${i}`, randomBytes(i * 7), i % 2 ? 0o644 : 0o755)
  await files.setstat('/t/a/large', { atime: 1_000_000_000, mtime: 1_100_000_000 })
  return files
}

describe('trees', () => {
  test.each(['get', 'put', 'remote to remote', 'local'] as const)('%s', async way => {
    const files = await tree()
    const there = new MemoryFileSystem()
    const source = way === 'get' || way === 'remote to remote' ? (await sftpPair(files)).files : files
    const target = way === 'put' || way === 'remote to remote' ? (await sftpPair(there)).files : there
    const seen: string[] = []
    const report = await transfer(
      { files: source, path: '/t' },
      { files: target, path: '/copy' },
      {
        recurse: true,
        preserve: true,
        observer: { done: file => seen.push(file.source) },
      },
    )
    expect(report).toMatchObject({ files: 307, directories: 4, failures: [], end: 'complete' })
    expect(seen).toHaveLength(307)
    expect(await picture(there, '/copy', true)).toEqual(await picture(files, '/t', true))
  })

  test('without recurse a directory is a failure', async () => {
    const report = await transfer({ files: await tree(), path: '/t' }, { files: new MemoryFileSystem(), path: '/t' })
    expect(report.failures.map(({ code }) => code)).toEqual(['file-is-a-directory'])
  })

  test('a directory that nobody may write gets its mode at the end', async () => {
    const files = new MemoryFileSystem()
    await files.mkdir('/t', { permissions: 0o755 })
    await put(files, '/t/x', Buffer.from('x'))
    await files.setstat('/t', { permissions: 0o555 })
    const there = new MemoryFileSystem()
    await transfer({ files, path: '/t' }, { files: there, path: '/t' }, { recurse: true })
    expect((await there.stat('/t')).permissions).toBe(0o555)
    expect((await contents(there, '/t/x')).toString()).toBe('x')
  })
})

describe('links', () => {
  async function linked(): Promise<MemoryFileSystem> {
    const files = new MemoryFileSystem()
    await files.mkdir('/t')
    await files.mkdir('/t/d')
    await put(files, '/t/d/file', Buffer.from('1'))
    await files.symlink('d/file', '/t/to-file')
    await files.symlink('d', '/t/to-directory')
    await files.symlink('nowhere', '/t/broken')
    return files
  }

  test('follow', async () => {
    const there = new MemoryFileSystem()
    const report = await transfer(
      { files: await linked(), path: '/t' },
      { files: there, path: '/t' },
      { recurse: true },
    )
    expect(report.failures.map(({ source, code }) => [source, code])).toEqual([['/t/broken', 'no-such-file']])
    expect(Object.keys(await picture(there, '/t')).sort()).toEqual(
      ['/d', '/d/file', '/to-directory', '/to-directory/file', '/to-file'].sort(),
    )
  })

  test('copy', async () => {
    const files = await linked()
    const there = new MemoryFileSystem()
    const options: TransferOptions = { recurse: true, links: 'copy' }
    const report = await transfer({ files, path: '/t' }, { files: there, path: '/t' }, options)
    expect(report).toMatchObject({ links: 3, failures: [] })
    expect(await picture(there, '/t')).toEqual(await picture(files, '/t'))
    // Once more: links are replaced.
    expect(await transfer({ files, path: '/t' }, { files: there, path: '/t' }, options)).toMatchObject({ failures: [] })
  })

  test('skip', async () => {
    const there = new MemoryFileSystem()
    const skipped: string[] = []
    await transfer(
      { files: await linked(), path: '/t' },
      { files: there, path: '/t' },
      {
        recurse: true,
        links: 'skip',
        observer: { skipped: source => skipped.push(source) },
      },
    )
    expect(skipped.sort()).toEqual(['/t/broken', '/t/to-directory', '/t/to-file'])
    expect(Object.keys(await picture(there, '/t'))).toEqual(['/d', '/d/file'])
  })

  test('a loop ends, and the rest is there', async () => {
    const files = new MemoryFileSystem()
    await files.mkdir('/t')
    await files.mkdir('/t/d')
    await files.symlink('../..', '/t/d/up')
    await files.symlink('.', '/t/d/self')
    await put(files, '/t/d/file', Buffer.from('1'))
    const there = new MemoryFileSystem()
    const report = await transfer({ files, path: '/t' }, { files: there, path: '/copy' }, { recurse: true })
    expect(report.failures.length).toBeGreaterThan(0)
    expect(new Set(report.failures.map(({ code }) => code))).toEqual(new Set(['link-loop']))
    expect((await contents(there, '/copy/d/file')).toString()).toBe('1')
  })
})

describe('one file', () => {
  const data = randomBytes(5_000_000)

  async function copy(options: TransferOptions, target = new MemoryFileSystem(), pair: PairOptions = {}) {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const remote = await sftpPair(source, pair)
    const report = await transfer({ files: remote.files, path: '/f' }, { files: target, path: '/f' }, options)
    return { report, target, remote }
  }

  test('a missing source leaves the target alone', async () => {
    const target = new MemoryFileSystem()
    await put(target, '/f', Buffer.from('old'))
    const report = await transfer({ files: new MemoryFileSystem(), path: '/f' }, { files: target, path: '/f' })
    expect(report.failures).toMatchObject([{ code: 'no-such-file', step: 'look' }])
    expect((await contents(target, '/f')).toString()).toBe('old')
  })

  test('onto itself is refused', async () => {
    const files = new MemoryFileSystem()
    await put(files, '/f', data)
    await files.symlink('f', '/link')
    const report = await transfer({ files, path: '/f' }, { files, path: '/link' })
    expect(report.failures).toHaveLength(1)
    expect((await contents(files, '/f')).equals(data)).toBe(true)
  })

  test('small blocks, few requests, a rate', async () => {
    const { report, target } = await copy({ blockSize: 1000, maximumRequests: 3, rate: 1e9 })
    expect(report.failures).toEqual([])
    expect((await contents(target, '/f')).equals(data)).toBe(true)
  })

  test('answers that are always short', async () => {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const short: FileSystem = overridden(source, {
      open: async (path: string, flags: number) => {
        const file = await source.open(path, flags)
        return { ...file, readAt: (offset: number, length: number) => file.readAt(offset, Math.ceil(length / 3)) }
      },
    })
    const target = new MemoryFileSystem()
    const { files } = await sftpPair(short)
    const report = await transfer({ files, path: '/f' }, { files: target, path: '/f' })
    expect(report.failures).toEqual([])
    expect((await contents(target, '/f')).equals(data)).toBe(true)
  })

  test('a file that says size 0 and has data', async () => {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const lying: FileSystem = overridden(source, {
      stat: async (path: string) => ({ ...(await source.stat(path)), size: 0 }),
      open: async (path: string, flags: number) => {
        const file = await source.open(path, flags)
        return { ...file, stat: async () => ({ ...(await file.stat()), size: 0 }) }
      },
    })
    const target = new MemoryFileSystem()
    const report = await transfer({ files: (await sftpPair(lying)).files, path: '/f' }, { files: target, path: '/f' })
    expect(report.failures).toEqual([])
    expect((await contents(target, '/f')).equals(data)).toBe(true)
  })

  test('a full disk: the error says so, atomic keeps the old file and leaves nothing else', async () => {
    const target = new MemoryFileSystem({ capacity: 2_000_000 })
    await put(target, '/f', Buffer.from('old'))
    const { report } = await copy({ atomic: true }, target)
    expect(report.failures).toMatchObject([{ code: 'no-space-on-filesystem', step: 'write' }])
    expect(await picture(target, '/')).toHaveProperty('f')
    expect(Object.keys(await picture(target, '/'))).toHaveLength(1)
    expect((await contents(target, '/f')).toString()).toBe('old')
  })

  test('atomic replaces', async () => {
    const target = new MemoryFileSystem()
    await put(target, '/f', Buffer.from('old'))
    expect((await copy({ atomic: true }, target)).report.failures).toEqual([])
    expect(Object.keys(await picture(target, '/'))).toHaveLength(1)
    expect((await contents(target, '/f')).equals(data)).toBe(true)
  })

  test('a read-only target', async () => {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const { files } = await sftpPair(new ReadOnlyFileSystem(new MemoryFileSystem()))
    const report = await transfer({ files: source, path: '/f' }, { files, path: '/f' })
    expect(report.failures).toMatchObject([{ code: 'permission-denied', step: 'open-target' }])
  })

  test('an abort cuts the target to a whole beginning', async () => {
    const target = new MemoryFileSystem()
    const stop = new AbortController()
    const { report } = await copy(
      {
        signal: stop.signal,
        blockSize: 10_000,
        maximumRequests: 4,
        observer: {
          progress: ({ bytes }) => {
            if (bytes > 1_000_000) stop.abort()
          },
        },
      },
      target,
    )
    expect(report.end).toBe('aborted')
    const got = await contents(target, '/f')
    expect(got.length).toBeGreaterThan(900_000)
    expect(got.length).toBeLessThan(data.length)
    expect(got.equals(data.subarray(0, got.length))).toBe(true)
  })

  test.each(['shrinks', 'changes'] as const)('a source that %s meanwhile is an error', async how => {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const target = new MemoryFileSystem()
    let state: 'before' | 'after' = 'before'
    const report = await transfer(
      { files: (await sftpPair(source)).files, path: '/f' },
      { files: target, path: '/f' },
      {
        blockSize: 10_000,
        maximumRequests: 4,
        observer: {
          progress: ({ bytes }) => {
            if (bytes < 1_000_000 || state === 'after') return
            state = 'after'
            void source.setstat('/f', how === 'shrinks' ? { size: 2_000_000 } : { atime: 5, mtime: 5 })
          },
        },
      },
    )
    expect(report.failures).toHaveLength(1)
    expect(report.failures[0]!.message).toMatch(/shrank|changed/)
  })

  test('a source that grows is copied to its end', async () => {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const target = new MemoryFileSystem()
    let state: 'before' | 'after' = 'before'
    const report = await transfer(
      { files: (await sftpPair(source)).files, path: '/f' },
      { files: target, path: '/f' },
      {
        blockSize: 10_000,
        maximumRequests: 4,
        observer: {
          progress: () => {
            if (state === 'after') return
            state = 'after'
            void source.open('/f', OpenFlag.write).then(file => file.writeAt(data.length, Buffer.from('more')))
          },
        },
      },
    )
    expect(report.failures).toEqual([])
    expect((await contents(target, '/f')).equals(Buffer.concat([data, Buffer.from('more')]))).toBe(true)
  })
})

describe('holes', () => {
  test.each(['get', 'put'] as const)('%s', async way => {
    const size = 40_000_000
    const source = new MemoryFileSystem()
    const data = Buffer.alloc(size)
    randomBytes(100_000).copy(data, 0)
    randomBytes(100_000).copy(data, 20_000_000)
    await put(source, '/f', data)
    const there = new MemoryFileSystem()
    const pair = await sftpPair(way === 'get' ? source : there)
    const [from, to] = way === 'get' ? [pair.files, there] : [source, pair.files]
    const report = await transfer({ files: from, path: '/f' }, { files: to, path: '/f' })
    expect(report.failures).toEqual([])
    expect((await contents(there, '/f')).equals(data)).toBe(true)
    // The holes did not go over the line.
    expect(pair.bytes).toBeLessThan(1_000_000)
  })
})

describe('resuming', () => {
  const data = randomBytes(3_000_000)

  async function resume(present: Buffer, options: TransferOptions, way: 'get' | 'put' = 'put') {
    const source = new MemoryFileSystem()
    const there = new MemoryFileSystem()
    await put(source, '/f', data)
    await put(there, '/f', present)
    const pair = await sftpPair(way === 'put' ? there : source)
    const [from, to] = way === 'get' ? [pair.files, there] : [source, pair.files]
    const report = await transfer({ files: from, path: '/f' }, { files: to, path: '/f' }, options)
    return { report, got: await contents(there, '/f'), pair }
  }

  test.each(['get', 'put'] as const)('%s: a good beginning stays, told by checksums', async way => {
    const { report, got, pair } = await resume(data.subarray(0, 2_900_000), { resume: 'verify' }, way)
    expect(report).toMatchObject({ failures: [], bytes: 100_000 })
    expect(got.equals(data)).toBe(true)
    if (way === 'put') expect(pair.bytes).toBeLessThan(3_200_000)
  })

  test('a bad byte in what is there is found', async () => {
    const bad = Buffer.from(data.subarray(0, 2_900_000))
    bad[1_234_567]! ^= 1
    const { report, got } = await resume(bad, { resume: 'verify' })
    expect(report.failures).toEqual([])
    expect(report.bytes).toBeGreaterThan(100_000)
    expect(got.equals(data)).toBe(true)
  })

  test('by size alone, as OpenSSH', async () => {
    const { report, got } = await resume(Buffer.alloc(2_900_000), { resume: 'size' })
    expect(report).toMatchObject({ failures: [], bytes: 100_000 })
    expect(got.subarray(2_900_000).equals(data.subarray(2_900_000))).toBe(true)
  })

  test('a larger target is refused and left alone', async () => {
    const large = randomBytes(3_000_001)
    const { report, got } = await resume(large, { resume: 'verify' })
    expect(report.failures).toMatchObject([{ step: 'resume' }])
    expect(got.equals(large)).toBe(true)
  })

  test('no target yet', async () => {
    const { report, got } = await resume(Buffer.alloc(0), { resume: 'verify', atomic: true })
    expect(report.failures).toEqual([])
    expect(got.equals(data)).toBe(true)
  })
})

describe('a lost connection', () => {
  const data = randomBytes(2_000_000)

  /** A generator of numbers below 1 that a seed determines. */
  const random = (seed: number) => () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    return seed / 2 ** 32
  }

  test('without retry the transfer ends, and says so', async () => {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const { files } = await sftpPair(source, { cutAfter: 700_000 })
    const target = new MemoryFileSystem()
    const report = await transfer({ files, path: '/f' }, { files: target, path: '/f' })
    expect(report.end).toBe('lost')
    expect(report.failures).toMatchObject([{ code: 'connection-lost' }])
    const got = await contents(target, '/f')
    expect(got.equals(data.subarray(0, got.length))).toBe(true)
  })

  test.each(['get', 'put'] as const)('%s: cut at any byte and resumed, it is identical', async way => {
    for (let seed = 1; seed <= 25; seed++) {
      const next = random(seed)
      const source = new MemoryFileSystem()
      await put(source, '/f', data)
      const there = new MemoryFileSystem()
      let report = { end: 'lost' }
      for (let attempt = 0; attempt < 200 && report.end === 'lost'; attempt++) {
        try {
          const cutAfter = Math.floor(next() * 1_500_000) + attempt * 300_000
          const pair = await sftpPair(way === 'get' ? source : there, { cutAfter })
          const [from, to] = way === 'get' ? [pair.files, there] : [source, pair.files]
          report = await transfer({ files: from, path: '/f' }, { files: to, path: '/f' }, { resume: 'verify' })
        } catch {
          // Cut before the session began.
        }
      }
      expect(report).toMatchObject({ end: 'complete', failures: [] })
      expect((await contents(there, '/f')).equals(data), `seed ${seed}`).toBe(true)
    }
  })

  test.each(['get', 'put'] as const)('%s: a tree over connections that keep breaking', async way => {
    const source = await tree()
    const there = new MemoryFileSystem()
    const next = random(7)
    let connections = 0
    const connect = async () => {
      connections++
      return (await sftpPair(way === 'get' ? source : there, { cutAfter: 400_000 + next() * 400_000 })).files
    }
    const remote = await connect()
    const [from, to] = way === 'get' ? [remote, there] : [source, remote]
    const report = await transfer(
      { files: from, path: '/t' },
      { files: to, path: '/t' },
      {
        recurse: true,
        blockSize: 32_768,
        maximumRequests: 4,
        retry: {
          attempts: 100,
          backoff: () => 0,
          reconnect: async () => ({ [way === 'get' ? 'source' : 'target']: await connect() }),
        },
      },
    )
    expect(connections).toBeGreaterThan(2)
    expect(report).toMatchObject({ end: 'complete', failures: [] })
    expect(await picture(there, '/t')).toEqual(await picture(source, '/t'))
  })
})

describe('a server that misbehaves', () => {
  const data = randomBytes(2_000_000)
  /** Type of a packet with its length before it. */
  const typeOf = (packet: Buffer): number => packet[4]!
  const dataType = 103

  async function get(pair: PairOptions) {
    const source = new MemoryFileSystem()
    await put(source, '/f', data)
    const target = new MemoryFileSystem()
    await put(target, '/f', Buffer.from('old'))
    const { files } = await sftpPair(source, pair)
    const report = await transfer({ files, path: '/f' }, { files: target, path: '/f' }, { atomic: true })
    return { report, got: await contents(target, '/f') }
  }

  test('answers in another order are fine', async () => {
    let held: Buffer | undefined
    const tamper = (packet: Buffer): Buffer[] => {
      if (typeOf(packet) !== dataType) {
        const out = held ? [held, packet] : [packet]
        held = undefined
        return out
      }
      if (!held) {
        held = packet
        return []
      }
      const out = [packet, held]
      held = undefined
      return out
    }
    const { report, got } = await get({ tamper })
    expect(report.failures).toEqual([])
    expect(got.equals(data)).toBe(true)
  })

  const wrongLength = (packet: Buffer): Buffer[] => {
    packet.writeUInt32BE(3, 9)
    return [packet]
  }
  test.each([
    ['an answer twice', (packet: Buffer) => [packet, packet]],
    ['an answer to nothing', (packet: Buffer) => [packet, Buffer.from([0, 0, 0, 9, 101, 9, 9, 9, 9, 0, 0, 0, 0])]],
    ['data that is longer than it says', wrongLength],
    ['an answer longer than any may be', () => [Buffer.from([0, 4, 0, 1, dataType])]],
    [
      'such data in pieces',
      (packet: Buffer) => wrongLength(packet).flatMap(all => [all.subarray(0, 9999), all.subarray(9999)]),
    ],
  ])('%s ends the session; the old file stays whole', async (_name, change) => {
    let count = 0
    const tamper = (packet: Buffer): Buffer[] =>
      typeOf(packet) === dataType && ++count === 5 ? change(Buffer.from(packet)) : [packet]
    const { report, got } = await get({ tamper })
    expect(report.end).toBe('lost')
    expect(report.failures).toHaveLength(1)
    expect(got.toString()).toBe('old')
  })

  test('an answer that never comes is an error after the time allowed', async () => {
    let count = 0
    const tamper = (packet: Buffer): Buffer[] => (typeOf(packet) === dataType && ++count === 5 ? [] : [packet])
    const { report, got } = await get({ tamper, session: { replyTimeout: 100 } })
    expect(report.failures[0]!.message).toContain('no answer')
    expect(got.toString()).toBe('old')
  })

  test.each(['../evil', 'a/b', '/etc/passwd', 'nul\0'])('a listing with the name %j is refused', async name => {
    const source = new MemoryFileSystem()
    await source.mkdir('/t')
    const evil: FileSystem = overridden(source, {
      opendir: async () => {
        const batches = [[{ name, attributes: { type: 'file' as const, size: 1 } }]]
        return { read: async () => batches.shift(), close: async () => {} }
      },
    })
    const target = new MemoryFileSystem()
    await target.mkdir('/in')
    const report = await transfer({ files: evil, path: '/t' }, { files: target, path: '/in/t' }, { recurse: true })
    expect(report.failures).toMatchObject([{ code: 'bad-message', step: 'list' }])
    expect(Object.keys(await picture(target, '/'))).toEqual(['in', 'in/t'])
  })

  test('a tree without end is followed for 64 levels, as by sftp', async () => {
    const source = new MemoryFileSystem()
    for (let path = '/t', level = 0; level < 70; level++, path += '/d') await source.mkdir(path)
    const target = new MemoryFileSystem()
    const report = await transfer({ files: source, path: '/t' }, { files: target, path: '/t' }, { recurse: true })
    expect(report.failures.map(({ message }) => message)).toEqual(['Maximum directory depth exceeded: 64 levels'])
    await expect(target.stat(`/t${'/d'.repeat(63)}`)).resolves.toMatchObject({ type: 'directory' })
    await expect(target.stat(`/t${'/d'.repeat(65)}`)).rejects.toThrow()
  })

  test('a link and a directory of the same name do not lead out', async () => {
    const source = new MemoryFileSystem()
    await source.mkdir('/t')
    await source.mkdir('/t/x')
    await put(source, '/t/x/passwd', Buffer.from('evil'))
    await source.symlink('/outside', '/t/y')
    const evil: FileSystem = overridden(source, {
      opendir: async (path: string) => {
        if (path !== '/t') return source.opendir(path)
        const batches = [
          [
            { name: 'x', attributes: { type: 'symlink' as const } },
            { name: 'x', attributes: { type: 'directory' as const, permissions: 0o755 } },
          ],
        ]
        return { read: async () => batches.shift(), close: async () => {} }
      },
      readlink: async () => '/outside',
    })
    const target = new MemoryFileSystem()
    await target.mkdir('/outside')
    await transfer({ files: evil, path: '/t' }, { files: target, path: '/t' }, { recurse: true, links: 'copy' })
    expect(await picture(target, '/outside')).toEqual({})
  })
})
