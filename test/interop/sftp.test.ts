import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { type Listening, runProgram, startListening } from '../support/listening.ts'
import { haveProgram, havePythonModule } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'
import { addLinks, diskUsage, makeTree, pictureOf } from '../support/trees.ts'

/** Trees over SFTP: other clients with our server, tsftp with OpenSSH's, and what sftp makes of the same. */

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))
const isBuilt = existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))

let folder: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'tssh-trees-')))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('our server', () => {
  let peer: Listening
  beforeAll(async () => {
    peer = await startListening()
  })
  afterAll(() => peer.close())

  const port = (): string => String(peer.server.port)
  const openssh = (): string[] => [
    '-q',
    '-F',
    'none',
    '-i',
    peer.identity,
    '-o',
    `UserKnownHostsFile=${peer.knownHosts}`,
    '-P',
    port(),
  ]

  test.runIf(haveProgram('sftp'))('sftp', async () => {
    makeTree(join(folder, 'tree'), 'wild')
    const input = `put -pr ${folder}/tree ${folder}/up\nget -pr ${folder}/up ${folder}/down\n`
    const ran = await runProgram('sftp', [...openssh(), '-b', '-', `${peer.user}@127.0.0.1`], { input })
    expect(ran.status).toBe(0)
    const expected = pictureOf(join(folder, 'tree'), '%m %Ts')
    expect(pictureOf(join(folder, 'up'), '%m %Ts')).toEqual(expected)
    expect(pictureOf(join(folder, 'down'), '%m %Ts')).toEqual(expected)
  })

  test.runIf(haveProgram('scp'))('scp', async () => {
    makeTree(join(folder, 'tree'), 'wild')
    const there = `${peer.user}@127.0.0.1:`
    await runProgram('scp', [...openssh(), '-spr', join(folder, 'tree'), `${there}${folder}/up`])
    const ran = await runProgram('scp', [...openssh(), '-spr', `${there}${folder}/up`, join(folder, 'down')])
    expect(ran.status).toBe(0)
    expect(pictureOf(join(folder, 'down'), '%m %Ts')).toEqual(pictureOf(join(folder, 'tree'), '%m %Ts'))
  })

  test.runIf(haveProgram('lftp') && haveProgram('ssh'))('lftp', async () => {
    makeTree(join(folder, 'tree'), 'tame')
    addLinks(join(folder, 'tree'))
    const ssh = `ssh -a -x -q -F none -i ${peer.identity} -o UserKnownHostsFile=${peer.knownHosts} -p ${port()}`
    const commands = [
      `set sftp:connect-program "${ssh}"`,
      `open -u ${peer.user}, sftp://127.0.0.1`,
      `mirror -R ${folder}/tree ${folder}/up`,
      `mirror ${folder}/up ${folder}/down`,
    ]
    const ran = await runProgram('lftp', ['-c', commands.join('; ')])
    expect(ran.stderr).toBe('')
    const expected = pictureOf(join(folder, 'tree'), '%m %Ts')
    expect(pictureOf(join(folder, 'up'), '%m %Ts')).toEqual(expected)
    expect(pictureOf(join(folder, 'down'), '%m %Ts')).toEqual(expected)
  })

  test.runIf(haveProgram('psftp') && haveProgram('puttygen'))('psftp and pscp', async () => {
    makeTree(join(folder, 'tree'), 'tame')
    const key = join(folder, 'key.ppk')
    execFileSync('puttygen', [peer.identity, '-O', 'private', '-o', key], { stdio: 'ignore' })
    const how = ['-batch', '-hostkey', fingerprint(peer.hostKey.publicKey.blob), '-i', key, '-P', port()]
    const script = join(folder, 'script')
    writeFileSync(script, `put -r ${folder}/tree ${folder}/up\nget -r ${folder}/up ${folder}/down\n`)
    const one = await runProgram('psftp', [...how, '-b', script, `${peer.user}@127.0.0.1`])
    expect(one.status).toBe(0)
    const expected = pictureOf(join(folder, 'tree'))
    expect(pictureOf(join(folder, 'up'))).toEqual(expected)
    expect(pictureOf(join(folder, 'down'))).toEqual(expected)
    const two = await runProgram('pscp', [
      ...how,
      '-sftp',
      '-r',
      `${peer.user}@127.0.0.1:${folder}/up`,
      `${folder}/again`,
    ])
    expect(two.status).toBe(0)
    expect(pictureOf(join(folder, 'again'))).toEqual(expected)
  })

  test.runIf(havePythonModule('asyncssh'))('asyncssh', async () => {
    makeTree(join(folder, 'tree'), 'wild')
    // To a file that is there already: asyncssh sets the times of a link through it.
    symlinkSync('../tree/plain', join(folder, 'tree/link'))
    const script = `
import asyncssh, asyncio, sys
async def main():
    port, user, key, hosts, folder = int(sys.argv[1]), *sys.argv[2:]
    async with asyncssh.connect('127.0.0.1', port, username=user, client_keys=[key], known_hosts=hosts, config=None, agent_path=None) as connection:
        async with connection.start_sftp_client(path_encoding='utf-8', path_errors='surrogateescape') as sftp:
            await sftp.put(folder + '/tree', folder + '/up', recurse=True, preserve=True)
            await sftp.get(folder + '/up', folder + '/down', recurse=True, preserve=True)
            print((await sftp.statvfs(folder)).bsize > 0, await sftp.readlink(folder + '/up/link'))
            await sftp.posix_rename(folder + '/up/plain', folder + '/up/nothing')
            await sftp.rmtree(folder + '/up')
asyncio.run(main())
`
    const args = ['-W', 'ignore', '-c', script, port(), peer.user, peer.identity, peer.knownHosts, folder]
    const ran = await runProgram('/usr/bin/python3', args)
    expect(ran.stderr).toBe('')
    expect(ran.stdout.toString()).toBe('True ../tree/plain\n')
    // Without times: asyncssh gives those of a link to what it leads to.
    expect(pictureOf(join(folder, 'down'), '%m')).toEqual(pictureOf(join(folder, 'tree'), '%m'))
    expect(existsSync(join(folder, 'up'))).toBe(false)
  })

  test.runIf(havePythonModule('paramiko'))('paramiko', async () => {
    makeTree(join(folder, 'tree'), 'tame')
    const script = `
import paramiko, sys, hashlib
port, user, key, hosts, folder = int(sys.argv[1]), *sys.argv[2:]
client = paramiko.SSHClient()
client.load_host_keys(hosts)
client.connect('127.0.0.1', port, user, allow_agent=False, look_for_keys=False, key_filename=key)
sftp = client.open_sftp()
sftp.put(folder + '/tree/large', folder + '/up')
sftp.get(folder + '/up', folder + '/down')
with sftp.open(folder + '/up') as f:
    print(f.check('sha256') == hashlib.sha256(open(folder + '/up', 'rb').read()).digest())
    f.seek(2999990)
    print(len(f.read(100)))
sftp.chdir(folder + '/tree')
print(sorted(sftp.listdir()) == sorted(__import__('os').listdir(folder + '/tree')), sftp.getcwd() == folder + '/tree')
sftp.symlink('large', 'another')
print(sftp.readlink('another'))
sftp.truncate('large', 10)
print(sftp.stat('another').st_size, sftp.lstat('another').st_size)
client.close()
`
    const args = ['-W', 'ignore', '-c', script, port(), peer.user, peer.identity, peer.knownHosts, folder]
    const ran = await runProgram('/usr/bin/python3', args)
    expect(ran.stderr).toBe('')
    expect(ran.stdout.toString()).toBe('True\n11\nTrue True\nlarge\n10 5\n')
  })

  const fuseWorks = haveProgram('sshfs') && haveProgram('fusermount3') && canOpen('/dev/fuse')
  test.runIf(fuseWorks)('sshfs', async ({ skip }) => {
    makeTree(join(folder, 'tree'), 'wild', 40)
    addLinks(join(folder, 'tree'))
    mkdirSync(join(folder, 'far'))
    mkdirSync(join(folder, 'mount'))
    const how = [
      '-F',
      'none',
      '-o',
      `IdentityFile=${peer.identity},UserKnownHostsFile=${peer.knownHosts},port=${port()}`,
    ]
    const mounted = await runProgram('sshfs', [`${peer.user}@127.0.0.1:${folder}/far`, join(folder, 'mount'), ...how])
    // A container may have the device and forbid mounting all the same.
    skip(mounted.status !== 0, 'sshfs may not mount here')
    try {
      await runProgram('cp', ['-a', join(folder, 'tree'), join(folder, 'mount/tree')])
      // Without times: sshfs gives those of a link to what it leads to.
      expect(pictureOf(join(folder, 'far/tree'), '%m')).toEqual(pictureOf(join(folder, 'tree'), '%m'))
      const ran = await runProgram('diff', ['-r', '--no-dereference', join(folder, 'tree'), join(folder, 'mount/tree')])
      expect(ran.stdout.toString()).toBe('')
    } finally {
      await runProgram('fusermount3', ['-u', join(folder, 'mount')])
    }
  })
})

function canOpen(path: string): boolean {
  try {
    closeSync(openSync(path, 'r+'))
    return true
  } catch {
    return false
  }
}

describe.skipIf(!isBuilt || !haveProgram('sshd') || !haveProgram('sftp'))("tsftp and OpenSSH's sshd", () => {
  let sshd: RunningSshd
  let flags: string[]
  beforeAll(async () => {
    sshd = await startSshd(['Subsystem sftp /usr/lib/openssh/sftp-server'])
    flags = [
      '-q',
      '-F',
      'none',
      '-i',
      sshd.identity,
      '-o',
      `UserKnownHostsFile=${sshd.knownHosts}`,
      '-P',
      String(sshd.port),
    ]
  })
  afterAll(() => sshd.close())

  test('a tree there and back, as sftp makes it', async () => {
    makeTree(join(folder, 'tree'), 'wild')
    addLinks(join(folder, 'tree'))
    const pictures: string[][] = []
    for (const [program, args] of [
      ['sftp', []],
      [process.execPath, [bin('tsftp')]],
    ] as const) {
      const input = `put -pr ${folder}/tree ${folder}/up\nget -pr ${folder}/up ${folder}/down\nput -r ${folder}/tree ${folder}/modes\n`
      const ran = await runProgram(program, [...args, ...flags, '-b', '-', `${sshd.user}@127.0.0.1`], { input })
      expect(ran.status, ran.stderr).toBe(0)
      for (const name of ['up', 'down']) pictures.push(pictureOf(join(folder, name), '%m %Ts'))
      pictures.push(pictureOf(join(folder, 'modes'), '%m'))
      for (const name of ['up', 'down', 'modes']) rmSync(join(folder, name), { recursive: true })
    }
    expect(pictures[3]).toEqual(pictures[0])
    expect(pictures[4]).toEqual(pictures[1])
    expect(pictures[5]).toEqual(pictures[2])
  })

  test('holes stay holes', async () => {
    makeTree(join(folder, 'tree'), 'tame', 1)
    const input = `put ${folder}/tree/sparse ${folder}/up\nget ${folder}/up ${folder}/down\n`
    await runProgram(process.execPath, [bin('tsftp'), ...flags, '-b', '-', `${sshd.user}@127.0.0.1`], { input })
    for (const name of ['up', 'down']) {
      expect(execFileSync('cmp', [join(folder, 'tree/sparse'), join(folder, name)]).toString()).toBe('')
      expect(diskUsage(join(folder, name))).toBeLessThan(1000)
    }
  })

  test('a server that is killed three times in the middle: -a starts it again and goes on, identical', async () => {
    const source = join(folder, 'source')
    execFileSync('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', 'count=24'], { stdio: 'ignore' })
    // The server dies after so many bytes of what the client sends, or of what it answers; the fourth lives. It is killed,
    // since OpenSSH's may wait in circles for a full pipe that nobody reads any more.
    const server = '/usr/lib/openssh/sftp-server'
    // Together less than the file, so that none of the first three can reach its end.
    const cuts = [3_333_333, 7_654_321, 4_000_001]
    for (const way of ['put', 'get'] as const) {
      const target = join(folder, way)
      const starts = join(folder, `${way}-starts`)
      const program = join(folder, `${way}-server`)
      const cut = 'dd bs=65536 iflag=count_bytes status=none count=$bytes'
      writeFileSync(
        program,
        `#!/bin/bash
echo start >> ${starts}
cuts=(0 ${cuts.join(' ')})
bytes=\${cuts[$(wc -l < ${starts})]}
[ -n "$bytes" ] || exec ${server}
${way === 'put' ? `${cut} | ${server}` : `{ echo $BASHPID > ${program}-pid; exec ${server}; } | { ${cut}; kill -9 $(< ${program}-pid); }`}
`,
        { mode: 0o755 },
      )
      const args = [bin('tsftp'), '-a', '-b', '-', '-D', program]
      const ran = await runProgram(process.execPath, args, { input: `${way} ${source} ${target}\n` })
      expect(ran.status, ran.stderr).toBe(0)
      expect(readFileSync(starts, 'latin1').match(/start/g)).toHaveLength(cuts.length + 1)
      expect(spawnSync('cmp', [source, target]).status).toBe(0)
    }
  })

  test.runIf(haveProgram('mount') && process.getuid?.() === 0)('a full disk: an error, status 1', async ({ skip }) => {
    const disk = join(folder, 'disk')
    mkdirSync(disk)
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
    skip(mounted.status !== 0, 'no file system may be mounted here')
    try {
      writeFileSync(join(folder, 'f'), Buffer.alloc(3_000_000, 1))
      for (const [line, text] of [
        [`put ${folder}/f ${disk}/g`, `write remote "${disk}/g": Failure`],
        [`get ${folder}/f ${disk}/h`, `write local "${disk}/h": No space left on device`],
      ] as const) {
        const args = [bin('tsftp'), ...flags, '-b', '-', `${sshd.user}@127.0.0.1`]
        const ran = await runProgram(process.execPath, args, { input: `${line}\n` })
        expect([ran.status, ran.stderr]).toEqual([1, `${text}\n`])
        rmSync(join(disk, line.endsWith('g') ? 'g' : 'h'))
      }
    } finally {
      spawnSync('umount', ['-l', disk])
    }
  })
})

describe.skipIf(!isBuilt)('tsftp and tsftp-server', () => {
  test('more than 4 GiB: what lies behind is where it was', async () => {
    const size = 4.5 * 2 ** 30
    const source = join(folder, 'source')
    const marks = [0, 2 ** 31 - 7, 2 ** 32 - 7, 2 ** 32 + 123_456_789, size - 7]
    const descriptor = openSync(source, 'w')
    for (const at of marks) writeSync(descriptor, 'marked!', at)
    closeSync(descriptor)
    truncateSync(source, size)
    const args = [bin('tsftp'), '-b', '-', '-D', `${process.execPath} ${bin('tsftp-server')}`]
    const input = `put ${source} ${folder}/up\nget ${folder}/up ${folder}/down\n`
    const ran = await runProgram(process.execPath, args, { input, timeout: 120_000 })
    expect(ran.status, ran.stderr).toBe(0)
    for (const name of ['up', 'down']) {
      expect(statSync(join(folder, name)).size).toBe(size)
      expect(diskUsage(join(folder, name))).toBeLessThan(4000)
      const file = openSync(join(folder, name), 'r')
      for (const at of marks) {
        const found = Buffer.alloc(7)
        readSync(file, found, 0, 7, at)
        expect(found.toString()).toBe('marked!')
      }
      closeSync(file)
    }
  }, 120_000)
})
