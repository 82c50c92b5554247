import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SftpClient } from '../../lib/sftp/client.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { stdioStream } from '../../src/net/stdio-stream.ts'
import { parseSftpServerFlags } from '../../src/sftp/server-options.ts'
import { haveProgram } from '../support/programs.ts'

const server = fileURLToPath(new URL('../../bin/tsftp-server.js', import.meta.url))
const isBuilt = existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-server-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

interface Served {
  readonly sftp: SftpClient
  readonly log: () => string
  /** Ends the session; resolves to the exit status. */
  end(): Promise<number | null>
}

async function serve(...flags: string[]): Promise<Served> {
  const child = spawn(process.execPath, [server, '-e', ...flags], { stdio: 'pipe', cwd: folder })
  let log = ''
  child.stderr.on('data', (data: Buffer) => {
    log += data.toString()
  })
  const exit = new Promise<number | null>(resolve => child.on('close', resolve))
  const stream = stdioStream(child.stdout, child.stdin)
  const sftp = await SftpClient.open(stream, { local: new LocalFileSystem() })
  return {
    sftp,
    log: () => log,
    end() {
      sftp.exit()
      return exit
    },
  }
}

test('flags', () => {
  expect(parseSftpServerFlags(['-eR', '-u', '077', '-lDEBUG2', '-d/x', '-P', 'remove,rename'])).toMatchObject({
    logToStderr: true,
    umask: 0o77,
    logLevel: 'DEBUG2',
    startDirectory: '/x',
    server: { readOnly: true, denied: ['remove', 'rename'] },
  })
  expect(parseSftpServerFlags(['-u', '9'])).toEqual({ problem: 'Invalid umask "9"' })
  expect(parseSftpServerFlags(['-p', 'a', '-p', 'b'])).toEqual({ problem: 'Permitted requests already set' })
  expect(parseSftpServerFlags(['-x'])).toEqual({ problem: 'usage' })
  expect(parseSftpServerFlags(['-c', '-x'])).toMatchObject({ queryRequests: false })
})

describe.skipIf(!isBuilt)('tsftp-server', () => {
  test('-Q requests names at least what sftp-server names', () => {
    const ours = execFileSync(process.execPath, [server, '-Q', 'requests'], { encoding: 'utf8' }).split('\n')
    expect(ours).toContain('posix-rename')
    const theirs = '/usr/lib/openssh/sftp-server'
    if (!existsSync(theirs)) return
    for (const name of execFileSync(theirs, ['-Q', 'requests'], { encoding: 'utf8' }).split('\n')) {
      expect(ours).toContain(name)
    }
  })

  test('-d, -u and the log', async () => {
    mkdirSync(join(folder, 'start'))
    const { sftp, log, end } = await serve('-d', `${folder}/start`, '-u', '027', '-l', 'VERBOSE')
    await sftp.makedirs('made')
    const file = await sftp.open('made/file', 'w')
    await file.write('hello')
    await file.close()
    expect(readFileSync(join(folder, 'start/made/file'), 'utf8')).toBe('hello')
    expect(statSync(join(folder, 'start/made/file')).mode & 0o777).toBe(0o640)
    expect(statSync(join(folder, 'start/made')).mode & 0o777).toBe(0o750)
    await expect(sftp.stat('none')).rejects.toThrow()
    expect(await end()).toBe(0)
    const lines = log().split('\n')
    expect(lines).toContain(`session opened for local user ${userInfo().username} from [UNKNOWN]`)
    expect(lines).toContain('open "made/file" flags WRITE,CREATE,TRUNCATE mode 0666')
    expect(lines).toContain('close "made/file" bytes read 0 written 5')
    expect(lines).toContain('sent status No such file or directory')
    expect(lines).toContain(`session closed for local user ${userInfo().username} from [UNKNOWN]`)
  })

  test('-R refuses all changes', async () => {
    writeFileSync(join(folder, 'f'), 'old')
    const { sftp, end } = await serve('-R')
    const changes = [
      () => sftp.open('f', 'w'),
      () => sftp.remove('f'),
      () => sftp.mkdir('d'),
      () => sftp.rename('f', 'g'),
      () => sftp.posixRename('f', 'g'),
      () => sftp.symlink('f', 'l'),
      () => sftp.chmod('f', 0o777),
    ]
    // What is not announced is refused here already.
    for (const change of changes) await expect(change()).rejects.toThrow(/Permission denied|does not support/)
    expect((await (await sftp.open('f')).read()).toString()).toBe('old')
    expect(await end()).toBe(0)
    expect(readdirSync(folder)).toEqual(['f'])
  })

  test('-P and -p', async () => {
    writeFileSync(join(folder, 'f'), 'x')
    const denied = await serve('-P', 'remove,mkdir')
    await expect(denied.sftp.remove('f')).rejects.toMatchObject({ code: 'permission-denied' })
    await denied.sftp.rename('f', 'g')
    await denied.end()
    const allowed = await serve('-p', 'realpath,stat,lstat')
    await allowed.sftp.stat('g')
    await expect(allowed.sftp.open('g')).rejects.toMatchObject({ code: 'permission-denied' })
    await allowed.end()
  })

  test('nonsense ends it with an error, not with a crash', async () => {
    const child = spawn(process.execPath, [server, '-e'], { stdio: 'pipe' })
    let log = ''
    child.stderr.on('data', (data: Buffer) => {
      log += data.toString()
    })
    const exit = new Promise(resolve => child.on('close', resolve))
    child.stdin.on('error', () => {})
    child.stdin.write(Buffer.alloc(100, 0xff))
    expect(await exit).toBe(1)
    expect(log).not.toMatch(/\n\s+at /)
  })

  test.skipIf(!haveProgram('sftp'))("OpenSSH's sftp", () => {
    writeFileSync(join(folder, 'f'), 'contents')
    execFileSync('sftp', ['-b', '-', '-D', `${process.execPath} ${server}`], {
      cwd: folder,
      input: 'put f g\nget g h\nmkdir d\nrename g d/g\nln -s d/g l\nchmod 600 d/g\nls -l\ndf\n',
      stdio: ['pipe', 'ignore', 'inherit'],
    })
    expect(readFileSync(join(folder, 'h'), 'utf8')).toBe('contents')
    expect(statSync(join(folder, 'l')).mode & 0o777).toBe(0o600)
  })
})
