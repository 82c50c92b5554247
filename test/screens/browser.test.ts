import { beforeEach, expect, test } from 'vitest'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { Browser } from '../../src/screens/browser.ts'

let left: MemoryFileSystem
let right: MemoryFileSystem
let browser: Browser
let changes = 0

async function put(files: MemoryFileSystem, path: string, data: string): Promise<void> {
  const file = await files.open(path, OpenFlag.write | OpenFlag.create)
  await file.writeAt(0, Buffer.from(data))
  await file.close()
}

const names = (side: 0 | 1): string[] => browser.state.panes[side].entries.map(({ name }) => name)
const select = (name: string): void => {
  const pane = browser.state.panes[browser.state.active]
  browser.move(pane.entries.findIndex(entry => entry.name === name) - pane.cursor)
}

beforeEach(async () => {
  left = new MemoryFileSystem()
  right = new MemoryFileSystem()
  await left.mkdir('/docs')
  await put(left, '/docs/inner', 'inner')
  await put(left, '/b.txt', 'hello\tworld\n\x1b[31mred')
  await put(left, '/a.bin', 'a\0b')
  await right.mkdir('/into')
  changes = 0
  browser = new Browser(
    { title: 'here:', files: left, path: '/' },
    { title: 'there:', files: right, path: '/' },
    () => changes++,
  )
  await browser.start()
})

test('directories first, then by name; every change is told', async () => {
  expect(names(0)).toEqual(['docs', 'a.bin', 'b.txt'])
  const before = changes
  browser.move(1)
  expect(changes).toBe(before + 1)
  browser.move(100)
  expect(browser.state.panes[0].cursor).toBe(2)
})

test('into a directory and out again, onto where one came from', async () => {
  select('docs')
  await browser.open()
  expect(browser.state.panes[0].path).toBe('/docs')
  expect(names(0)).toEqual(['..', 'inner'])
  await browser.up()
  expect(browser.state.panes[0].entries[browser.state.panes[0].cursor]?.name).toBe('docs')
})

test('copies what is marked, directories too, and shows it over there', async () => {
  select('docs')
  browser.mark()
  select('b.txt')
  browser.mark()
  await browser.copy()
  expect(names(1)).toEqual(['docs', 'into', 'b.txt'])
  expect((await right.stat('/docs/inner')).size).toBe(5)
  expect(browser.state.transfers.map(({ name, state }) => `${name} ${state}`).sort()).toEqual([
    'b.txt done',
    'inner done',
  ])
})

test('asks before it overwrites', async () => {
  await put(right, '/b.txt', 'old')
  await browser.refresh()
  select('b.txt')
  await browser.copy()
  expect(browser.state.dialog).toMatchObject({ kind: 'confirm', action: 'overwrite', names: ['b.txt'] })
  browser.dismiss()
  expect((await right.stat('/b.txt')).size).toBe(3)
  await browser.copy()
  await browser.confirm()
  expect((await right.stat('/b.txt')).size).toBeGreaterThan(3)
})

test('renames, makes and deletes, and refuses names that are none', async () => {
  select('b.txt')
  browser.ask('rename')
  browser.type(() => 'c.txt')
  await browser.confirm()
  expect(names(0)).toEqual(['docs', 'a.bin', 'c.txt'])
  browser.ask('mkdir')
  browser.type(() => '../x')
  await browser.confirm()
  expect(browser.state.message).toContain('no name')
  browser.ask('mkdir')
  browser.type(text => `${text}new`)
  await browser.confirm()
  expect(names(0)).toContain('new')
  select('docs')
  browser.ask('delete')
  expect(browser.state.dialog).toMatchObject({ names: ['docs'] })
  await browser.confirm()
  expect(names(0)).toEqual(['new', 'a.bin', 'c.txt'])
})

test('shows text without what a terminal would obey, and bytes as hexadecimal', async () => {
  select('b.txt')
  await browser.open()
  expect(browser.state.dialog).toMatchObject({ kind: 'view', lines: ['hello    world', '\\033[31mred'] })
  browser.dismiss()
  select('a.bin')
  await browser.view()
  expect(browser.state.dialog).toMatchObject({ lines: [`00000000  61 00 62${' '.repeat(39)}  a.b`] })
})

test('what fails is said and nothing ends', async () => {
  await left.remove('/b.txt')
  select('b.txt')
  await browser.view()
  expect(browser.state.message).toContain('No such file')
  await browser.copy()
  expect(browser.state.message).toContain('No such file')
  expect(browser.running).toBe(0)
})
