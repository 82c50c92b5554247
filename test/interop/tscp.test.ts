import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

const tscp = fileURLToPath(new URL('../../bin/tscp.js', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-tscp-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const path = (...names: string[]): string => join(folder, ...names)

/** Every file below a folder with its type, mode, and content's hash. */
function listing(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .map(name => {
      const stats = statSync(join(root, name))
      const hash = stats.isFile()
        ? createHash('sha256')
            .update(readFileSync(join(root, name)))
            .digest('hex')
        : 'd'
      return `${relative(root, join(root, name))} ${(stats.mode & 0o777).toString(8)} ${hash}`
    })
    .sort()
}

function makeTree(root: string): void {
  mkdirSync(join(root, 'deep', 'er'), { recursive: true })
  mkdirSync(join(root, 'empty'))
  writeFileSync(join(root, 'none'), '')
  writeFileSync(join(root, 'big'), randomBytes(3_000_001))
  writeFileSync(join(root, 'deep', 'er', "odd 'name' * [x] \\ é"), 'odd')
  writeFileSync(join(root, 'deep', '-dash'), 'dash')
  writeFileSync(join(root, 'script'), '#!/bin/sh\n', { mode: 0o755 })
  chmodSync(join(root, 'script'), 0o755)
  writeFileSync(join(root, 'secret'), 'secret', { mode: 0o600 })
  for (let i = 0; i < 50; i++) writeFileSync(join(root, 'deep', `file${i}`), `number ${i}`)
}

describe.skipIf(!haveProgram('sshd'))('tscp and sshd', () => {
  let peer: RunningSshd
  beforeAll(async () => {
    peer = await startSshd([`Subsystem sftp internal-sftp`])
  })
  afterAll(() => peer.close())

  const settings = (): string[] =>
    [
      `UserKnownHostsFile=${peer.knownHosts}`,
      'GlobalKnownHostsFile=none',
      'StrictHostKeyChecking=yes',
      'IdentityAgent=none',
    ].flatMap(line => ['-o', line])
  const copy = (...args: string[]): Promise<Ran> =>
    runProgram(process.execPath, [
      tscp,
      '-F',
      'none',
      '-P',
      String(peer.port),
      '-i',
      peer.identity,
      ...settings(),
      ...args,
    ])
  const remote = (file: string): string => `${peer.user}@127.0.0.1:${file}`
  const quiet = { status: 0, stderr: '' }

  describe.each([
    ['SFTP', []],
    ['the old protocol', ['-O']],
  ])('%s', (_name, protocol) => {
    test('a tree up and down again, with times and modes', { timeout: 30_000 }, async () => {
      makeTree(path('tree'))
      utimesSync(path('tree', 'script'), 1_500_000_000, 1_400_000_000)
      expect(await copy(...protocol, '-rp', path('tree'), remote(path('up')))).toMatchObject(quiet)
      expect(listing(path('up'))).toEqual(listing(path('tree')))
      expect(statSync(path('up', 'script')).mtimeMs).toBe(1_400_000_000_000)
      mkdirSync(path('down'))
      expect(await copy(...protocol, '-r', remote(path('up')), path('down'))).toMatchObject(quiet)
      expect(listing(path('down', 'up'))).toEqual(listing(path('tree')))
    })

    test('several files into a folder, and patterns of the far side', async () => {
      writeFileSync(path('a1'), 'one')
      writeFileSync(path('a2'), 'two')
      mkdirSync(path('into'))
      expect(await copy(...protocol, path('a1'), path('a2'), remote(path('into')))).toMatchObject(quiet)
      mkdirSync(path('back'))
      expect(await copy(...protocol, remote(path('into', 'a?')), path('back'))).toMatchObject(quiet)
      expect(readdirSync(path('back')).sort()).toEqual(['a1', 'a2'])
      expect(readFileSync(path('back', 'a2'), 'utf8')).toBe('two')
    })

    // Sizes about what a socket, a packet and a window of the channel take at once.
    test('files of every size', async () => {
      mkdirSync(path('tree'))
      for (const size of [1, 16_383, 16_384, 20_000, 32_767, 32_768, 65_537, 262_144, 2_097_152])
        writeFileSync(path('tree', String(size)), randomBytes(size))
      expect(await copy(...protocol, '-r', path('tree'), remote(path('up')))).toMatchObject(quiet)
      expect(await copy(...protocol, '-r', remote(path('up')), path('down'))).toMatchObject(quiet)
      expect(listing(path('down'))).toEqual(listing(path('tree')))
    })

    test('from host to host through here', async () => {
      makeTree(path('tree'))
      const ran = await copy(...protocol, '-3', '-r', remote(path('tree')), remote(path('copy')))
      expect(ran).toMatchObject(quiet)
      expect(listing(path('copy'))).toEqual(listing(path('tree')))
    })

    test('links are followed', async () => {
      mkdirSync(path('tree'))
      writeFileSync(path('file'), 'linked')
      symlinkSync('../file', path('tree', 'link'))
      expect(await copy(...protocol, '-r', path('tree'), remote(path('copy')))).toMatchObject(quiet)
      expect(readFileSync(path('copy', 'link'), 'utf8')).toBe('linked')
    })

    test('what is missing fails with status 1 and its name, and the rest is copied', async () => {
      writeFileSync(path('there'), 'there')
      mkdirSync(path('into'))
      const up = await copy(...protocol, path('there'), path('missing'), remote(path('into')))
      // With SFTP scp calls it fatal.
      expect(up.status).toBe(protocol.length > 0 ? 1 : 255)
      expect(up.stderr).toMatch(/missing"?: No such file or directory/)
      expect(existsSync(path('into', 'there'))).toBe(true)
      const down = await copy(...protocol, remote(path('missing')), path('into'))
      expect(down.status).toBe(1)
      expect(down.stderr).toContain(`${path('missing')}: No such file or directory`)
    })

    test('a folder without -r is not a regular file', async () => {
      mkdirSync(path('dir'))
      const ran = await copy(...protocol, path('dir'), remote(path('copy')))
      expect(ran.status).toBe(1)
      expect(ran.stderr).toContain('not a regular file')
      expect(existsSync(path('copy'))).toBe(false)
    })

    test('a limit slows it down, and the data is whole', async () => {
      const data = randomBytes(600_000)
      writeFileSync(path('data'), data)
      const begun = Date.now()
      expect(await copy(...protocol, '-l', '4800', path('data'), remote(path('copy')))).toMatchObject(quiet)
      // 600 kB at 600 kB/s, less what may go at once.
      expect(Date.now() - begun).toBeGreaterThan(600)
      expect(readFileSync(path('copy')).equals(data)).toBe(true)
    })
  })

  test.each([
    ['up', []],
    ['down', []],
    ['up', ['-O']],
    ['down', ['-O']],
  ] as const)('%s %j: a server that dies in the middle: status, and why', async (way, protocol) => {
    const own = await startSshd(['Subsystem sftp internal-sftp'])
    writeFileSync(path('data'), randomBytes(3_000_000))
    const far = `${own.user}@127.0.0.1:`
    const operands = way === 'up' ? [path('data'), `${far}${path('copy')}`] : [`${far}${path('data')}`, path('copy')]
    const known = ['-o', `UserKnownHostsFile=${own.knownHosts}`, '-i', own.identity, '-P', String(own.port)]
    // A megabyte a second, so that there is a middle.
    const args = [...protocol, '-F', 'none', '-o', 'IdentityAgent=none', '-l', '8000', ...known, ...operands]
    const ran = runProgram(process.execPath, [tscp, ...args])
    while (!existsSync(path('copy')) || statSync(path('copy')).size === 0)
      await new Promise(done => setTimeout(done, 20))
    own.kill()
    const { status, stderr } = await ran
    expect(stderr).toMatch(/^tscp: [^\n]*(Connection closed|Connection reset|lost connection: .)/m)
    expect(status).toBe(protocol.length > 0 ? 1 : 255)
    own.close()
  })

  test('a URI names user, host, port and path', async () => {
    writeFileSync(path('a file'), 'data')
    const uri = `scp://${peer.user}@127.0.0.1:${peer.port}/${encodeURIComponent(path('a file'))}`
    expect(await copy('-P', '1', uri, path('copy'))).toMatchObject(quiet)
    expect(readFileSync(path('copy'), 'utf8')).toBe('data')
  })

  test('~ is the home directory of the far side', async () => {
    const ran = await copy(remote('~/no-such-file-of-tssh'), path('copy'))
    expect(ran.status).toBe(1)
    expect(ran.stderr).toContain('No such file or directory')
  })

  test('through another program', async () => {
    writeFileSync(path('data'), 'data')
    expect(await copy('-S', 'ssh', path('data'), remote(path('copy')))).toMatchObject(quiet)
    expect(readFileSync(path('copy'), 'utf8')).toBe('data')
  })

  test.skipIf(!existsSync('/usr/lib/openssh/sftp-server'))('a local server program', async () => {
    writeFileSync(path('data'), 'data')
    expect(await copy('-D', '/usr/lib/openssh/sftp-server', path('data'), `x:${path('copy')}`)).toMatchObject(quiet)
    expect(readFileSync(path('copy'), 'utf8')).toBe('data')
  })

  test('within this machine', async () => {
    makeTree(path('tree'))
    expect(await copy('-r', path('tree'), path('copy'))).toMatchObject(quiet)
    expect(listing(path('copy'))).toEqual(listing(path('tree')))
  })

  test('--json reports files and totals', async () => {
    writeFileSync(path('data'), 'data')
    const ran = await copy('--json', '--verify', path('data'), remote(path('copy')))
    const lines = ran.stdout
      .toString()
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(lines[0]).toEqual({ event: 'file', source: path('data'), target: path('copy'), bytes: 4 })
    expect(lines[1]).toMatchObject({ event: 'total', files: 1, bytes: 4, failed: 0 })
  })

  test('--resume keeps what is right and mends what is not', async () => {
    const data = randomBytes(2_000_000)
    writeFileSync(path('data'), data)
    writeFileSync(path('right'), data.subarray(0, 1_500_000))
    writeFileSync(path('wrong'), Buffer.concat([data.subarray(0, 700_000), randomBytes(500_000)]))
    for (const name of ['right', 'wrong']) {
      expect(await copy('--resume', path('data'), remote(path(name)))).toMatchObject(quiet)
      expect(readFileSync(path(name)).equals(data)).toBe(true)
    }
  })

  test.skipIf(!haveProgram('scp'))('is the far side of OpenSSH scp', async () => {
    // A server whose scp is ours: scp -O runs what the PATH of the login gives; here -S stands between.
    mkdirSync(path('bin'))
    writeFileSync(
      path('bin', 'far'),
      `#!/bin/sh\nfor last; do :; done\nset -- $last\nshift\nexec ${process.execPath} ${tscp} "$@"\n`,
      { mode: 0o755 },
    )
    makeTree(path('tree'))
    const up = await runProgram('scp', ['-O', '-rp', '-S', path('bin', 'far'), path('tree'), `host:${path('up')}`])
    expect(up.status).toBe(0)
    expect(listing(path('up'))).toEqual(listing(path('tree')))
    const down = await runProgram('scp', ['-O', '-r', '-S', path('bin', 'far'), `host:${path('up')}`, path('down')])
    expect(down.status).toBe(0)
    expect(listing(path('down'))).toEqual(listing(path('tree')))
  })
})
