import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { joinPath } from '../../lib/sftp/paths.ts'
import { createFilter } from '../../lib/sftp/rules.ts'
import { applySync, planSync, type SyncOptions } from '../../lib/sftp/sync.ts'
import { makeDirectories, removeTree, walk } from '../../lib/sftp/tree.ts'

async function put(files: FileSystem, path: string, data: string, mtime = 1000): Promise<void> {
  await makeDirectories(files, path.slice(0, path.lastIndexOf('/')) || '/')
  const file = await files.open(path, OpenFlag.write | OpenFlag.create | OpenFlag.truncate, { permissions: 0o640 })
  await file.writeAt(0, Buffer.from(data))
  await file.close()
  await files.setstat(path, { mtime, atime: mtime, permissions: 0o640 })
}

/** Path → content, `/` for a directory, `-> target` for a link. */
async function contents(files: FileSystem, root: string): Promise<Record<string, string>> {
  const all: Record<string, string> = {}
  for await (const found of walk(files, root)) {
    for (const { name } of found.directories) all[joinPath(found.path, name).slice(root.length)] = '/'
    for (const { name, attributes } of found.files) {
      const path = joinPath(found.path, name)
      if (attributes.type === 'symlink') all[path.slice(root.length)] = `-> ${await files.readlink(path)}`
      else {
        const file = await files.open(path, OpenFlag.read)
        all[path.slice(root.length)] = (await file.readAt(0, 1000)).toString()
        await file.close()
      }
    }
  }
  return all
}

async function sync(source: FileSystem, target: FileSystem, options: SyncOptions = {}) {
  const [from, to] = [
    { files: source, path: '/s' },
    { files: target, path: '/t' },
  ]
  const plan = await planSync(from, to, options)
  return { plan, report: await applySync(from, to, plan, options) }
}

test('copies what is new or changed, leaves the rest, removes only when asked', async () => {
  const [source, target] = [new MemoryFileSystem(), new MemoryFileSystem()]
  await put(source, '/s/same', 'same')
  await put(source, '/s/new/deep', 'new')
  await put(source, '/s/changed', 'after!', 2000)
  await put(target, '/t/same', 'SAME')
  await put(target, '/t/changed', 'before')
  await put(target, '/t/extra/file', 'extra')
  const first = await sync(source, target)
  expect(first.plan).toEqual({ copy: ['changed', 'new/deep'], make: ['new'], remove: [], bytes: 9 })
  expect(first.report).toMatchObject({ files: 2, removed: 0, failures: [], end: 'complete' })
  expect(await contents(target, '/t')).toEqual({
    '/same': 'SAME',
    '/new': '/',
    '/new/deep': 'new',
    '/changed': 'after!',
    '/extra': '/',
    '/extra/file': 'extra',
  })
  const second = await sync(source, target, { compare: 'contents', remove: true })
  expect(second.plan).toEqual({ copy: ['same'], make: [], remove: ['extra'], bytes: 4 })
  expect(await contents(target, '/t')).toEqual(await contents(source, '/s'))
  expect((await sync(source, target, { remove: true })).plan).toEqual({ copy: [], make: [], remove: [], bytes: 0 })
})

test('rules: the first that matches decides, and what is excluded is not removed', async () => {
  const [source, target] = [new MemoryFileSystem(), new MemoryFileSystem()]
  for (const path of ['/s/a.log', '/s/keep.log', '/s/build/x', '/s/src/build/y', '/s/.hidden'])
    await put(source, path, path)
  await put(target, '/t/old.log', 'old')
  const { plan } = await sync(source, target, {
    remove: true,
    rules: [
      { action: 'include', pattern: 'keep.log' },
      { action: 'exclude', pattern: '*.log' },
      { action: 'exclude', pattern: '/build/' },
      { action: 'exclude', pattern: '.*' },
    ],
  })
  expect(plan.copy).toEqual(['keep.log', 'src/build/y'])
  expect(plan.remove).toEqual([])
})

test.each([
  ['**/x', 'x', true],
  ['**/x', 'a/b/x', true],
  ['a/**', 'a/b/c', true],
  ['a/**/c', 'a/c', true],
  ['a/*', 'a/b/c', false],
  ['*', 'a/b', true],
  ['/b', 'a/b', false],
  ['d/', 'd', false],
])('pattern %s and path %s', (pattern, path, excluded) => {
  expect(createFilter([{ action: 'exclude', pattern }])(path, false)).toBe(!excluded)
})

test('a file where a directory was, and the other way round', async () => {
  const [source, target] = [new MemoryFileSystem(), new MemoryFileSystem()]
  await put(source, '/s/a', 'file')
  await put(source, '/s/b/in', 'in')
  await put(target, '/t/a/in', 'in')
  await put(target, '/t/b', 'file')
  await sync(source, target)
  expect(await contents(target, '/t')).toEqual(await contents(source, '/s'))
})

test('a single file', async () => {
  const [source, target] = [new MemoryFileSystem(), new MemoryFileSystem()]
  await put(source, '/s', 'one')
  expect((await sync(source, target)).report.files).toBe(1)
  expect((await sync(source, target)).plan.copy).toEqual([])
})

test('any two trees become the same', async () => {
  const name = fc.constantFrom('a', 'b', 'c', '.d')
  const path = fc.array(name, { minLength: 1, maxLength: 3 }).map(parts => parts.join('/'))
  const thing = fc.record({
    path,
    kind: fc.constantFrom('file', 'link', 'directory'),
    data: fc.string({ maxLength: 3 }),
    mtime: fc.integer({ min: 1, max: 3 }),
  })
  const build = async (root: string, things: { path: string; kind: string; data: string; mtime: number }[]) => {
    const files = new MemoryFileSystem()
    await files.mkdir(root)
    for (const { path, kind, data, mtime } of things) {
      try {
        if (kind === 'file') await put(files, `${root}/${path}`, data, mtime)
        else if (kind === 'link') await files.symlink(data || 'x', `${root}/${path}`)
        else await makeDirectories(files, `${root}/${path}`)
      } catch {
        // A file stands where a directory is wanted: one tree more without this thing.
      }
    }
    return files
  }
  await fc.assert(
    fc.asyncProperty(fc.array(thing, { maxLength: 8 }), fc.array(thing, { maxLength: 8 }), async (a, b) => {
      const [source, target] = [await build('/s', a), await build('/t', b)]
      const { report } = await sync(source, target, { compare: 'contents', remove: true })
      expect(report.failures).toEqual([])
      expect(await contents(target, '/t')).toEqual(await contents(source, '/s'))
    }),
    { numRuns: 300 },
  )
})

test('nothing is removed when the copy did not end', async () => {
  const [source, target] = [new MemoryFileSystem(), new MemoryFileSystem()]
  await put(source, '/s/new', 'new')
  await put(target, '/t/old', 'old')
  const { report } = await sync(source, target, { remove: true, signal: AbortSignal.abort() })
  expect(report.end).toBe('aborted')
  expect(await contents(target, '/t')).toEqual({ '/old': 'old' })
  await removeTree(target, '/t')
})
