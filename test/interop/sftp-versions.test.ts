import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { checkFileHandle, checkFileName } from '../../lib/sftp/extensions.ts'
import { connect } from '../../src/api/client.ts'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { freePort } from '../support/sshd.ts'
import { pictureOf } from '../support/trees.ts'

/** Versions 3 to 6 of SFTP with others that speak them: lftp as a client, ProFTPD as a server. */

const dist = fileURLToPath(new URL('../../dist', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-versions-'))
  mkdirSync(join(folder, 'tree/sub/empty'), { recursive: true })
  writeFileSync(join(folder, 'tree/large'), Buffer.alloc(1_000_000, 'abc'), { mode: 0o640 })
  writeFileSync(join(folder, 'tree/sub/with space'), 'x')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe.skipIf(!existsSync(join(dist, 'lib')) || !haveProgram('lftp'))('lftp and our server', () => {
  test.each([3, 4, 5, 6])('version %i', async version => {
    writeFileSync(join(folder, 'tree/caf\u00e9'), 'x')
    symlinkSync('large', join(folder, 'tree/link'))
    const server = join(folder, 'server.mjs')
    writeFileSync(
      server,
      `import { SftpServer } from '${dist}/lib/sftp/server.js'
import { LocalFileSystem } from '${dist}/src/net/local-filesystem.js'
import { stdioStream } from '${dist}/src/net/stdio-stream.js'
const log = { error: console.error, info: () => {}, verbose: console.error }
await new SftpServer(stdioStream(process.stdin, process.stdout), new LocalFileSystem(), { version: ${version}, log }).closed
process.exit(0)\n`,
    )
    const commands = [
      'set net:max-retries 1',
      'set sftp:protocol-version 6',
      `set sftp:connect-program "sh -c 'exec ${process.execPath} ${server} 2>>${folder}/log'"`,
      'set sftp:server-program ""',
      'open -u me, sftp://127.0.0.1',
      `mirror -R ${folder}/tree ${folder}/up`,
      `mirror ${folder}/up ${folder}/down`,
      `cls -l ${folder}/up`,
      `mkdir ${folder}/up/new`,
      `mv ${folder}/up/large ${folder}/up/new/moved`,
      `chmod 600 ${folder}/up/new/moved`,
      `ln -s moved ${folder}/up/new/soft`,
      `rm ${folder}/up/sub/with\\ space`,
    ]
    const ran = await runProgram('lftp', ['-c', commands.join('; ')], { env: { LC_ALL: 'C.UTF-8' } })
    expect([ran.status, ran.stderr]).toEqual([0, ''])
    expect(readFileSync(join(folder, 'log'), 'utf8')).toContain(`client version 6, using ${version}`)
    expect(pictureOf(join(folder, 'down'), '%m %Ts')).toEqual(pictureOf(join(folder, 'tree'), '%m %Ts'))
    expect(ran.stdout.toString()).toMatch(/-rw-r----- .* 1000000 /)
    expect(statSync(join(folder, 'up/new/moved')).mode & 0o777).toBe(0o600)
    expect(readlinkSync(join(folder, 'up/new/soft'))).toBe('moved')
    expect(readdirSync(join(folder, 'up/sub'))).toEqual(['empty'])
  })
})

const proftpdModules = '/usr/lib/proftpd'
const haveProftpd =
  haveProgram('proftpd') && existsSync(join(proftpdModules, 'mod_sftp.so')) && process.getuid?.() === 0

describe.skipIf(!haveProftpd)('our client and ProFTPD (needs proftpd-mod-crypto and root)', () => {
  let daemon: ChildProcess
  let port: number
  let place: string
  beforeAll(async () => {
    place = mkdtempSync(join(tmpdir(), 'tssh-proftpd-'))
    port = await freePort()
    const at = (name: string): string => join(place, name)
    execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-m', 'PEM', '-N', '', '-f', at('host')])
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('id')])
    writeFileSync(at('authorized'), execFileSync('ssh-keygen', ['-e', '-m', 'RFC4716', '-f', at('id.pub')]), {
      mode: 0o600,
    })
    const [type, blob] = readFileSync(at('host.pub'), 'utf8').split(' ')
    writeFileSync(at('known'), `[127.0.0.1]:${port} ${type} ${blob}\n`)
    const lines = [
      'ServerType standalone',
      'ServerName test',
      `Port ${port}`,
      'DefaultAddress 127.0.0.1',
      'User root',
      'Group root',
      'RootLogin on',
      'UseFtpUsers off',
      'UseReverseDNS off',
      'RequireValidShell off',
      'AuthOrder mod_auth_unix.c',
      `ModulePath ${proftpdModules}`,
      'LoadModule mod_sftp.c',
      `PidFile ${at('pid')}`,
      `ScoreboardFile ${at('score')}`,
      `SystemLog ${at('log')}`,
      'SFTPEngine on',
      `SFTPLog ${at('sftp-log')}`,
      `SFTPHostKey ${at('host')}`,
      `SFTPAuthorizedUserKeys file:${at('authorized')}`,
      'SFTPAuthMethods publickey',
      'SFTPExtensions +vendorID',
      'AllowOverwrite on',
      'AllowStoreRestart on',
    ]
    writeFileSync(at('conf'), `${lines.join('\n')}\n`)
    daemon = spawn('proftpd', ['-n', '-c', at('conf')], { stdio: 'ignore' })
  })
  afterAll(() => {
    daemon?.kill('SIGKILL')
    rmSync(place, { recursive: true, force: true })
  })

  async function login() {
    const options = {
      host: '127.0.0.1',
      port,
      user: 'root',
      identityFiles: [join(place, 'id')],
      configFile: 'none',
      options: [`UserKnownHostsFile ${join(place, 'known')}`, 'IdentityAgent none'],
    }
    for (let tries = 0; ; tries++) {
      try {
        return await connect(options)
      } catch (error) {
        if (tries > 50) throw error
        await new Promise(resolve => setTimeout(resolve, 100))
      }
    }
  }

  test.each([3, 4, 5, 6] as const)('version %i', async version => {
    await using client = await login()
    const sftp = await client.sftp({ version })
    expect(sftp.version).toBe(version)
    const up = join(folder, 'up')
    await sftp.put(join(folder, 'tree'), up, { recurse: true, preserve: true })
    await sftp.get(up, join(folder, 'down'), { recurse: true, preserve: true })
    expect(pictureOf(join(folder, 'down'), '%m %Ts')).toEqual(pictureOf(join(folder, 'tree'), '%m %Ts'))
    expect(await sftp.stat(`${up}/large`)).toMatchObject({
      type: 'file',
      size: 1_000_000,
      permissions: 0o640,
      ...(version > 3 && { owner: 'root' }),
    })
    expect((await sftp.listdir(up)).sort()).toEqual(['large', 'sub'])
    await sftp.rename(`${up}/large`, `${up}/moved`)
    await (await sftp.open(`${up}/taken`, 'w')).close()
    await sftp.posixRename(`${up}/moved`, `${up}/taken`)
    await sftp.symlink('taken', `${up}/soft`)
    expect(lstatSync(`${up}/soft`).isSymbolicLink()).toBe(true)
    await sftp.link(`${up}/taken`, `${up}/hard`)
    expect(statSync(`${up}/hard`).nlink).toBe(2)
    const more = await sftp.open(`${up}/taken`, 'a')
    await more.write('zz')
    await more.close()
    expect(await sftp.getsize(`${up}/taken`)).toBe(1_000_002)
    await expect(sftp.open(`${up}/taken`, 'x')).rejects.toThrow('File already exists')
    await sftp.chmod(`${up}/taken`, 0o600)
    await sftp.truncate(`${up}/taken`, 10)
    await sftp.utime(`${up}/taken`, 1_000_000_000, 1_000_000_001)
    expect(statSync(`${up}/taken`)).toMatchObject({ size: 10, mtimeMs: 1_000_000_001_000 })
    expect((await sftp.statvfs(up)).blockSize).toBeGreaterThan(0)
    const { session } = sftp
    expect(session.vendor).toMatchObject({ product: 'mod_sftp' })
    const file = await sftp.open(`${up}/sub/with space`)
    // It answers check-file but does not announce it, so that the checksums of transfers do without.
    expect(await file.checksum('sha256', 0, 1)).toBeUndefined()
    for (const algorithm of ['sha256', 'sha1', 'md5']) {
      const request = { algorithms: algorithm, offset: 0, length: 1, blockSize: 0 }
      const hash = { algorithm, hashes: createHash(algorithm).update('x').digest() }
      expect(await session.askAnyway(checkFileHandle, { ...request, handle: file.handle })).toEqual(hash)
      const ofName = { ...request, path: `${up}/sub/with space` }
      expect(await session.askAnyway(checkFileName, ofName)).toEqual(hash)
    }
    expect((await file.statvfs()).blockSize).toBeGreaterThan(0)
    await file.sync()
    await file.close()
    await expect(sftp.stat(`${up}/none`)).rejects.toMatchObject({ code: 'no-such-file' })
    await sftp.rmtree(up)
    expect(existsSync(up)).toBe(false)
    sftp.exit()
    await sftp.waitClosed()
  })
})
