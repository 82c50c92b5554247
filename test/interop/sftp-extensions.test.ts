import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SftpClient } from '../../lib/sftp/client.ts'
import { Reader } from '../../lib/wire/reader.ts'
import { connect } from '../../src/api/client.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { stdioStream } from '../../src/net/stdio-stream.ts'
import { type Listening, runProgram, startListening } from '../support/listening.ts'
import { haveProgram, havePythonModule } from '../support/programs.ts'
import { RawClient } from '../support/raw-sftp.ts'

/** Every extension of SFTP, one by one: our client with others' servers, others' clients with our server. */

const opensshServer = '/usr/lib/openssh/sftp-server'
const ourServer = `${process.execPath} ${fileURLToPath(new URL('../../bin/tsftp-server.js', import.meta.url))}`
const isBuilt = existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-extensions-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const path = (name: string): string => join(folder, name)

/** What coreutils says of the file system: size of a unit, units, files, longest name. */
const statisticsByStat = (): number[] =>
  execFileSync('stat', ['-f', '-c', '%S %b %c %l', folder], { encoding: 'utf8' }).trim().split(' ').map(Number)

/** Names by id(1)'s own source. */
const nameOf = (database: 'passwd' | 'group', id: number): string => {
  const ran = runGetent(database, id)
  return ran.split(':')[0]!
}
function runGetent(database: string, id: number): string {
  try {
    return execFileSync('getent', [database, String(id)], { encoding: 'utf8' })
  } catch {
    return ''
  }
}

/** What each extension does, seen from outside SFTP. */
const deeds: readonly [string, (sftp: SftpClient) => Promise<void>][] = [
  [
    'posix-rename@openssh.com',
    async sftp => {
      writeFileSync(path('a'), 'new')
      writeFileSync(path('b'), 'old')
      await sftp.posixRename(path('a'), path('b'))
      expect([existsSync(path('a')), readFileSync(path('b'), 'utf8')]).toEqual([false, 'new'])
    },
  ],
  [
    'statvfs@openssh.com',
    async sftp => {
      const found = await sftp.statvfs(folder)
      expect([found.fragmentSize, found.blocks, found.files, found.maximumNameLength]).toEqual(statisticsByStat())
      expect(found.availableBlocks).toBeLessThanOrEqual(found.freeBlocks)
    },
  ],
  [
    'fstatvfs@openssh.com',
    async sftp => {
      writeFileSync(path('a'), 'x')
      await using file = await sftp.open(path('a'))
      const found = await file.statvfs()
      expect([found.fragmentSize, found.blocks, found.files, found.maximumNameLength]).toEqual(statisticsByStat())
    },
  ],
  [
    'hardlink@openssh.com',
    async sftp => {
      writeFileSync(path('a'), 'x')
      await sftp.link(path('a'), path('b'))
      expect(statSync(path('b')).ino).toBe(statSync(path('a')).ino)
    },
  ],
  [
    'fsync@openssh.com',
    async sftp => {
      await using file = await sftp.open(path('a'), 'w')
      await file.write('x')
      await file.sync()
    },
  ],
  [
    'lsetstat@openssh.com',
    async sftp => {
      writeFileSync(path('a'), 'x')
      utimesSync(path('a'), 5, 5)
      symlinkSync('a', path('l'))
      await sftp.utime(path('l'), 1_000_000_000, 1_100_000_000, { followSymlinks: false })
      expect([lstatSync(path('l')).mtimeMs, statSync(path('a')).mtimeMs]).toEqual([1_100_000_000_000, 5000])
    },
  ],
  [
    'limits@openssh.com',
    async sftp => {
      const { maximumPacketLength, maximumReadLength, maximumWriteLength, maximumOpenHandles } = sftp.limits
      // The server runs with 100 descriptors.
      expect(maximumOpenHandles).toBeGreaterThan(50)
      expect(maximumOpenHandles).toBeLessThan(100)
      expect(maximumPacketLength).toBeGreaterThanOrEqual(34_000)
      for (const length of [maximumReadLength, maximumWriteLength]) {
        expect(length).toBeGreaterThanOrEqual(32_768)
        expect(length).toBeLessThan(maximumPacketLength)
      }
      // And they are obeyed: a WRITE of just this length is taken.
      await using file = await sftp.open(path('a'), 'w')
      await file.writeAt(0, Buffer.alloc(maximumWriteLength, 1))
      expect((await sftp.stat(path('a'))).size).toBe(maximumWriteLength)
    },
  ],
  [
    'expand-path@openssh.com',
    async sftp => {
      // To the server one's own home is where it was started.
      expect(await sftp.expandPath('~')).toBe(process.cwd())
      expect(await sftp.expandPath('~/x')).toBe(`${process.cwd()}/x`)
      expect(await sftp.expandPath('~root')).toBe('/root')
      await expect(sftp.expandPath('~nobody-of-this-name/x')).rejects.toThrow()
    },
  ],
  [
    'copy-data',
    async sftp => {
      const data = randomBytes(700_000)
      writeFileSync(path('a'), data)
      await sftp.remoteCopy(path('a'), path('whole'))
      expect(readFileSync(path('whole')).equals(data)).toBe(true)
      await sftp.remoteCopy(path('a'), path('part'), 1000, 300_000, 5)
      expect(readFileSync(path('part')).equals(Buffer.concat([Buffer.alloc(5), data.subarray(1000, 301_000)]))).toBe(
        true,
      )
    },
  ],
  [
    'home-directory',
    async sftp => {
      expect(await sftp.homeDirectory('root')).toBe('/root')
      await expect(sftp.homeDirectory('nobody-of-this-name')).rejects.toThrow()
    },
  ],
  [
    'users-groups-by-id@openssh.com',
    async sftp => {
      const [uids, gids] = [
        [65534, 3_999_999_999, 0],
        [0, 4, 3_999_999_999],
      ]
      expect(await sftp.accountNames(uids, gids)).toEqual({
        users: uids.map(id => nameOf('passwd', id)),
        groups: gids.map(id => nameOf('group', id)),
      })
    },
  ],
]

describe.each([
  ["OpenSSH's sftp-server", opensshServer, existsSync(opensshServer)],
  ['tsftp-server', ourServer, isBuilt],
])('our client and %s', (name, command, isThere) => {
  test.skipIf(!isThere).each(deeds)('%s', async (extension, deed) => {
    const flags = '-e -l DEBUG3'
    const child = spawn('sh', ['-c', `ulimit -n 100; exec ${command} ${flags}`], { stdio: 'pipe' })
    let log = ''
    child.stderr.on('data', (data: Buffer) => {
      log += data.toString()
    })
    const exit = new Promise(resolve => child.on('close', resolve))
    const local = new LocalFileSystem()
    const sftp = await SftpClient.open(stdioStream(child.stdout, child.stdin), { local })
    try {
      expect([...sftp.session.extensions.keys()]).toContain(extension)
      await deed(sftp)
    } finally {
      sftp.exit()
      await exit
    }
    // It was this request, not another way to the same end.
    const logged = extension.replace(/@.*/, '').replace('expand-path', 'expand(-path)?')
    expect(log).toMatch(new RegExp(`^(debug\\d: )?(sftp: )?(request \\d+:? )?${logged}\\b`, 'm'))
  })

  test.skipIf(!isThere)('nothing is announced that is not in the table, but for AsyncSSH and the drafts', async () => {
    const child = spawn('sh', ['-c', `exec ${command}`], { stdio: ['pipe', 'pipe', 'inherit'] })
    const sftp = await SftpClient.open(stdioStream(child.stdout, child.stdin), { local: new LocalFileSystem() })
    const more = name === 'tsftp-server' ? ['ranges@asyncssh.com', 'check-file'] : []
    const announced = [...sftp.session.extensions.keys()].sort()
    expect(announced).toEqual([...deeds.map(([extension]) => extension), ...more].sort())
    sftp.exit()
  })
})

/** Lines for OpenSSH's sftp, and the request that each leads to. */
const lines: readonly [string, string, string, () => void][] = [
  ['posix-rename', '', 'rename a b', () => expect(readFileSync(path('b'), 'utf8')).toBe('a')],
  ['hardlink', '', 'ln a c', () => expect(statSync(path('c')).ino).toBe(statSync(path('a')).ino)],
  ['fsync', '', 'put -f a d', () => expect(readFileSync(path('d'), 'utf8')).toBe('a')],
  ['copy-data', '', 'cp a e', () => expect(readFileSync(path('e'), 'utf8')).toBe('a')],
  ['lsetstat', '', `chgrp -h 4 l`, () => expect([lstatSync(path('l')).gid, statSync(path('b')).gid]).toEqual([4, 0])],
  ['statvfs', '', 'df', () => {}],
  ['limits', '', 'pwd', () => {}],
]

describe.skipIf(!isBuilt || !haveProgram('sftp') || process.getuid?.() !== 0)("OpenSSH's sftp and tsftp-server", () => {
  test.each(lines)('%s', async (request, flags, line, check) => {
    writeFileSync(path('a'), 'a')
    writeFileSync(path('b'), 'b')
    symlinkSync('b', path('l'))
    const server = `${ourServer} -e -l DEBUG3 -d ${folder}`
    const args = [...(flags ? [flags] : []), '-b', '-', '-D', server]
    const ran = await runProgram('sftp', args, { input: `lcd ${folder}\n${line}\n` })
    expect(ran.status, ran.stderr).toBe(0)
    expect(ran.stderr).toMatch(new RegExp(`sftp: request \\d+ ${request}\r?\n`))
    check()
  })

  test('df prints what df(1) does', async () => {
    const ran = await runProgram('sftp', ['-b', '-', '-D', `${ourServer} -d ${folder}`], { input: 'df\n' })
    const sftp = ran.stdout.toString().trim().split('\n').at(-1)!.trim().split(/ +/)
    const df = execFileSync('df', ['-k', folder], { encoding: 'utf8' }).trim().split('\n').at(-1)!.split(/ +/)
    // The size, to the KiB. What is free changes while the tests run.
    expect(sftp[0]).toBe(df[1])
    expect(Math.abs(Number(sftp[2]) - Number(df[3]))).toBeLessThan(Number(df[1]) / 20)
  })

  test('names of users and groups in ls -l; ~ of scp', async () => {
    writeFileSync(path('a'), 'a')
    execFileSync('chown', ['daemon:adm', path('a')])
    const ls = await runProgram('sftp', ['-b', '-', '-D', `${ourServer} -e -l DEBUG3 -d ${folder}`], {
      input: 'ls -l a\n',
    })
    expect(ls.stdout.toString()).toMatch(/ daemon +adm /)
    // It takes a program without arguments.
    writeFileSync(path('server'), `#!/bin/sh\nexec ${ourServer} -d ${folder}\n`, { mode: 0o755 })
    const scp = await runProgram('scp', ['-D', path('server'), 'x:~/a', path('b')])
    expect([scp.status, readFileSync(path('b'), 'utf8')]).toEqual([0, 'a'])
  })
})

/** AsyncSSH serves versions 3 to 6, and tells its vendor. */
const asyncsshServer = `
import asyncio, asyncssh, sys
class Server(asyncssh.SSHServer):
    def begin_auth(self, user): return False
async def main():
    key = asyncssh.generate_private_key('ssh-ed25519')
    server = await asyncssh.create_server(Server, '127.0.0.1', 0, server_host_keys=[key], sftp_factory=True, sftp_version=6)
    print(server.sockets[0].getsockname()[1], asyncssh.__version__, flush=True)
    await asyncio.get_event_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
`

describe.skipIf(!havePythonModule('asyncssh'))("our client and AsyncSSH's server", () => {
  let child: ChildProcess
  let port: number
  let release: string
  beforeAll(async () => {
    child = spawn('/usr/bin/python3', ['-W', 'ignore', '-c', asyncsshServer], { stdio: ['pipe', 'pipe', 'inherit'] })
    for await (const line of createInterface({ input: child.stdout! })) {
      const [first, second] = line.split(' ')
      port = Number(first)
      release = second!
      break
    }
  })
  afterAll(() => child.stdin?.end())

  test.each([3, 4, 5, 6] as const)('version %i: vendor-id, newline, and what OpenSSH has too', async version => {
    const known = `UserKnownHostsFile ${path('known')}`
    const options = ['StrictHostKeyChecking no', known, 'IdentityAgent none', 'LogLevel ERROR']
    await using client = await connect({ host: '127.0.0.1', port, user: 'x', configFile: 'none', options })
    const sftp = await client.sftp({ version })
    expect(sftp.version).toBe(version)
    const { session } = sftp
    expect(session.vendor).toMatchObject({ product: 'AsyncSSH', version: release })
    expect(session.extensions.get('newline')?.toString()).toBe('\n')
    writeFileSync(path('a'), 'a')
    writeFileSync(path('b'), 'b')
    await sftp.posixRename(path('a'), path('b'))
    expect(readFileSync(path('b'), 'utf8')).toBe('a')
    await sftp.link(path('b'), path('c'))
    expect(statSync(path('c')).ino).toBe(statSync(path('b')).ino)
    // In AsyncSSH's order of the two paths.
    await sftp.symlink('b', path('l'))
    expect(lstatSync(path('l')).isSymbolicLink()).toBe(true)
    const file = await sftp.open(path('b'), 'r+')
    await file.sync()
    for (const found of [await sftp.statvfs(folder), await file.statvfs()])
      expect([found.fragmentSize, found.blocks, found.files, found.maximumNameLength]).toEqual(statisticsByStat())
    await file.close()
    sftp.exit()
    await sftp.waitClosed()
  })
})

describe.skipIf(!havePythonModule('asyncssh'))("AsyncSSH's client and our server", () => {
  let peer: Listening
  beforeAll(async () => {
    peer = await startListening()
  })
  afterAll(() => peer.close())

  test('statvfs by path and by handle, posix-rename, hardlink, fsync', async () => {
    writeFileSync(path('a'), 'a')
    writeFileSync(path('b'), 'b')
    const script = `
import asyncssh, asyncio, sys
async def main():
    port, user, key, hosts, folder = int(sys.argv[1]), *sys.argv[2:]
    async with asyncssh.connect('127.0.0.1', port, username=user, client_keys=[key], known_hosts=hosts, config=None, agent_path=None) as c:
        async with c.start_sftp_client() as sftp:
            await sftp.posix_rename(folder + '/a', folder + '/b')
            await sftp.link(folder + '/b', folder + '/c')
            async with sftp.open(folder + '/b', 'r+') as file:
                await file.fsync()
                for v in (await sftp.statvfs(folder), await file.statvfs()):
                    print(v.frsize, v.blocks, v.files, v.namemax)
asyncio.run(main())
`
    const args = ['-W', 'ignore', '-c', script, String(peer.server.port), peer.user, peer.identity, peer.knownHosts]
    const ran = await runProgram('/usr/bin/python3', [...args, folder])
    expect(ran.stderr).toBe('')
    const line = statisticsByStat().join(' ')
    expect(ran.stdout.toString()).toBe(`${line}\n${line}\n`)
    expect([existsSync(path('a')), readFileSync(path('b'), 'utf8'), statSync(path('b')).nlink]).toEqual([false, 'a', 2])
  })
})

/** What no client at hand asks for, byte by byte by the specifications. */
describe('our server and requests by hand', () => {
  const extended = 200
  const [nameReply, extendedReply] = [104, 201]
  const local = (): LocalFileSystem => new LocalFileSystem({ start: folder })

  /** The announcements of VERSION. */
  async function announced(version: number): Promise<Map<string, Buffer>> {
    const vendor = { vendor: 'A', product: 'B', version: '1.2', build: 7 }
    const raw = new RawClient(local(), { version: 6, vendor })
    raw.packet(1, writer => writer.uint32(version))
    const reader = new Reader((await raw.answer())!)
    expect([reader.byte(), reader.uint32()]).toEqual([2, version])
    const found = new Map<string, Buffer>()
    while (reader.remaining > 0) found.set(reader.text(), Buffer.from(reader.string()))
    return found
  }

  test.each([3, 4, 5, 6])('version %i: newline, vendor-id, supported', async version => {
    const found = await announced(version)
    // Draft -04 section 4.3: a server says how its lines end from version 4 on.
    expect(found.get('newline')?.toString()).toBe(version >= 4 ? '\n' : undefined)
    const string = (text: string): Buffer => Buffer.concat([Buffer.of(0, 0, 0, text.length), Buffer.from(text)])
    const build = Buffer.of(0, 0, 0, 0, 0, 0, 0, 7)
    expect(found.get('vendor-id')).toEqual(Buffer.concat([...['A', 'B', '1.2'].map(string), build]))
    expect([found.has('supported'), found.has('supported2')]).toEqual([version === 5, version === 6])
    expect(found.get('check-file')?.toString().split(',')).toEqual(expect.arrayContaining(['sha256', 'sha1', 'md5']))
    expect(found.get('ranges@asyncssh.com')?.toString()).toBe('1')
  })

  test('home-directory: of a user by name, and one’s own', async () => {
    const raw = await new RawClient(local()).begin()
    const home = async (user: string): Promise<string | number> => {
      const answer = await raw.ask(extended, writer => writer.text('home-directory').text(user))
      if (answer[0] !== nameReply) return answer.readUInt32BE(5)
      const reader = new Reader(answer, 5)
      expect(reader.uint32()).toBe(1)
      return reader.text()
    }
    const line = execFileSync('getent', ['passwd', 'daemon'], { encoding: 'utf8' })
    expect(await home('daemon')).toBe(line.split(':')[5])
    expect(await home('')).toBe(process.env['HOME'])
    expect(await home('nobody-of-this-name')).toBeGreaterThan(1)
  })

  test('ranges@asyncssh.com: the data of a sparse file in order, and the end', async () => {
    // Data in the first and the third MiB, a hole up to the end.
    writeFileSync(path('sparse'), '')
    truncateSync(path('sparse'), 4 << 20)
    execFileSync('sh', [
      '-c',
      `for at in 0 2; do head -c 65536 /dev/zero | tr '\\0' x | dd of=${path('sparse')} bs=65536 seek=$((at * 16)) conv=notrunc status=none; done`,
    ])
    const raw = await new RawClient(local()).begin()
    const handle = await raw.open(path('sparse'))
    const ask = async (offset: number, length: number): Promise<unknown> => {
      const answer = await raw.ask(extended, writer =>
        writer.text('ranges@asyncssh.com').string(handle).uint32(0).uint32(offset).uint32(0).uint32(length),
      )
      if (answer[0] !== extendedReply) return answer.readUInt32BE(5)
      const reader = new Reader(answer, 5)
      const ranges = Array.from({ length: reader.uint32() }, () => [Number(reader.uint64()), Number(reader.uint64())])
      return { ranges, atEnd: reader.boolean() }
    }
    expect(await ask(0, 4 << 20)).toEqual({
      ranges: [
        [0, 65536],
        [2 << 20, 65536],
      ],
      atEnd: true,
    })
    expect(await ask(100, 1000)).toEqual({ ranges: [[100, 1000]], atEnd: true })
    // Nothing but a hole, or nothing at all: the end of the file.
    for (const offset of [3 << 20, 4 << 20]) expect(await ask(offset, 1 << 20)).toBe(1)
  })

  test.each(['check-file-handle', 'check-file-name'] as const)('%s: one hash, and one for each block', async name => {
    const data = randomBytes(10_000)
    writeFileSync(path('f'), data)
    const raw = await new RawClient(local()).begin()
    const handle = await raw.open(path('f'))
    const ask = async (algorithms: string, offset: number, length: number, block: number): Promise<unknown> => {
      const answer = await raw.ask(extended, writer => {
        writer.text(name)
        if (name === 'check-file-handle') writer.string(handle)
        else writer.text(path('f'))
        writer.text(algorithms).uint32(0).uint32(offset).uint32(0).uint32(length).uint32(block)
      })
      if (answer[0] !== extendedReply) return answer.readUInt32BE(5)
      const reader = new Reader(answer, 5)
      return [reader.text(), reader.text(), reader.rest().toString('hex')]
    }
    const hash = (algorithm: string, ...parts: Buffer[]): string =>
      parts.map(part => createHash(algorithm).update(part).digest('hex')).join('')
    expect(await ask('sha256', 0, 0, 0)).toEqual(['check-file', 'sha256', hash('sha256', data)])
    // The first of the client's list that the server has.
    expect(await ask('crc99,md5,sha1', 5, 700, 0)).toEqual(['check-file', 'md5', hash('md5', data.subarray(5, 705))])
    const blocks = [0, 4000, 8000].map(at => data.subarray(at, at + 4000))
    expect(await ask('sha1', 0, 0, 4000)).toEqual(['check-file', 'sha1', hash('sha1', ...blocks)])
    // Draft extensions-00 section 3: blocks below 256 bytes are invalid.
    expect(await ask('sha1', 0, 0, 255)).toBeGreaterThan(1)
    expect(await ask('crc99', 0, 0, 0)).toBeGreaterThan(1)
  })
})
