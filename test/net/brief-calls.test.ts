import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statfsSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpServer } from '../../lib/sftp/server.ts'
import { SftpSession } from '../../lib/sftp/session.ts'
import { BriefCalls } from '../../src/net/brief-calls.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { bytePair } from '../support/byte-pair.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-brief-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const local = new Set([0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0xca451a4e, 0x01021994, 0x794c7630])
const isLocal = process.platform === 'linux' && local.has(statfsSync(tmpdir()).type)

/** Waits for what is asked about by way of a thread. */
async function eventually<T>(look: () => T | undefined): Promise<T> {
  for (;;) {
    const found = look()
    if (found !== undefined) return found
    await new Promise(resolve => setTimeout(resolve, 1))
  }
}

describe.runIf(isLocal)('calls that are brief', () => {
  it('opens files of a folder at once when the folder was seen to be local', async () => {
    const files = new LocalFileSystem({ blocking: 'briefly' })
    const path = join(folder, 'file')
    const flags = OpenFlag.write | OpenFlag.create | OpenFlag.read
    expect(files.openAtOnce(path, flags)).toBeUndefined()
    const file = await eventually(() => files.openAtOnce(path, flags, { permissions: 0o600 }))
    const memory = Buffer.alloc(4)
    expect(file.writeAtOnce!(0, Buffer.from('brief'))).toBe(true)
    expect([file.readAtOnce!(1, memory), memory.toString()]).toEqual([4, 'rief'])
    expect(file.readAtOnce!(5, memory)).toBe(0)
    expect(file.setstatAtOnce!({ permissions: 0o640, mtime: 1, atime: 1 })).toBe(true)
    expect(file.setstatAtOnce!({ size: 2 })).toBe(false)
    expect(await file.stat()).toMatchObject({ permissions: 0o640, mtime: 1, size: 5 })
    expect(file.closeAtOnce!()).toBe(true)
    expect(() => file.readAtOnce!(0, memory)).toThrow('Invalid handle')
    expect(readFileSync(path, 'latin1')).toBe('brief')
    expect(() => files.openAtOnce(join(folder, 'none'), OpenFlag.read)).toThrow('No such file')
  })

  it('follows links and opens FIFOs by way of a thread, and reads those so', async () => {
    const files = new LocalFileSystem({ blocking: 'briefly' })
    writeFileSync(join(folder, 'file'), 'x')
    symlinkSync('file', join(folder, 'link'))
    execFileSync('mkfifo', [join(folder, 'fifo')])
    await eventually(() => files.openAtOnce(join(folder, 'file'), OpenFlag.read)).then(file => file.close())
    expect(files.openAtOnce(join(folder, 'link'), OpenFlag.read)).toBeUndefined()
    const linked = await files.open(join(folder, 'link'), OpenFlag.read)
    expect(linked.readAtOnce!(0, Buffer.alloc(1))).toBe(1)
    await linked.close()
    const fifo = files.openAtOnce(join(folder, 'fifo'), OpenFlag.read | OpenFlag.write)!
    expect([fifo.readAtOnce!(0, Buffer.alloc(1)), fifo.closeAtOnce!()]).toEqual([undefined, false])
    await fifo.close()
  })

  it('makes none for a while after one that took long', async () => {
    const calls = new BriefCalls()
    await eventually(() => calls.deviceOf(folder))
    calls.make(() => execFileSync('sleep', ['0.03']))
    expect([calls.allowed, calls.deviceOf(folder)]).toEqual([false, undefined])
  })
})

it('trusts no folder that does not exist, nor /proc', async () => {
  const calls = new BriefCalls()
  for (const path of [join(folder, 'none'), '/proc/self']) {
    calls.deviceOf(path)
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(calls.deviceOf(path)).toBeUndefined()
  }
})

it.each(['always', 'briefly'] as const)(
  'a server that calls at once (%s) gives each request its own data',
  async blocking => {
    const [near, far] = bytePair(40_000)
    new SftpServer(far, new LocalFileSystem({ start: folder, blocking }))
    const remote = new RemoteFileSystem(await SftpSession.open(near))
    const contents = Array.from({ length: 40 }, (_, index) => randomBytes(index % 4 === 0 ? 300_000 : 3000 + index))
    const block = 100_000
    await Promise.all(
      contents.map(async (content, index) => {
        const file = await remote.open(`${index}`, 'w+')
        await file.writeAt(0, content)
        const offsets = [0, block, 2 * block, 3 * block]
        const pieces = await Promise.all(offsets.map(offset => file.readAt(offset, block)))
        expect(Buffer.concat(pieces).equals(content)).toBe(true)
        await file.close()
      }),
    )
    for (const [index, content] of contents.entries())
      expect(readFileSync(join(folder, `${index}`)).equals(content)).toBe(true)
  },
)
