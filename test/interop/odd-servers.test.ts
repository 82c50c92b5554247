import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ran, runProgram } from '../support/listening.ts'

/** Servers that answer as none should: what our commands say, with which status, and what becomes of the files. */

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const bin = (name: string): string => here(`../../bin/${name}.js`)
const odd = (mode: string, argument = ''): string =>
  `${process.execPath} ${here('../support/odd-sftp-server.js')} ${mode} '${argument}'`

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-odd-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const path = (...names: string[]): string => join(folder, ...names)

/** What the server's file holds. */
const contents = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 251))

const tscp = (mode: string, argument: string, ...args: string[]): Promise<Ran> =>
  runProgram(process.execPath, [bin('tscp'), '-D', odd(mode, argument), ...args])
const tsftp = (mode: string, argument: string, input: string, ...args: string[]): Promise<Ran> =>
  runProgram(process.execPath, [bin('tsftp'), '-b', '-', '-D', odd(mode, argument), ...args], { input })

/** Nothing that could drive a terminal. */
const isCalm = (text: string): boolean => !/[\x00-\x08\x0b-\x1f\x7f-\x9f]/.test(text)

describe.skipIf(!existsSync(here('../../dist')))('a server', () => {
  test.each(['short', 'disorder'])('that answers %s: the file is whole', async mode => {
    const one = await tscp(mode, '', 'x:/file', path('one'))
    expect([one.status, one.stderr]).toEqual([0, ''])
    expect(readFileSync(path('one')).equals(contents)).toBe(true)
    const two = await tsftp(mode, '', `get /file ${path('two')}\n`)
    expect([two.status, two.stderr]).toEqual([0, ''])
    expect(readFileSync(path('two')).equals(contents)).toBe(true)
  })

  test.each([
    ['twice', 'SFTP reply 103 to request \\d+, which nobody made'],
    ['nobody', 'SFTP reply 103 to request 2147483647, which nobody made'],
    ['long', 'the server sent \\d+ bytes, asked for \\d+'],
    ['never', 'no answer from the SFTP server in 1 s'],
  ])('%s: status 255, the reason, and the old file whole with --atomic', async (mode, reason) => {
    writeFileSync(path('old'), 'old')
    const one = await tscp(mode, '', '-X', 'timeout=1', '--atomic', 'x:/file', path('old'))
    expect(one.status).toBe(255)
    expect(one.stderr).toMatch(new RegExp(`^tscp: ${reason}\nConnection closed\n$`))
    expect(readFileSync(path('old'), 'utf8')).toBe('old')
    expect(readdirSync(folder)).toEqual(['old'])
    // In place, as scp and sftp write: what is there is a whole beginning.
    const two = await tsftp(mode, '', `get /file ${path('part')}\nget /file ${path('another')}\n`, '-X', 'timeout=1')
    expect(two.status).toBe(255)
    expect(two.stderr).toMatch(new RegExp(`^${reason}\nConnection closed\n$`))
    const part = readFileSync(path('part'))
    expect(part.equals(contents.subarray(0, part.length))).toBe(true)
    expect(existsSync(path('another'))).toBe(false)
  })

  test.each(['twice', 'never'])('that answers a WRITE %s: status 255', async mode => {
    writeFileSync(path('source'), contents)
    const one = await tscp(mode, '', '-X', 'timeout=1', '-X', 'buffer=32k', path('source'), 'x:/new')
    expect(one.status).toBe(255)
    expect(one.stderr).toMatch(mode === 'twice' ? /which nobody made/ : /no answer/)
    const two = await tsftp(mode, '', `put ${path('source')} /new\n`, '-X', 'timeout=1', '-B', '32768')
    expect(two.status).toBe(255)
  })

  test('that is silent from the start: status 255', async () => {
    const one = await tscp('deaf', '', '-X', 'timeout=1', 'x:/file', path('f'))
    expect(one.status).toBe(255)
    expect(one.stderr).toContain('no answer from the SFTP server in 1 s')
    const two = await tsftp('deaf', '', 'ls\n', '-X', 'timeout=1')
    expect(two.status).toBe(255)
    expect(two.stderr).toContain('no answer from the SFTP server in 1 s')
  })

  test('that is silent for ever: Ctrl-C ends tscp, with -O at once', async () => {
    writeFileSync(path('far'), '#!/bin/sh\nprintf "\\0"\ntouch "$0.begun"\nexec sleep 60\n', { mode: 0o755 })
    writeFileSync(path('source'), contents)
    const child = spawn(process.execPath, [bin('tscp'), '-O', '-S', path('far'), path('source'), 'x:y'], {
      stdio: 'ignore',
    })
    const ended = new Promise(resolve => child.on('exit', resolve))
    for (let tries = 0; tries < 400 && !existsSync(path('far.begun')); tries++)
      await new Promise(resolve => setTimeout(resolve, 25))
    child.kill('SIGINT')
    expect(await ended).toBe(1)
  }, 30_000)

  test.each([
    ['full', 'write remote "/new": No space left on device'],
    ['close', 'Disk quota exceeded'],
  ])('whose disk is %s: status 1 with its words', async (mode, words) => {
    writeFileSync(path('source'), contents)
    const one = await tscp(mode, '', '-X', 'buffer=32k', path('source'), 'x:/new')
    expect(one.status).toBe(1)
    expect(one.stderr).toContain(words)
    const two = await tsftp(mode, '', `put ${path('source')} /new\n`, '-B', '32768')
    expect(two.status).toBe(1)
    expect(two.stderr).toContain(words)
  })

  test.each(['../evil', '/tmp/evil', 'a/b', '..', '.', '', 'nul\\u0000x'])(
    'that lists the name %j: nothing is written outside, and nothing of that name',
    async name => {
      mkdirSync(path('in'))
      const one = await tscp('names', name, '-r', 'x:/tree', path('in', 'one'))
      const two = await tsftp('names', name, `get -r /tree ${path('in', 'two')}\n`)
      // `.` and `..` are in every listing and mean nothing.
      expect([one.status, two.status]).toEqual(name === '.' || name === '..' ? [0, 0] : [1, 1])
      expect(isCalm(one.stderr) && isCalm(two.stderr)).toBe(true)
      expect(readdirSync(folder)).toEqual(['in'])
      expect(readdirSync(path('in')).sort()).toEqual(['one', 'two'])
      for (const made of ['one', 'two']) expect(readdirSync(path('in', made))).toEqual([])
      expect(existsSync('/tmp/evil')).toBe(false)
    },
  )

  test('that lists a link, a directory and a file of one name: no way out through the link', async () => {
    const one = await tscp('link', '', '-r', 'x:/tree', path('one'))
    const two = await tsftp('link', '', `get -r /tree ${path('two')}\n`)
    expect([one.status, two.status].every(status => status === 0 || status === 1)).toBe(true)
    expect(execFileSync('find', [folder, '-type', 'l'], { encoding: 'utf8' })).toBe('')
  })

  const escapes = '\\u001b]0;title\\u0007\\u001b[2J\\u009b31m\\u000devil'

  test.each(['names', 'longname', 'error', 'realpath'])(
    '%s with escape sequences: the terminal is left alone',
    async mode => {
      const script = [
        'pwd',
        '-cd /tree',
        'pwd',
        '-ls',
        '-ls -l',
        '-ls -1 /tree',
        `-get /file ${path('t1')}`,
        `-get -r /tree ${path('t')}`,
        '-df',
        '-rm /x',
        '-mkdir /file',
      ]
      const two = await tsftp(mode, escapes, `${script.join('\n')}\n`)
      expect(isCalm(two.stdout.toString('latin1').replaceAll('\n', ''))).toBe(true)
      expect(isCalm(two.stderr)).toBe(true)
      const one = await tscp(mode, escapes, '-r', '--resume', 'x:/tree', 'x:/file', path('t2'))
      expect(isCalm(one.stderr)).toBe(true)
      expect(two.stdout.toString() + two.stderr + one.stderr).toContain('\\033')
    },
  )

  test('that names a file setuid: without -p the bits do not come', async () => {
    const one = await tscp('setuid', '', 'x:/file', path('one'))
    const two = await tsftp('setuid', '', `get /file ${path('two')}\nget -p /file ${path('three')}\n`)
    expect([one.status, two.status]).toEqual([0, 0])
    for (const name of ['one', 'two', 'three']) expect(statSync(path(name)).mode & 0o7000).toBe(0)
  })
})

describe.skipIf(!existsSync(here('../../dist')) || !existsSync('/usr/lib/openssh/sftp-server'))(
  'a source that changes while it is copied',
  () => {
    test.each([
      ['down', [], 'truncated'],
      ['up', [], 'truncated'],
      ['down', ['--atomic'], 'truncated'],
      ['up', ['--atomic'], 'truncated'],
      ['down', [], 'replaced'],
      ['up', [], 'replaced'],
      ['up', [], 'overwritten'],
      ['down', ['--atomic'], 'overwritten'],
    ] as const)('%s, %j: %s', async (way, flags, change) => {
      const [source, target] = [path('source'), path('target')]
      writeFileSync(source, contents)
      utimesSync(source, 1_000_000_000, 1_000_000_000)
      writeFileSync(target, 'old')
      const operands = way === 'down' ? [`x:${source}`, target] : [source, `x:${target}`]
      // A megabyte a second, so that there is a middle.
      const args = ['-D', '/usr/lib/openssh/sftp-server', '-l', '8000', ...flags, ...operands]
      const running = runProgram(process.execPath, [bin('tscp'), ...args])
      const begun = (): boolean =>
        readdirSync(folder).some(name => !/^(source|new)$/.test(name) && statSync(path(name)).size > 100_000)
      while (!begun()) await new Promise(resolve => setTimeout(resolve, 10))
      if (change === 'truncated') truncateSync(source, 50_000)
      else if (change === 'replaced') {
        writeFileSync(path('new'), 'new')
        renameSync(path('new'), source)
      } else writeFileSync(source, Buffer.alloc(contents.length, 1), { flag: 'r+' })
      const ran = await running
      if (change === 'replaced') {
        // The file that was opened is copied, whole.
        expect([ran.status, ran.stderr]).toEqual([0, ''])
        expect(readFileSync(target).equals(contents)).toBe(true)
        return
      }
      expect(ran.status).toBe(1)
      const words = change === 'overwritten' ? 'changed' : 'shrank'
      expect(ran.stderr).toMatch(
        new RegExp(`^tscp: read (local|remote) "[^"]*source": file ${words} while it was read\n`),
      )
      if (flags[0] === '--atomic')
        expect([readFileSync(target, 'utf8'), readdirSync(folder).sort()]).toEqual(['old', ['source', 'target']])
    })
  },
)
