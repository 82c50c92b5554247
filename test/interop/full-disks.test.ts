import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'

/** Full disks and forbidden files, on either side: what is said, the status, and the old file. */

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))
const isBuilt = existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))
const opensshServer = '/usr/lib/openssh/sftp-server'
const servers = [
  ['sftp-server', opensshServer, 'Failure'],
  ['tsftp-server', `${process.execPath} ${bin('tsftp-server')}`, 'No space left on file system'],
] as const
const isRoot = process.getuid?.() === 0

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-full-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))
const path = (...names: string[]): string => join(folder, ...names)

const run = (command: string, args: readonly string[], input = ''): Promise<Ran> =>
  runProgram(process.execPath, [bin(command), ...args], { input })

function canMount(): boolean {
  if (!isRoot || !haveProgram('mount')) return false
  const at = mkdtempSync(join(tmpdir(), 'tssh-mount-'))
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', at]).status === 0
  if (mounted) spawnSync('umount', [at])
  rmSync(at, { recursive: true })
  return mounted
}

describe.skipIf(!isBuilt || !canMount())('a full disk (needs root and mount)', () => {
  beforeEach(() => {
    mkdirSync(path('disk'))
    spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path('disk')])
    writeFileSync(path('big'), Buffer.alloc(3_000_000, 7))
    for (const name of ['small', 'disk/t']) writeFileSync(path(name), 'old')
  })
  afterEach(() => void spawnSync('umount', ['-l', path('disk')]))

  test.each(servers)('%s: tscp and tsftp say which file and why, with status 1', async (_name, server, words) => {
    if (!existsSync(server.split(' ')[0]!)) return
    const target = path('disk/t')
    const up = await run('tscp', ['-D', server, path('big'), `x:${target}`])
    expect([up.status, up.stderr]).toEqual([
      1,
      `tscp: write remote "${target}": ${words}\ntscp: failed to upload file ${path('big')} to ${target}\n`,
    ])
    const down = await run('tscp', ['-D', server, `x:${path('big')}`, target])
    expect([down.status, down.stderr]).toEqual([1, `tscp: write local "${target}": No space left on device\n`])
    // In place: a whole beginning, so that --resume can go on once there is room.
    const part = readFileSync(target)
    expect(part.equals(Buffer.alloc(part.length, 7))).toBe(true)
    rmSync(target)
    const put = await run(
      'tsftp',
      ['-b', '-', '-D', server],
      `put ${path('big')} ${target}\nput ${path('small')} ${path('x')}\n`,
    )
    expect([put.status, put.stderr]).toEqual([1, `write remote "${target}": ${words}\n`])
    expect(existsSync(path('x'))).toBe(false)
    // The rest of a batch that goes on works.
    rmSync(target)
    const more = await run(
      'tsftp',
      ['-b', '-', '-D', server],
      `-put ${path('big')} ${target}\nrm ${target}\nput ${path('small')} ${target}\n`,
    )
    expect(more.status).toBe(0)
    expect(readFileSync(target, 'utf8')).toBe('old')
  })

  test.each(servers)('%s: --atomic and sync leave the old file whole and nothing else', async (_name, server) => {
    if (!existsSync(server.split(' ')[0]!)) return
    const target = path('disk/t')
    for (const args of [
      ['--atomic', path('big'), `x:${target}`],
      ['--atomic', `x:${path('big')}`, target],
    ]) {
      const ran = await run('tscp', ['-D', server, ...args])
      expect(ran.status).toBe(1)
      expect(ran.stderr).toMatch(/write (local|remote) "[^"]*disk\/t": (No space left on|Failure)/)
      expect([readdirSync(path('disk')), readFileSync(target, 'utf8')]).toEqual([['t'], 'old'])
    }
    mkdirSync(path('tree'))
    writeFileSync(path('tree/t'), Buffer.alloc(3_000_000, 7))
    const sync = await run('tsftp', ['sync', '--delete', '-D', server, path('tree'), `x:${path('disk')}`])
    expect(sync.status).toBe(1)
    expect([readdirSync(path('disk')), readFileSync(target, 'utf8')]).toEqual([['t'], 'old'])
  })

  test('many small files: each that has no room is named, the others are there', async () => {
    mkdirSync(path('tree'))
    for (let i = 0; i < 60; i++) writeFileSync(path('tree', String(i)), Buffer.alloc(30_000, i))
    const ran = await run('tscp', ['-r', '-D', servers[1][1], path('tree'), `x:${path('disk')}`])
    expect(ran.status).toBe(1)
    const failed = new Set(ran.stderr.match(/(?<=write remote ")[^"]*(?=")/g))
    expect(failed.size).toBeGreaterThan(20)
    const whole = readdirSync(path('disk/tree')).filter(name => readFileSync(path('disk/tree', name)).length === 30_000)
    expect(whole.length + failed.size).toBe(60)
    for (const name of whole) expect(readFileSync(path('disk/tree', name))[0]).toBe(Number(name))
  })

  test('the old protocol: status 1, both ways', async () => {
    writeFileSync(
      path('far'),
      `#!/bin/sh\nfor last; do :; done\nset -- $last\nshift\nexec ${process.execPath} ${bin('tscp')} "$@"\n`,
      {
        mode: 0o755,
      },
    )
    for (const args of [
      [path('big'), `x:${path('disk/t')}`],
      [`x:${path('big')}`, path('disk/t')],
    ]) {
      const ran = await run('tscp', ['-O', '-S', path('far'), ...args])
      expect(ran.status).toBe(1)
      expect(ran.stderr).toContain('No space left on')
    }
  })
})

/** A kernel without quotas has those of btrfs all the same. */
function mountWithQuota(image: string, at: string): boolean {
  const commands = [
    `truncate -s 128M ${image} && mkfs.btrfs -q ${image} && mkdir -p ${at}`,
    `mount -o loop ${image} ${at} && btrfs quota enable ${at}`,
    `btrfs subvolume create ${at}/sub && btrfs qgroup limit 1M ${at}/sub`,
  ]
  return spawnSync('sh', ['-c', commands.join(' && ')], { stdio: 'ignore' }).status === 0
}

describe.skipIf(!isBuilt || !isRoot || !haveProgram('mkfs.btrfs') || !canMount())(
  'a quota that is used up (needs root, mount and btrfs)',
  () => {
    beforeEach(({ skip }) => {
      skip(!mountWithQuota(path('image'), path('disk')), 'no btrfs may be mounted here')
      // What cannot be packed.
      writeFileSync(path('big'), randomBytes(3_000_000))
      writeFileSync(path('small'), 'small')
      writeFileSync(path('disk/sub/t'), 'old')
    })
    afterEach(() => void spawnSync('umount', ['-l', path('disk')]))

    test.each([
      ['sftp-server', opensshServer, 'Failure'],
      ['tsftp-server', `${process.execPath} ${bin('tsftp-server')}`, 'Quota exceeded'],
    ])('%s: which file, why, status 1, and the old file whole with --atomic', async (_name, server, words) => {
      if (!existsSync(server.split(' ')[0]!)) return
      const target = path('disk/sub/t')
      for (const [operands, text] of [
        [[path('big'), `x:${target}`], words],
        [[`x:${path('big')}`, target], 'Disk quota exceeded'],
      ] as const) {
        const ran = await run('tscp', ['-D', server, '--atomic', ...operands])
        expect(ran.status).toBe(1)
        expect(ran.stderr).toMatch(new RegExp(`^tscp: write (local|remote) "[^"]*/t[^"/]*": ${text}\n`))
        expect([readdirSync(path('disk/sub')), readFileSync(target, 'utf8')]).toEqual([['t'], 'old'])
      }
      mkdirSync(path('tree'))
      writeFileSync(path('tree/t'), readFileSync(path('big')))
      const sync = await run('tsftp', ['sync', '-D', server, path('tree'), `x:${path('disk/sub')}`])
      expect(sync.status).toBe(1)
      expect(sync.stderr).toContain(words)
      expect([readdirSync(path('disk/sub')), readFileSync(target, 'utf8')]).toEqual([['t'], 'old'])
      // In place, as sftp writes: a whole beginning, and the batch goes on where it may.
      const input = `-put ${path('big')} ${target}\nrm ${target}\nput ${path('small')} ${target}\n`
      const put = await run('tsftp', ['-b', '-', '-D', server], input)
      expect([put.status, put.stderr]).toEqual([0, `write remote "${target}": ${words}\n`])
      expect(readFileSync(target, 'utf8')).toBe('small')
      const get = await run('tsftp', ['-b', '-', '-D', server], `get ${path('big')} ${target}\n`)
      expect([get.status, get.stderr]).toEqual([1, `write local "${target}": Disk quota exceeded\n`])
      const part = readFileSync(target)
      expect(part.equals(readFileSync(path('big')).subarray(0, part.length))).toBe(true)
    })

    test('the old protocol: status 1 and why, both ways', async () => {
      writeFileSync(
        path('far'),
        `#!/bin/sh\nfor last; do :; done\nset -- $last\nshift\nexec ${process.execPath} ${bin('tscp')} "$@"\n`,
        { mode: 0o755 },
      )
      for (const operands of [
        [path('big'), `x:${path('disk/sub/t')}`],
        [`x:${path('big')}`, path('disk/sub/t')],
      ]) {
        const ran = await run('tscp', ['-O', '-S', path('far'), ...operands])
        expect(ran.status).toBe(1)
        expect(ran.stderr).toMatch(/[Qq]uota exceeded/)
        rmSync(path('disk/sub/t'))
      }
    })
  },
)

describe.skipIf(!isBuilt || !isRoot || !haveProgram('setpriv'))(
  'files that are not ours (needs root and setpriv)',
  () => {
    const asNobody = (command: string, args: readonly string[], input = ''): Promise<Ran> =>
      runProgram(
        'setpriv',
        ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, bin(command), ...args],
        { input },
      )

    test.each(servers)('%s: permission denied on either side, and the others arrive', async (_name, server) => {
      if (!existsSync(server.split(' ')[0]!)) return
      chmodSync(folder, 0o755)
      for (const name of ['tree', 'out', 'tree/shut']) mkdirSync(path(name))
      for (const name of ['tree/a', 'tree/b', 'tree/c', 'target']) writeFileSync(path(name), 'old')
      chmodSync(path('tree/b'), 0o600)
      chmodSync(path('tree/shut'), 0o700)
      chownSync(path('out'), 65534, 65534)
      const down = await asNobody('tscp', ['-r', '-D', server, `x:${path('tree')}`, path('out/down')])
      expect(down.status).toBe(1)
      expect(down.stderr).toContain(`tscp: remote open "${path('tree/b')}": Permission denied\n`)
      expect(down.stderr).toContain(`${path('tree/shut')}: Permission denied\n`)
      expect(readdirSync(path('out/down')).sort()).toEqual(['a', 'c', 'shut'])
      const up = await asNobody('tscp', ['-r', '-D', server, path('tree'), `x:${path('out/up')}`])
      expect(up.status).toBe(1)
      expect(up.stderr).toContain(`tscp: open local "${path('tree/b')}": Permission denied\n`)
      expect(readdirSync(path('out/up')).sort()).toEqual(['a', 'c', 'shut'])
      for (const args of [
        [path('tree/a'), `x:${path('target')}`],
        [`x:${path('tree/a')}`, path('target')],
        ['--atomic', path('tree/a'), `x:${path('target')}`],
      ]) {
        const ran = await asNobody('tscp', ['-D', server, ...args])
        expect(ran.status).toBe(1)
        expect(ran.stderr).toContain('Permission denied')
        expect(readFileSync(path('target'), 'utf8')).toBe('old')
      }
      const sftp = await asNobody(
        'tsftp',
        ['-b', '-', '-D', server],
        `-get ${path('tree/b')} ${path('out/x')}\nput ${path('tree/a')} ${path('target')}\n`,
      )
      expect(sftp.status).toBe(1)
      expect(sftp.stderr).toBe(
        `remote open "${path('tree/b')}": Permission denied\ndest open "${path('target')}": Permission denied\n`,
      )
      expect(existsSync(path('out/x'))).toBe(false)
    })
  },
)
