import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MemoryFileSystem } from '../../lib/sftp/memory-filesystem.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpServer } from '../../lib/sftp/server.ts'
import { SftpSession } from '../../lib/sftp/session.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { stdioStream } from '../../src/net/stdio-stream.ts'

const sftpServer = '/usr/lib/openssh/sftp-server'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-sftp-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** What any server has to do for our client. */
async function exercise(session: SftpSession, base: string): Promise<void> {
  const files = new RemoteFileSystem(session)
  const contents = randomBytes(300_000)
  const file = await files.open(`${base}/data`, 'w')
  await file.write(contents)
  await file.close()
  const again = await files.open(`${base}/data`)
  expect((await again.read()).equals(contents)).toBe(true)
  await again.close()
  expect(Number((await files.stat(`${base}/data`)).size)).toBe(contents.length)
  await files.mkdir(`${base}/inner`)
  await expect(files.stat(`${base}/missing`)).rejects.toThrow()
}

describe.skipIf(!existsSync(sftpServer))("our client and OpenSSH's sftp-server", () => {
  let child: ChildProcess
  afterEach(() => child.kill())

  test('files and folders', async () => {
    child = spawn(sftpServer, [], { stdio: ['pipe', 'pipe', 'inherit'] })
    const session = await SftpSession.open(stdioStream(child.stdout!, child.stdin!))
    expect(session.version).toBe(3)
    await exercise(session, folder)
    expect(readFileSync(join(folder, 'data')).length).toBe(300_000)
    session.end()
  })
})

describe.each(['local', 'memory'] as const)('our client and our server, %s files', kind => {
  test('files and folders; the root cannot be left', async () => {
    const [toServer, toClient] = [new PassThrough(), new PassThrough()]
    const files = kind === 'local' ? new LocalFileSystem({ root: folder }) : new MemoryFileSystem()
    const server = new SftpServer(stdioStream(toServer, toClient), files)
    const session = await SftpSession.open(stdioStream(toClient, toServer))
    await exercise(session, '')
    if (kind === 'local') {
      writeFileSync(join(folder, '..', 'tssh-sftp-outside'), 'secret')
      await expect(new RemoteFileSystem(session).open('/../tssh-sftp-outside')).rejects.toThrow()
      rmSync(join(folder, '..', 'tssh-sftp-outside'))
    }
    session.end()
    toServer.end()
    expect(await server.closed).toBeUndefined()
  })
})
