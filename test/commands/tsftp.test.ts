import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { parseDestination, parseInvocation } from '../../commands/tsftp/command-line.ts'
import { inColumns, scaledSize } from '../../commands/tsftp/listing.ts'
import { expandBraces } from '../../commands/tsftp/remote-commands.ts'
import { parseCommand } from '../../commands/tsftp/verbs.ts'
import { splitLine } from '../../commands/tsftp/words.ts'
import { meterLine } from '../../src/terminal/progress.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'
import { onTerminal } from '../support/terminal.ts'

const tsftp = fileURLToPath(new URL('../../bin/tsftp.js', import.meta.url))
const sftpServer = '/usr/lib/openssh/sftp-server'
const haveServer = existsSync(sftpServer) && existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tssh-tsftp-')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Ran {
  readonly status: number | null
  readonly out: string
  readonly err: string
}

function run(program: string, args: readonly string[], input: string, cwd: string): Promise<Ran> {
  return new Promise(resolve => {
    const child = spawn(program, [...args], { cwd, env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' } })
    let [out, err] = ['', '']
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString('latin1')
    })
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString('latin1')
    })
    child.stdin.on('error', () => {})
    child.on('close', status => resolve({ status, out, err: err.replaceAll('\r\n', '\n') }))
    child.stdin.end(input)
  })
}

const ours = (args: readonly string[], input = '', cwd = folder): Promise<Ran> =>
  run(process.execPath, [tsftp, ...args], input, cwd)

describe('lines', () => {
  const wordsOf = (line: string): unknown => {
    const split = splitLine(line)
    return 'problem' in split ? split.problem : split.words
  }

  test.each([
    ['get a b', ['get', 'a', 'b']],
    ['get "a b" \'c d\'', ['get', 'a b', 'c d']],
    ['get a\\ b', ['get', 'a b']],
    ['get "a\\"b"', ['get', 'a"b']],
    ['get *.c', ['get', '*.c']],
    ['get "*.c"', ['get', '\\*.c']],
    ['get \\*.c', ['get', '\\*.c']],
    ['get a # comment', ['get', 'a']],
    ['get "a#b"', ['get', 'a#b']],
    ['get ""', ['get', '']],
    ['get "a', 'Unterminated quoted argument'],
  ])('%s', (line, expected) => expect(wordsOf(line)).toEqual(expected))

  test('prefixes, flags and numbers', () => {
    expect(parseCommand(' -@ls -la x')).toMatchObject({
      prefixes: { ignoreErrors: true, quiet: true },
      command: { action: 'ls', paths: ['x'] },
    })
    expect(parseCommand('CHMOD -h 755 f').command).toMatchObject({ action: 'chmod', number: 0o755, paths: ['f'] })
    expect(parseCommand('# nothing').command).toBeUndefined()
    expect(parseCommand('!echo "a b"').command).toMatchObject({ action: 'shell', rest: 'echo "a b"' })
    expect(parseCommand('lls -l "x').command).toMatchObject({ problem: 'Unterminated quoted argument' })
    expect(parseCommand('ls -z').command).toEqual({ problem: 'ls: Invalid flag -z' })
    expect(parseCommand('chown bob f').command).toMatchObject({ problem: expect.stringContaining('numeric') })
  })

  test('braces', () => {
    expect(expandBraces('a{b,c}d{e,}')).toEqual(['abde', 'abd', 'acde', 'acd'])
    expect(expandBraces('{} \\{a,b} {a')).toEqual(['{} \\{a,b} {a'])
  })
})

test.each([
  ['host', { host: 'host', user: undefined, path: undefined }],
  ['me@host:dir/file', { host: 'host', user: 'me', path: 'dir/file' }],
  ['[::1]:/x', { host: '::1', path: '/x' }],
  ['me@[fe80::1]', { host: 'fe80::1', user: 'me' }],
  ['sftp://me@host:2222/dir%20x', { host: 'host', user: 'me', port: '2222', path: 'dir x' }],
  ['sftp://[::1]/', { host: '::1', path: undefined }],
])('destination %s', (text, expected) => expect(parseDestination(text)).toMatchObject(expected))

test.each([
  [0, '0B'],
  [1023, '1023B'],
  [1024, '1.0K'],
  [100_000, '97.7K'],
  [123_456_789, '118M'],
  [5 * 1024 ** 4, '5.0T'],
])('size %i is %s', (bytes, text) => expect(scaledSize(bytes)).toBe(text))

test('columns', () => {
  expect(inColumns(['a', 'bb', 'ccc'], 3, 10)).toBe('a    bb   \nccc  \n')
})

test('the meter', () => {
  const state = { name: 'file\x1b[2J', bytes: 512, size: 1024, rate: 256, elapsed: 2, stalled: 0 }
  expect(meterLine(state, 80)).toBe(`${'file\\033[2J'.padEnd(44)}  50%  512     0.3KB/s   00:02 ETA`)
  expect(meterLine({ ...state, bytes: 1024 }, 80)).toContain('100% 1024     0.3KB/s   00:02')
  expect(meterLine({ ...state, stalled: 9 }, 80)).toContain('- stalled -')
  expect(meterLine(state, 20).length).toBeLessThan(20)
})

/** What both programs are given. The figures of df and the names in `ls -n` differ between releases, so they are not here. */
const script = `
pwd
ls
ls -1
ls -l
ls -la
ls -lh dir
ls -t
ls -S1
ls -r1
ls *.txt
ls -l *.txt
ls -1 dir
ls -l dir/big
ls -1a
ls {a,b}.txt
ls dlnk
-ls nothing
-ls no*
-cd nothing
-cd a.txt
cd dir
pwd
ls -l
cd ..
version
lpwd
-get nothing
get a.txt ../loc/
get a.txt ../loc/renamed
get -p b.txt ../loc
-get dir ../loc
get -r dir ../loc
-get *.txt nodir
get *.txt ../loc
put a.txt up.txt
put -p b.txt up2.txt
-put nothing
-put dir
put -r dir updir
mkdir made
-mkdir made
rename up.txt up3.txt
-rename none x
ln a.txt hard
ln -s a.txt soft
symlink b.txt soft2
chmod 600 up3.txt
-chmod 600 none
chmod 644 *.txt
rm hard
-rm none
-rmdir dir
rmdir made
-rmdir none
"ls" 'sp ace'
ls sp\\ ace
ls "st*r"
ls st\\*r
cp a.txt copy.txt
-cp dir copy2
-foo
-chmod abc a.txt
-get
-rename one
-ls -Z
@pwd
-@cd none
lumask 022
progress
progress
!echo shell
lls ../loc
# comment
-reget a.txt ../loc/renamed
-get "unterminated
bye
pwd
`

function prepare(root: string): void {
  const at = (name: string): string => join(root, 'srv', name)
  mkdirSync(at('dir/sub'), { recursive: true })
  mkdirSync(join(root, 'loc'))
  mkdirSync(at('empty'))
  for (const [name, text] of [
    ['a.txt', 'hello\n'],
    ['b.txt', 'world\n'],
    ['sp ace', 'x'],
    ['st*r', 'y'],
    ['esc\x1b[31m', 'e'],
    ['.hidden', ''],
    ['dir/big', 'b'.repeat(100_000)],
    ['dir/sub/s', 's\n'],
  ] as const) {
    writeFileSync(at(name), text, { mode: name === 'b.txt' ? 0o640 : 0o644 })
    utimesSync(at(name), 1_600_000_000, 1_600_000_000 + name.length * 1000)
  }
  writeFileSync(Buffer.concat([Buffer.from(at('bad')), Buffer.of(0xff)]), 'q')
  symlinkSync('a.txt', at('lnk'))
  symlinkSync('dir', at('dlnk'))
  symlinkSync('nowhere', at('broken'))
}

const tree = (root: string): string =>
  execFileSync('find', ['.', '-printf', '%P %y %m %s %l\\n'], { cwd: root, encoding: 'latin1' })
    .split('\n')
    .sort()
    .join('\n')

describe.skipIf(!haveServer || !haveProgram('sftp'))(
  "the same script for sftp and tsftp (needs OpenSSH's sftp)",
  () => {
    test.each([
      ['-b', 'a batch'],
      ['piped', 'commands from a pipe, with errors that end nothing'],
      ['-Nb', 'a batch that is not quiet'],
    ])('%s: %s', async flag => {
      const results: { ran: Ran; files: string }[] = []
      for (const program of ['sftp', 'tsftp'] as const) {
        // One after the other at the same place, so that all paths are the same.
        const root = join(folder, 'root')
        prepare(root)
        const file = join(folder, 'script')
        writeFileSync(file, script)
        const args = flag === 'piped' ? ['-D', sftpServer] : [flag, file, '-D', sftpServer]
        const input = flag === 'piped' ? script : ''
        const cwd = join(root, 'srv')
        results.push({
          ran: program === 'sftp' ? await run('sftp', args, input, cwd) : await ours(args, input, cwd),
          files: tree(root),
        })
        rmSync(root, { recursive: true })
      }
      const [theirs, own] = results
      expect(own!.ran.out.split('\n')).toEqual(theirs!.ran.out.split('\n'))
      expect(own!.ran.err.split('\n')).toEqual(theirs!.ran.err.split('\n'))
      expect(own!.ran.status).toBe(theirs!.ran.status)
      expect(own!.files).toBe(theirs!.files)
    })
  },
)

describe.skipIf(!haveServer)('exit statuses and flags', () => {
  const batch = (text: string): string => {
    const file = join(folder, 'batch')
    writeFileSync(file, text)
    return file
  }

  test('the first failure ends a batch with 1; with - before it, it goes on', async () => {
    const failing = await ours(['-b', batch('cd none\n!echo reached\n'), '-D', sftpServer])
    expect([failing.status, failing.out.includes('reached\n')]).toEqual([1, false])
    const going = await ours(['-b', batch('-cd none\n@!echo reached\n'), '-D', sftpServer])
    expect([going.status, going.out.includes('reached\n')]).toEqual([0, true])
  })

  test.each([
    [['-b', '/nonexistent/batch', 'host'], 255, 'No such file or directory (/nonexistent/batch).'],
    [['-P', '70000', 'host'], 255, 'Bad port "70000"'],
    [['-B', 'x', 'host'], 255, 'Invalid buffer size "x"'],
    [['-R', '0', 'host'], 255, 'Invalid number of requests "0"'],
    [['-X', 'nrequests=x', 'host'], 255, 'Invalid number of requests "x": invalid'],
    [['-X', 'what', 'host'], 255, 'Invalid -X option'],
    [['-1', 'host'], 255, 'SSH protocol v.1 is no longer supported'],
    [[], 1, 'usage: tsftp '],
    [['-h'], 1, 'usage: tsftp '],
    [['-l', '0', 'host'], 1, 'usage: tsftp '],
    [['-Z', 'host'], 1, 'usage: tsftp '],
    [['a', 'b', 'c'], 1, 'usage: tsftp '],
    [['-D', '/nonexistent/server'], 255, 'Connection closed'],
    [['-o', 'ConnectTimeout=2', '-P', '1', '127.0.0.1'], 255, 'Connection closed'],
  ])('%j ends with %i', async (args, status, text) => {
    const needsRun = text.startsWith('Connection') || text.startsWith('No such')
    if (needsRun) {
      const ran = await ours(args)
      expect(ran.status).toBe(status)
      expect(ran.err).toContain(text)
    } else {
      const refused = (): unknown => parseInvocation(args)
      expect(refused).toThrow(expect.objectContaining({ exitStatus: status, message: expect.stringContaining(text) }))
    }
  })

  test('limits, buffers and requests are obeyed', async () => {
    const data = Buffer.alloc(300_000, 'x')
    writeFileSync(join(folder, 'f'), data)
    const { status } = await ours(
      ['-B', '1000', '-R', '2', '-l', '100000', '-fp', '-D', sftpServer],
      'put f g\nget g h\n',
    )
    expect(status).toBe(0)
    expect(readFileSync(join(folder, 'h')).equals(data)).toBe(true)
    expect(Math.floor(statSync(join(folder, 'h')).mtimeMs / 1000)).toBe(
      Math.floor(statSync(join(folder, 'f')).mtimeMs / 1000),
    )
  })

  test('-a goes on with what is there, and finds what is wrong in it', async () => {
    const data = Buffer.alloc(600_000, 'data')
    writeFileSync(join(folder, 'f'), data)
    writeFileSync(join(folder, 'good'), data.subarray(0, 500_000))
    const bad = Buffer.from(data.subarray(0, 500_000))
    bad[100]! ^= 1
    writeFileSync(join(folder, 'bad'), bad)
    await ours(['-a', '-D', sftpServer], `put f good\nget f bad\n`)
    expect(readFileSync(join(folder, 'good')).equals(data)).toBe(true)
    expect(readFileSync(join(folder, 'bad')).equals(data)).toBe(true)
  })

  test('a file that may not be written says so, and the others are there', async () => {
    mkdirSync(join(folder, 'src'))
    mkdirSync(join(folder, 'dst'))
    for (const name of ['one', 'two', 'three']) writeFileSync(join(folder, 'src', name), name)
    mkdirSync(join(folder, 'dst/src/two'), { recursive: true })
    const { status, err } = await ours(['-b', batch('get -r src dst\n'), '-D', sftpServer])
    expect(status).toBe(1)
    expect(err).toContain('dst/src/two": Is a directory')
    expect(readFileSync(join(folder, 'dst/src/three'), 'utf8')).toBe('three')
  })
})

describe.skipIf(!haveServer || !haveProgram('sshd'))("with OpenSSH's sshd", () => {
  let sshd: RunningSshd
  let flags: string[]
  beforeAll(async () => {
    sshd = await startSshd([`Subsystem sftp ${sftpServer}`])
    flags = ['-F', 'none', '-i', sshd.identity, '-o', `UserKnownHostsFile=${sshd.knownHosts}`, '-P', String(sshd.port)]
  })
  afterAll(() => sshd.close())

  test.each(['in-process', '-S ssh', '-s path'] as const)('%s', async how => {
    if (how === '-S ssh' && !haveProgram('ssh')) return
    writeFileSync(join(folder, 'f'), 'contents')
    const more = how === '-S ssh' ? ['-S', 'ssh'] : how === '-s path' ? ['-s', sftpServer] : []
    const args = [...flags, ...more, '-b', '-', `${sshd.user}@127.0.0.1:${folder}`]
    const ran = await ours(args, 'put f g\nget g h\nls -1\n')
    expect(ran.err).toBe('')
    expect(ran.status).toBe(0)
    expect(ran.out).toBe('sftp> put f g\nsftp> get g h\nsftp> ls -1\nf\ng\nh\n')
  })

  test('a file on the command line is fetched, and that is all', async () => {
    writeFileSync(join(folder, 'f'), 'contents')
    const one = await ours([...flags, `${sshd.user}@127.0.0.1:${folder}/f`, join(folder, 'copy')])
    expect(one).toMatchObject({ status: 0, err: 'Connected to 127.0.0.1.\n' })
    expect(readFileSync(join(folder, 'copy'), 'utf8')).toBe('contents')
    const none = await ours([...flags, `sftp://${sshd.user}@127.0.0.1:${sshd.port}/${folder}/none`])
    expect([none.status, none.err.includes('not found')]).toEqual([1, true])
  })

  test('on a terminal: completion, Ctrl-C that ends a transfer alone, history', async () => {
    writeFileSync(join(folder, 'a large file'), Buffer.alloc(3_000_000))
    mkdirSync(join(folder, 'subdirectory'))
    const args = [tsftp, ...flags, '-l', '8000', `${sshd.user}@127.0.0.1:${folder}`]
    const terminal = onTerminal(process.execPath, args)
    try {
      await terminal.sees(/sftp> /)
      terminal.type('cd sub\t')
      await terminal.sees(/cd subdirectory\//)
      terminal.type('\n')
      await terminal.sees(/sftp> /)
      terminal.type('pwd\n')
      await terminal.sees(/Remote working directory: .*subdirectory/)
      await terminal.sees(/sftp> /)
      terminal.type(`lcd ${folder}\n`)
      await terminal.sees(/sftp> /)
      terminal.type('put a\\ la\t')
      await terminal.sees(/put a\\ large\\ file /)
      terminal.type('sent\n')
      await terminal.sees(/Uploading a large file to /)
      await terminal.sees(/\d+% .*ETA/)
      terminal.type('\x03')
      await terminal.sees(/Interrupt/)
      await terminal.sees(/sftp> /)
      for (let i = 0; i < 3; i++) terminal.type('\x1b[A')
      await terminal.sees(/sftp> pwd/)
      terminal.type('\n')
      await terminal.sees(/Remote working directory: .*subdirectory/)
      terminal.type('!echo from the shell\n')
      await terminal.sees(/\nfrom the shell/)
      await terminal.sees(/sftp> /)
      terminal.type('bye\n')
      expect(await terminal.exit).toBe(0)
    } finally {
      terminal.kill()
    }
  })

  test('a session that is lost ends with 255', async () => {
    const own = await startSshd([`Subsystem sftp ${sftpServer}`])
    const args = [
      '-F',
      'none',
      '-i',
      own.identity,
      '-o',
      `UserKnownHostsFile=${own.knownHosts}`,
      '-P',
      String(own.port),
    ]
    const child = spawn(process.execPath, [tsftp, ...args, '-b', '-', `${own.user}@127.0.0.1`], { stdio: 'pipe' })
    let err = ''
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString()
    })
    const status = new Promise(resolve => child.on('close', resolve))
    child.stdin.write('pwd\n')
    await new Promise(resolve => child.stdout.once('data', resolve))
    execFileSync('sh', ['-c', `for p in $(pgrep -f 'sshd.*${own.folder}'); do pkill -KILL -P $p; done; true`])
    own.kill()
    child.stdin.on('error', () => {})
    child.stdin.end('ls\nls\n')
    expect(await status).toBe(255)
    expect(err).toContain('Connection closed')
    own.close()
  })
})
