import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { transformSync } from 'esbuild'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  appendLine,
  checkStrictModes,
  editFile,
  isPrivateEnough,
  readRegularFile,
  readTextFile,
  readWholeLines,
  replaceFile,
} from '../../src/openssh/files.ts'

let folder: string
const path = (name: string): string => join(folder, name)
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-files-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** The module as a process of its own can import it. */
function compiledModule(): string {
  const source = readFileSync(fileURLToPath(new URL('../../src/openssh/files.ts', import.meta.url)), 'utf8')
  const file = path('files.mjs')
  writeFileSync(file, transformSync(source, { loader: 'ts', format: 'esm' }).code)
  return file
}

const finished = (child: ReturnType<typeof spawn>): Promise<number | null> =>
  new Promise(resolve => child.on('close', resolve))

describe('reading', () => {
  test('a regular file, whole', () => {
    const contents = Buffer.alloc(300_000, 'x')
    writeFileSync(path('file'), contents)
    expect(readRegularFile(path('file'), 300_000).equals(contents)).toBe(true)
    expect(() => readRegularFile(path('file'), 299_999)).toThrow('too large')
    writeFileSync(path('empty'), '')
    expect(readTextFile(path('empty'))).toBe('')
  })

  test('a file that says it is empty and is not', () => {
    expect(readTextFile('/proc/self/status')).toContain('Pid:')
  })

  test('pipes, devices, folders and missing files neither hang nor fill memory', () => {
    execFileSync('mkfifo', [path('pipe')])
    symlinkSync(path('pipe'), path('link'))
    for (const name of [path('pipe'), path('link'), '/dev/zero', folder]) {
      expect(() => readRegularFile(name, 1000)).toThrow('not a regular file')
      expect(readTextFile(name)).toBeUndefined()
    }
    expect(readTextFile(path('missing'))).toBeUndefined()
  })
})

describe('appending', () => {
  test('makes folder and file for the user alone, and ends an unfinished line', () => {
    appendLine(path('new/known_hosts'), 'one')
    expect(statSync(path('new')).mode & 0o777).toBe(0o700)
    expect(statSync(path('new/known_hosts')).mode & 0o777).toBe(0o600)
    writeFileSync(path('new/known_hosts'), 'unfinished')
    appendLine(path('new/known_hosts'), 'two')
    expect(readFileSync(path('new/known_hosts'), 'utf8')).toBe('unfinished\ntwo\n')
  })

  test('many processes at once lose and tear no line', async () => {
    const program = `import { appendLine } from ${JSON.stringify(compiledModule())}
      for (let i = 0; i < 100; i++) appendLine(process.argv[1], process.argv[2] + ':' + i + ':' + 'x'.repeat(500))`
    const writers = Array.from({ length: 5 }, (_, id) =>
      spawn(process.execPath, ['--input-type=module', '-e', program, path('known_hosts'), String(id)]),
    )
    expect(await Promise.all(writers.map(finished))).toEqual([0, 0, 0, 0, 0])
    const lines = readFileSync(path('known_hosts'), 'utf8').split('\n')
    expect(lines.pop()).toBe('')
    expect(new Set(lines).size).toBe(500)
    expect(lines.every(line => /^\d:\d+:x{500}$/.test(line))).toBe(true)
  })
})

describe('replacing', () => {
  test('keeps the mode of what was there, gives a new file its own', () => {
    replaceFile(path('new'), 'a', 0o644)
    expect(statSync(path('new')).mode & 0o777).toBe(0o644)
    writeFileSync(path('old'), 'old')
    chmodSync(path('old'), 0o640)
    replaceFile(path('old'), 'new')
    expect(statSync(path('old')).mode & 0o777).toBe(0o640)
    expect(readFileSync(path('old'), 'utf8')).toBe('new')
  })

  test('replaces the target of a link, and leaves other names of the old file alone', () => {
    writeFileSync(path('target'), 'old')
    linkSync(path('target'), path('other'))
    symlinkSync(path('target'), path('link'))
    replaceFile(path('link'), 'new')
    expect(readFileSync(path('target'), 'utf8')).toBe('new')
    expect(readFileSync(path('link'), 'utf8')).toBe('new')
    expect(readFileSync(path('other'), 'utf8')).toBe('old')
  })

  test('an edit keeps what others appended meanwhile, and gives up when they never stop', () => {
    writeFileSync(path('known'), 'a\nb\n')
    let others = 1
    const edit = (text: string): string => {
      if (others-- > 0) appendLine(path('known'), `other ${others}`)
      return text.replace('a\n', '')
    }
    expect(editFile(path('known'), edit)).toBe('changed')
    expect(readFileSync(path('known'), 'utf8')).toBe('b\nother 0\n')
    expect(editFile(path('known'), text => text)).toBe('unchanged')
    others = Number.POSITIVE_INFINITY
    writeFileSync(path('known'), 'a\n')
    expect(() => editFile(path('known'), edit)).toThrow('keep writing')
    expect(readFileSync(path('known'), 'utf8')).toContain('a\n')
    expect(readdirSync(path('.'))).toEqual(['known'])
  })

  test('leaves no temporary file when it fails', () => {
    mkdirSync(path('folder'))
    expect(() => replaceFile(path('folder'), 'x')).toThrow()
    expect(readdirSync(folder)).toEqual(['folder'])
  })

  test('a reader never sees half a file, also when the writer is killed', async () => {
    const size = 400_000
    const program = `import { replaceFile } from ${JSON.stringify(compiledModule())}
      for (let i = 0; ; i++) replaceFile(process.argv[1], String(i % 10).repeat(${size}))`
    replaceFile(path('file'), 'x'.repeat(size))
    const look = (): string => {
      const text = readFileSync(path('file'), 'latin1')
      expect(text.length).toBe(size)
      expect(text).toBe(text[0]!.repeat(size))
      return text[0]!
    }
    for (const moment of [0, 1, 2, 3]) {
      const before = look()
      const writer = spawn(process.execPath, ['--input-type=module', '-e', program, path('file')])
      const ended = finished(writer)
      const seen = new Set<string>()
      // Until it has replaced the file a few times, then some way into the next one.
      for (const until = Date.now() + 20_000; seen.size < 3 && Date.now() < until; ) {
        const now = look()
        if (now !== before) seen.add(now)
        await new Promise(resolve => setTimeout(resolve, 1))
      }
      await new Promise(resolve => setTimeout(resolve, moment))
      writer.kill('SIGKILL')
      await ended
      expect(seen.size).toBe(3)
      look()
    }
  })
})

describe('StrictModes', () => {
  const uid = process.getuid?.() ?? 0
  const prepare = (): string => {
    mkdirSync(path('home/.ssh'), { recursive: true, mode: 0o700 })
    writeFileSync(path('home/.ssh/authorized_keys'), '')
    for (const name of ['home', 'home/.ssh', 'home/.ssh/authorized_keys']) chmodSync(path(name), 0o755)
    return path('home/.ssh/authorized_keys')
  }

  test('takes what only the user can write', () => {
    expect(checkStrictModes(prepare(), path('home'), uid)).toBeUndefined()
  })

  test.each([
    ['home/.ssh/authorized_keys', 'file', 0o664],
    ['home/.ssh', 'directory', 0o777],
    ['home', 'directory', 0o775],
  ])('refuses %s that others can write', (name, kind, mode) => {
    const file = prepare()
    chmodSync(path(name), mode)
    const refusal = `Authentication refused: bad ownership or modes for ${kind} ${path(name)}`
    expect(checkStrictModes(file, path('home'), uid)).toBe(refusal)
  })

  test('refuses a file of somebody else', () => {
    const owner = uid === 0 ? undefined : uid + 1
    const file = prepare()
    if (owner !== undefined) expect(checkStrictModes(file, path('home'), owner)).toContain('bad ownership')
    else {
      execFileSync('chown', ['12345', file])
      expect(checkStrictModes(file, path('home'), 54321)).toContain(`file ${file}`)
    }
  })

  test('follows links before it looks', () => {
    prepare()
    mkdirSync(path('open'))
    chmodSync(path('open'), 0o777)
    writeFileSync(path('open/keys'), '')
    symlinkSync(path('open/keys'), path('home/.ssh/linked'))
    expect(checkStrictModes(path('home/.ssh/linked'), path('home'), uid)).toContain(path('open'))
    symlinkSync(path('home'), path('alias'))
    expect(checkStrictModes(path('alias/.ssh/authorized_keys'), path('alias'), uid)).toBeUndefined()
  })

  test('refuses what is no regular file', () => {
    prepare()
    execFileSync('mkfifo', [path('home/.ssh/pipe')])
    expect(checkStrictModes(path('home/.ssh/pipe'), path('home'), uid)).toContain('not a regular file')
  })
})

test('a private key of the user that others can read is not private enough', () => {
  expect(isPrivateEnough({ uid: 7, mode: 0o100600 }, 7)).toBe(true)
  expect(isPrivateEnough({ uid: 7, mode: 0o100640 }, 7)).toBe(false)
  expect(isPrivateEnough({ uid: 7, mode: 0o100604 }, 7)).toBe(false)
  expect(isPrivateEnough({ uid: 0, mode: 0o100644 }, 7)).toBe(true)
})

describe('whole lines at a time', () => {
  const limit = 10_000_000
  test.each([
    ['', []],
    ['one', ['one']],
    ['one\ntwo\n', ['one\ntwo\n']],
    ['one\n\xfftwo', ['one\n', '\xfftwo']],
  ])('%j', (text, pieces) => {
    writeFileSync(path('lines'), Buffer.from(text, 'latin1'))
    expect([...readWholeLines(path('lines'), limit)]).toEqual(pieces)
  })

  test('lines of every length, some longer than what is read at once', () => {
    const lines = Array.from({ length: 60 }, (_, i) => `${i} ${'x'.repeat((i * i * 7919) % 200_000)}\n`)
    writeFileSync(path('lines'), lines.join(''))
    const pieces = [...readWholeLines(path('lines'), limit)]
    expect(pieces.length).toBeGreaterThan(10)
    expect(pieces.every(piece => piece.endsWith('\n'))).toBe(true)
    expect(pieces.join('')).toBe(lines.join(''))
  })

  test('no folder, and nothing past the limit', () => {
    expect(() => [...readWholeLines(folder, limit)]).toThrow(/not a regular file/)
    writeFileSync(path('lines'), 'x'.repeat(101))
    expect(() => [...readWholeLines(path('lines'), 100)]).toThrow(/too large/)
  })
})
