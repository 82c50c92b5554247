import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
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
import { type Ran, runText } from '../support/run-text.ts'
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

const ours = (args: readonly string[], input = '', cwd = folder): Promise<Ran> =>
  runText(process.execPath, [tsftp, ...args], input, cwd)

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

/** Joins its stdin and stdout to a port of this machine, as nc does. */
const relay = `bash -c 'exec 3<>/dev/tcp/127.0.0.1/%p; cat <&3 & exec cat >&3'`

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

  test.each([
    ['a server program', () => ['-D', sftpServer]],
    ['a server program on Node', () => ['-D', `${process.execPath} ${tsftp.replace('tsftp.js', 'tsftp-server.js')}`]],
    ['another ssh', () => [...flags, '-S', 'ssh', `${sshd.user}@127.0.0.1`]],
    ['a ProxyCommand', () => [...flags, '-o', `ProxyCommand=${relay}`, `${sshd.user}@127.0.0.1`]],
  ])('Ctrl-C does not end %s', async (_name, how) => {
    writeFileSync(join(folder, 'f'), Buffer.alloc(3_000_000))
    const terminal = onTerminal(process.execPath, [tsftp, '-l', '8000', ...how()])
    try {
      await terminal.sees(/sftp> /)
      terminal.type(`put ${folder}/f ${folder}/g\n`)
      await terminal.sees(/\d+% .*ETA/)
      terminal.type('\x03')
      await terminal.sees(/Interrupt/)
      await terminal.sees(/sftp> /)
      terminal.type('pwd\n')
      await terminal.sees(/Remote working directory: /)
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
