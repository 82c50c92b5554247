import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Dialogue, ScpError } from '../../lib/scp/dialogue.ts'
import { receiveFiles, type SinkOptions } from '../../lib/scp/sink.ts'
import { sendFiles } from '../../lib/scp/source.ts'
import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { bytePair } from '../support/byte-pair.ts'

async function put(files: FileSystem, path: string, data: string | Buffer, permissions = 0o644): Promise<void> {
  const file = await files.open(path, OpenFlag.write | OpenFlag.create | OpenFlag.truncate, { permissions })
  await file.writeAt(0, Buffer.from(data))
  await file.setstat({ permissions, atime: 1_600_000_000, mtime: 1_500_000_000 })
  await file.close()
}

async function get(files: FileSystem, path: string): Promise<string> {
  const file = await files.open(path, OpenFlag.read)
  const parts: Buffer[] = []
  for (let at = 0; ; at += parts.at(-1)!.length) {
    const part = await file.readAt(at, 65536)
    if (part.length === 0) break
    parts.push(part)
  }
  await file.close()
  return Buffer.concat(parts).toString('latin1')
}

function defaults(errors: string[]): SinkOptions {
  return {
    recursive: true,
    preserve: false,
    targetIsDirectory: false,
    umask: 0o022,
    onError: error => errors.push(error.message),
  }
}

async function copy(
  from: FileSystem,
  paths: readonly string[],
  to: FileSystem,
  target: string,
  { chunk = 65536, preserve = false, recursive = true, ...sink }: Partial<SinkOptions> & { chunk?: number } = {},
): Promise<{ sent: string[]; received: string[] }> {
  const [near, far] = bytePair(chunk)
  const errors = { sent: [] as string[], received: [] as string[] }
  const source = new Dialogue(near)
  const sending = async () => {
    await source.answer()
    await sendFiles(source, from, paths, { recursive, preserve, onError: error => errors.sent.push(error.message) })
    source.end()
  }
  await Promise.all([
    sending(),
    receiveFiles(new Dialogue(far), to, target, { ...defaults(errors.received), preserve, recursive, ...sink }),
  ])
  return errors
}

test.each([1, 7, 4096, 65536])('a tree arrives whole in pieces of %d bytes', async chunk => {
  const from = new MemoryFileSystem()
  const to = new MemoryFileSystem()
  await from.mkdir('/tree', { permissions: 0o755 })
  await from.mkdir('/tree/empty', { permissions: 0o500 })
  await from.mkdir('/tree/in', { permissions: 0o755 })
  await put(from, '/tree/none', '')
  await put(from, '/tree/in/data', 'x'.repeat(5000), 0o777)
  await put(from, '/tree/in/read-only', 'y', 0o444)
  await put(from, '/tree/odd name\\ \udcff é', 'bytes')
  expect(await copy(from, ['/tree'], to, '/', { chunk })).toEqual({ sent: [], received: [] })
  expect(await get(to, '/tree/none')).toBe('')
  expect(await get(to, '/tree/in/data')).toBe('x'.repeat(5000))
  expect(await get(to, '/tree/odd name\\ \udcff é')).toBe('bytes')
  expect((await to.stat('/tree/in/data')).permissions).toBe(0o755)
  expect((await to.stat('/tree/in/read-only')).permissions).toBe(0o444)
  expect((await to.stat('/tree/empty')).permissions).toBe(0o500)
})

test('times and modes are kept when asked', async () => {
  const from = new MemoryFileSystem()
  const to = new MemoryFileSystem()
  await put(from, '/file', 'data', 0o666)
  await copy(from, ['/file'], to, '/copy', { preserve: true })
  expect(await to.stat('/copy')).toMatchObject({ permissions: 0o666, mtime: 1_500_000_000, atime: 1_600_000_000 })
})

test('a shorter file takes the place of a longer one', async () => {
  const from = new MemoryFileSystem()
  const to = new MemoryFileSystem()
  await put(from, '/file', 'new')
  await put(to, '/file', 'much older and longer', 0o600)
  await copy(from, ['/file'], to, '/file')
  expect(await get(to, '/file')).toBe('new')
  expect((await to.stat('/file')).permissions).toBe(0o600)
})

test('what cannot be sent or stored is told to both sides, and the rest goes on', async () => {
  const from = new MemoryFileSystem()
  const to = new MemoryFileSystem()
  await put(from, '/one', '1')
  await put(from, '/two', '2')
  await to.mkdir('/into')
  await to.mkdir('/into/one')
  const errors = await copy(from, ['/one', '/missing', '/two'], to, '/into', { recursive: false })
  expect(errors.sent).toEqual([
    expect.stringContaining('/into/one'),
    expect.stringContaining('/missing: No such file or directory'),
  ])
  expect(errors.received).toEqual([
    expect.stringContaining('/into/one'),
    expect.stringContaining('/missing: No such file or directory'),
  ])
  expect(await get(to, '/into/two')).toBe('2')
})

test('a directory without -r is no regular file', async () => {
  const from = new MemoryFileSystem()
  await from.mkdir('/directory')
  const { sent } = await copy(from, ['/directory'], new MemoryFileSystem(), '/', { recursive: false })
  expect(sent).toEqual(['not a regular file'])
})

/** Plays a source that says these bytes at once, whatever the sink answers. */
async function malicious(
  said: string,
  options: Partial<SinkOptions> = {},
): Promise<{ to: FileSystem; error: unknown; errors: string[] }> {
  const [near, far] = bytePair(65536)
  const to = new MemoryFileSystem()
  await to.mkdir('/target')
  const errors: string[] = []
  near.sink = { data: data => near.consumed(data.length) }
  near.write(Buffer.from(said, 'latin1'))
  near.eof()
  const error = await receiveFiles(new Dialogue(far), to, '/target', { ...defaults(errors), ...options }).catch(e => e)
  return { to, error, errors }
}

test.each([
  ['C0644 4 ../evil\nevil\0', 'unexpected filename'],
  ['C0644 4 /evil\nevil\0', 'unexpected filename'],
  ['C0644 4 ..\nevil\0', 'unexpected filename'],
  ['C0644 4 .\nevil\0', 'unexpected filename'],
  ['D0755 0 ..\nC0644 4 evil\nevil\0E\n', 'unexpected filename'],
  ['D0755 0 a/b\n', 'unexpected filename'],
  ['E\n', 'unexpected end of directory'],
  ['C064 4 evil\n', 'unexpected line'],
  ['C0644 -4 evil\n', 'unexpected line'],
  ['C0644 99999999999999999999 evil\n', 'unexpected line'],
  ['C0644 9999999999999999 evil\n', 'size out of range'],
  [`C0644 4 ${'x'.repeat(10000)}\n`, 'line too long'],
  ['T1 0 x 0\n', 'times not delimited'],
  ['\u001b[2Jhello\n', 'unexpected line \\033[2Jhello'],
  [`${'D0755 0 d\n'.repeat(300)}`, 'nested too deeply'],
])('%j is refused and nothing is written outside', async (said, reason) => {
  const { to, error } = await malicious(said)
  expect(error).toBeInstanceOf(ScpError)
  expect((error as ScpError).code).toBe('protocol')
  expect((error as Error).message).toContain(reason)
  await expect(to.stat('/evil')).rejects.toThrow('No such file')
})

test('a name that was not asked for is refused, at the top only', async () => {
  const { error, to } = await malicious('C0644 4 evil\nevil\0', { accepts: name => name === 'good' })
  expect((error as Error).message).toContain('filename does not match request')
  await expect(to.stat('/target/evil')).rejects.toThrow('No such file')
  const inside = await malicious('D0755 0 good\nC0644 4 evil\nevil\0E\n', { accepts: name => name === 'good' })
  expect(inside.error).toBeUndefined()
  expect(await get(inside.to, '/target/good/evil')).toBe('evil')
})

test('a directory that was not asked for is refused', async () => {
  const { error } = await malicious('D0755 0 dir\nE\n', { recursive: false })
  expect((error as Error).message).toContain('received directory without -r')
})

test('a stream that ends in the middle is a lost connection', async () => {
  for (const said of ['C0644 10 file\nfive5', 'C0644 10 fi', 'D0755 0 dir\n', 'C0644 4 file\nfour']) {
    expect((await malicious(said)).error).toMatchObject({ code: 'connection-lost' })
  }
})

test('what came before the end of the stream is taken, and answered', async () => {
  const [near, far] = bytePair(65536)
  let answers = 0
  near.sink = {
    data(data) {
      answers += data.length
      near.consumed(data.length)
    },
  }
  const to = new MemoryFileSystem()
  await to.mkdir('/target')
  const dialogue = new Dialogue(far)
  near.write(Buffer.from('C0644 4 file\nfour\0'))
  near.eof()
  await new Promise(resolve => setTimeout(resolve, 20))
  await receiveFiles(dialogue, to, '/target', defaults([]))
  await new Promise(resolve => setTimeout(resolve, 20))
  expect([await get(to, '/target/file'), answers]).toEqual(['four', 3])
})

test('a stream that is cut off is lost with its reason, wherever it is', async () => {
  const reason = 'Timeout, server not responding.\x1b[2J'
  const lost = { code: 'connection-lost', message: 'lost connection: Timeout, server not responding.\\033[2J' }
  for (const said of ['', 'C0644 10 file\nfive5', 'C0644 10 fi', 'D0755 0 dir\n', 'C0644 4 file\nfour', 'T1 0 1 0\n']) {
    const [near, far] = bytePair(65536)
    near.sink = { data: data => near.consumed(data.length) }
    const to = new MemoryFileSystem()
    await to.mkdir('/target')
    const ended = receiveFiles(new Dialogue(far), to, '/target', defaults([])).catch(error => error)
    near.write(Buffer.from(said))
    setImmediate(() => setImmediate(() => far.sink.closed?.(new Error(reason))))
    expect(await ended).toMatchObject(lost)
  }
  const [near, far] = bytePair(65536)
  far.sink = { data: data => far.consumed(data.length) }
  const dialogue = new Dialogue(near)
  near.sink.closed?.(new Error(reason))
  await expect(dialogue.answer()).rejects.toMatchObject(lost)
  await expect(dialogue.write('C')).rejects.toMatchObject(lost)
})

test('words of the other side cannot drive a terminal', async () => {
  const { errors } = await malicious('\x01scp: \x1b]0;title\x07 bad\n')
  expect(errors).toEqual(['scp: \\033]0;title\\007 bad'])
})

test('no bytes make the sink fail in another way or write elsewhere', async () => {
  const line = fc.oneof(
    fc.constantFrom('C0644 3 a\n', 'abc\0', 'D0755 0 d\n', 'E\n', 'T1 0 1 0\n', '\x01no\n', '\x02end\n', '\0'),
    fc.string({ maxLength: 12 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 12 }), async lines => {
      const { to, error } = await malicious(lines.join(''))
      if (error !== undefined) expect(error).toBeInstanceOf(ScpError)
      const directory = await to.opendir('/')
      expect((await directory.read())?.map(({ name }) => name).filter(name => name !== '.' && name !== '..')).toEqual([
        'target',
      ])
    }),
    { numRuns: 500 },
  )
})
