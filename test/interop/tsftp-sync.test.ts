import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

const tsftp = fileURLToPath(new URL('../../bin/tsftp.js', import.meta.url))

describe.skipIf(!haveProgram('sshd'))('tsftp sync with sshd', () => {
  let peer: RunningSshd
  let folder: string
  beforeAll(async () => {
    peer = await startSshd(['Subsystem sftp internal-sftp'])
  })
  afterAll(() => peer.close())
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-sync-'))
    mkdirSync(join(folder, 'here', 'in'), { recursive: true })
    writeFileSync(join(folder, 'here', 'in', 'deep'), 'deep')
    writeFileSync(join(folder, 'here', 'top'), 'top')
    writeFileSync(join(folder, 'here', 'odd \x1b[31m name'), 'odd')
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const sync = (...args: string[]): Promise<Ran> => {
    const settings = [`UserKnownHostsFile=${peer.knownHosts}`, 'GlobalKnownHostsFile=none', 'IdentityAgent=none']
    const options = settings.flatMap(line => ['-o', line])
    const reach = ['-F', 'none', '-P', String(peer.port), '-i', peer.identity, ...options]
    return runProgram(process.execPath, [tsftp, 'sync', ...reach, ...args])
  }
  const remote = (path: string): string => `${peer.user}@127.0.0.1:${path}`
  const tree = (root: string): Record<string, string> =>
    Object.fromEntries(
      readdirSync(root, { recursive: true, withFileTypes: true }).map(entry => {
        const path = join(entry.parentPath, entry.name)
        return [path.slice(root.length), entry.isFile() ? readFileSync(path, 'utf8') : '/']
      }),
    )

  test('up, again for nothing, changed and removed, and down', async () => {
    const [here, there, back] = [join(folder, 'here'), join(folder, 'there'), join(folder, 'back')]
    const first = await sync(here, remote(there))
    expect(first).toMatchObject({ status: 0, stderr: '' })
    // A name cannot drive the terminal.
    expect(first.stdout.toString()).toContain('odd \\033[31m name')
    expect(tree(there)).toEqual(tree(here))
    expect((await sync(here, remote(there))).stdout.toString()).toBe('0 files, 0 bytes copied, 0 removed\n')
    writeFileSync(join(here, 'top'), 'changed')
    rmSync(join(here, 'in'), { recursive: true })
    const dry = await sync('--delete', '--dry-run', here, remote(there))
    expect(dry.stdout.toString()).toBe(`copy     top\nremove   in\n1 files, 7 bytes copied, 1 removed\n`)
    expect(tree(there)['/in/deep']).toBe('deep')
    expect((await sync('--delete', here, remote(there))).status).toBe(0)
    expect(tree(there)).toEqual(tree(here))
    expect((await sync('--json', remote(there), back)).status).toBe(0)
    expect(tree(back)).toEqual(tree(here))
  })

  test('a source that is missing, or a target that cannot be written, is status 1 with its name', async () => {
    const missing = await sync(join(folder, 'missing'), remote(join(folder, 'there')))
    expect(missing.status).toBe(1)
    expect(missing.stderr).toContain('missing: No such file or directory')
    const blocked = await sync(join(folder, 'here'), remote('/proc/nowhere'))
    expect(blocked.status).toBe(1)
    expect(blocked.stderr).toContain('/proc/nowhere')
  })
})
