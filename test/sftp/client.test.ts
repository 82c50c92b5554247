import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SftpVersion } from '../../lib/sftp/attributes.ts'
import { SftpClient } from '../../lib/sftp/client.ts'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { connect } from '../../src/api/client.ts'
import { haveProgram } from '../support/programs.ts'
import { sftpPair } from '../support/sftp-pair.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

/** A quota that is used up, as Node reports it: it has no name for EDQUOT. */
class UsedUp extends MemoryFileSystem {
  override async mkdir(): Promise<void> {
    throw Object.assign(new Error('Unknown system error -122: mkdir'), {
      code: 'Unknown system error -122',
      errno: -122,
    })
  }
}

test.each([
  [3, 'failure'],
  [4, 'failure'],
  [5, 'quota-exceeded'],
  [6, 'quota-exceeded'],
] as const)('a quota in version %i is %s, and always says so', async (version, code) => {
  const pair = await sftpPair(new UsedUp(), { session: { version }, server: { version } })
  const made = new SftpClient(pair.session, new MemoryFileSystem()).mkdir('/x')
  await expect(made).rejects.toMatchObject({ code, message: expect.stringContaining('Quota exceeded') })
})

async function client(version: SftpVersion = 3) {
  const local = new MemoryFileSystem()
  const there = new MemoryFileSystem()
  const pair = await sftpPair(there, { session: { version }, server: { version } })
  return { sftp: new SftpClient(pair.session, local), local, there }
}

describe.each([3, 4, 5, 6] as const)('version %i', version => {
  test('files with a position, ranges and truncation', async () => {
    const { sftp } = await client(version)
    expect(sftp.version).toBe(version)
    const file = await sftp.open('/f', 'w+')
    expect(await file.write('hello world')).toBe(11)
    expect(file.tell()).toBe(11)
    expect(await file.seek(-5, 'end')).toBe(6)
    expect((await file.read()).toString()).toBe('world')
    await file.truncate(5)
    expect((await file.read(100, 0)).toString()).toBe('hello')
    await file.utime(1000.5, 2000.5)
    await file.close()
    expect(await sftp.getsize('/f')).toBe(5)
    expect(Math.floor((await sftp.getmtime('/f'))!)).toBe(2000)
    expect(await sftp.getmtimeNs('/f')).toBe(version > 3 ? 2_000_500_000_000n : 2_000_000_000_000n)
    await expect(sftp.open('/f', 'x')).rejects.toMatchObject({ code: version > 3 ? 'file-already-exists' : 'failure' })
  })

  test('directories, links and names', async () => {
    const { sftp } = await client(version)
    await sftp.makedirs('/a/b/c')
    await expect(sftp.makedirs('/a/b/c')).rejects.toThrow()
    await sftp.makedirs('/a/b/c', {}, true)
    await (await sftp.open('/a/b/one.txt', 'w')).close()
    await (await sftp.open('/a/b/two.txt', 'w')).close()
    await sftp.symlink('b/one.txt', '/a/link')
    await sftp.symlink('nowhere', '/a/broken')
    await sftp.link('/a/b/one.txt', '/a/hard')
    expect(await sftp.readlink('/a/link')).toBe('b/one.txt')
    expect(await sftp.islink('/a/link')).toBe(true)
    expect(await sftp.isfile('/a/link')).toBe(true)
    expect(await sftp.isdir('/a/b')).toBe(true)
    expect([await sftp.exists('/a/broken'), await sftp.lexists('/a/broken')]).toEqual([false, true])
    expect((await sftp.listdir('/a')).sort()).toEqual(['b', 'broken', 'hard', 'link'])
    expect(await sftp.glob('/a/b/*.txt')).toEqual(['/a/b/one.txt', '/a/b/two.txt'])
    expect(await sftp.glob('/a/**/two*')).toEqual(['/a/b/two.txt'])
    await expect(sftp.glob('/a/none*')).rejects.toMatchObject({ code: 'no-such-file' })
    await sftp.chdir('/a')
    expect(await sftp.getcwd()).toBe('/a')
    expect(await sftp.realpath('b/../b')).toBe('/a/b')
    await sftp.rename('b/one.txt', 'b/three.txt')
    await sftp.posixRename('b/three.txt', 'b/two.txt')
    expect((await sftp.listdir('b')).sort()).toEqual(['c', 'two.txt'])
    await sftp.chmod('b/two.txt', 0o600)
    expect((await sftp.stat('b/two.txt')).permissions).toBe(0o600)
    const seen: string[] = []
    for await (const { path } of sftp.walk('/a')) seen.push(path)
    expect(seen).toEqual(['/a', '/a/b', '/a/b/c'])
    await sftp.rmtree('/a')
    expect(await sftp.exists('/a')).toBe(false)
  })

  test('copies: get, put, copy, patterns, handlers', async () => {
    const { sftp, local } = await client(version)
    for (const name of ['/one', '/two']) {
      const file = await local.open(name, 0x1a)
      await file.writeAt(0, Buffer.from(name))
      await file.close()
    }
    await sftp.mkdir('/in')
    const progress: string[] = []
    await sftp.put(['/one', '/two'], '/in', {
      preserve: true,
      progressHandler: (source, target, bytes, size) => progress.push(`${source} ${target} ${bytes}/${size}`),
    })
    expect(progress.sort()).toEqual(['/one /in/one 4/4', '/two /in/two 4/4'])
    await sftp.copy('/in/one', '/in/three')
    await sftp.remoteCopy('/in/two', '/in/four')
    await local.mkdir('/back')
    await sftp.mget('/in/*', '/back')
    const back = await local.opendir('/back')
    expect((await back.read())!.map(({ name }) => name).sort()).toEqual(['four', 'one', 'three', 'two'])
    await expect(sftp.get('/in/none', '/back')).rejects.toMatchObject({ code: 'no-such-file', step: 'look' })
    await expect(sftp.get('/in', '/back')).rejects.toMatchObject({ code: 'file-is-a-directory' })
    const errors: string[] = []
    const report = await sftp.get(['/in/none', '/in/one'], '/back', {
      errorHandler: ({ source }) => errors.push(source),
    })
    expect([errors, report.files]).toEqual([['/in/none'], 1])
    await expect(sftp.get(['/in/one', '/in/two'], '/back/one')).rejects.toMatchObject({ code: 'not-a-directory' })
    sftp.exit()
    await sftp.waitClosed()
  })
})

describe.skipIf(!haveProgram('sshd'))("client.sftp() with OpenSSH's sshd", () => {
  let sshd: RunningSshd
  let folder: string
  beforeEach(async () => {
    sshd = await startSshd(['Subsystem sftp /usr/lib/openssh/sftp-server'])
    folder = mkdtempSync(join(tmpdir(), 'tssh-client-'))
  })
  afterEach(() => {
    sshd.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('put, look, get', async () => {
    await using client = await connect({
      host: '127.0.0.1',
      port: sshd.port,
      identityFiles: [sshd.identity],
      configFile: 'none',
      options: [`UserKnownHostsFile ${sshd.knownHosts}`],
    })
    const sftp = await client.sftp()
    writeFileSync(join(folder, 'a'), 'contents')
    await sftp.put(join(folder, 'a'), join(folder, 'b'), { atomic: true })
    expect(await sftp.getsize(join(folder, 'b'))).toBe(8)
    expect((await sftp.statvfs(folder)).blockSize).toBeGreaterThan(0)
    expect(await sftp.expandPath('~')).toMatch(/^\//)
    await sftp.get(join(folder, 'b'), join(folder, 'c'))
    expect(readFileSync(join(folder, 'c'), 'utf8')).toBe('contents')
    sftp.exit()
    await sftp.waitClosed()
  })
})
