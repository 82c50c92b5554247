import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { CodeCache } from '../../src/command/code-cache.ts'

const user = process.geteuid?.()
const compiled = { code: Buffer.from([1, 2, 3, 0, 255]), parts: ['src/a.ts', 'lib/b.ts'] }

let home: string
let base: string
const folder = () => join(base, 'tssh')
const cache = () => CodeCache.below(base, user)!

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'tssh-cache-'))
  base = join(home, 'caches')
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

test('what was written is read, and only the user can write there', () => {
  cache().write('tssh-1', compiled, 'tssh-')
  expect(cache().read('tssh-1')).toEqual(compiled)
  expect(cache().read('tssh-2')).toBeUndefined()
  expect([base, folder(), join(folder(), 'tssh-1')].map(path => statSync(path).mode & 0o777)).toEqual([
    0o700, 0o700, 0o600,
  ])
  expect(readdirSync(folder())).toEqual(['tssh-1'])
})

test.each([
  ['the folder', folder, 0o720],
  ['the folder', folder, 0o702],
  ['the folder around it', () => base, 0o770],
])('%s that others can write to is not used (mode %s)', (_what, path, mode) => {
  cache().write('tssh-1', compiled, 'tssh-')
  chmodSync(path(), mode)
  expect(CodeCache.below(base, user)).toBeUndefined()
})

test('a file that others can write to is not read', () => {
  cache().write('tssh-1', compiled, 'tssh-')
  chmodSync(join(folder(), 'tssh-1'), 0o622)
  expect(cache().read('tssh-1')).toBeUndefined()
})

test('a link is neither a folder nor a file of ours', () => {
  cache().write('tssh-1', compiled, 'tssh-')
  symlinkSync(join(folder(), 'tssh-1'), join(folder(), 'tssh-2'))
  expect(cache().read('tssh-2')).toBeUndefined()
  const other = join(home, 'other')
  mkdirSync(other, { mode: 0o700 })
  symlinkSync(folder(), join(other, 'tssh'))
  expect(CodeCache.below(other, user)).toBeUndefined()
})

test.runIf(user === 0)('folders and files of another user are not used, nor is a folder made in his', () => {
  cache().write('tssh-1', compiled, 'tssh-')
  chownSync(join(folder(), 'tssh-1'), 12345, 12345)
  expect(cache().read('tssh-1')).toBeUndefined()
  chownSync(folder(), 12345, 12345)
  expect(CodeCache.below(base, user)).toBeUndefined()
  rmSync(folder(), { recursive: true })
  chownSync(base, 12345, 12345)
  expect(CodeCache.below(base, user)).toBeUndefined()
  expect(readdirSync(base)).toEqual([])
})

test('a damaged file is not read', () => {
  cache().write('tssh-1', compiled, 'tssh-')
  const path = join(folder(), 'tssh-1')
  for (const bytes of ['', 'tssh-code-cache2', 'tssh-code-cache2\0\0\0\0\xff\0\0\0x', 'x'.repeat(100)]) {
    writeFileSync(path, bytes, 'latin1')
    expect(cache().read('tssh-1')).toBeUndefined()
  }
})

const hash = (number: number): string => `${String(number).repeat(32)}-x64`

test('the four newest files of a command stay', () => {
  for (const number of [1, 2, 3, 4, 5, 6]) {
    cache().write(`tssh-${hash(number)}`, compiled, 'tssh-')
    utimesSync(join(folder(), `tssh-${hash(number)}`), number, number)
  }
  cache().write(`tssh-add-${hash(1)}`, compiled, 'tssh-add-')
  cache().write(`tssh-${hash(7)}`, compiled, 'tssh-')
  expect(readdirSync(folder()).sort()).toEqual([
    ...[4, 5, 6, 7].map(number => `tssh-${hash(number)}`),
    `tssh-add-${hash(1)}`,
  ])
})

test('Node can be told to keep no compiled code', () => {
  expect(CodeCache.ofUser({ XDG_CACHE_HOME: base, NODE_DISABLE_COMPILE_CACHE: '1' })).toBeUndefined()
  expect(CodeCache.ofUser({ XDG_CACHE_HOME: base })).toBeDefined()
  expect(CodeCache.ofUser({ XDG_CACHE_HOME: 'relative' })).toBeUndefined()
})
