import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
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
    const watched = await sync('--watch', join(folder, 'missing'), remote(join(folder, 'there')))
    expect([watched.status, watched.stderr]).toEqual([1, `tsftp: ${folder}/missing: No such file or directory\n`])
    const blocked = await sync(join(folder, 'here'), remote('/proc/nowhere'))
    expect(blocked.status).toBe(1)
    expect(blocked.stderr).toContain('/proc/nowhere')
  })

  test('--include, --exclude, --delete and --dry-run, up and down', async () => {
    const [here, there] = [join(folder, 'here'), join(folder, 'there')]
    const rules = ['--include', 'keep.o', '--exclude', '*.o', '--exclude', 'in/', '--delete']
    for (const name of ['a.c', 'a.o', 'keep.o']) writeFileSync(join(here, name), name)
    mkdirSync(there)
    for (const name of ['old.c', 'old.o']) writeFileSync(join(there, name), name)
    for (const [from, to] of [
      [here, remote(there)],
      [remote(here), there],
    ] as const) {
      const before = tree(there)
      const dry = await sync(...rules, '--dry-run', from, to)
      expect(dry).toMatchObject({ status: 0, stderr: '' })
      expect(tree(there)).toEqual(before)
      const real = await sync(...rules, from, to)
      expect(real).toMatchObject({ status: 0, stderr: '' })
      // What is excluded is neither copied nor removed.
      expect(tree(there)).toEqual({
        '/a.c': 'a.c',
        '/keep.o': 'keep.o',
        '/old.o': 'old.o',
        '/top': 'top',
        '/odd \x1b[31m name': 'odd',
      })
      // The same things in other words.
      const lines = (ran: Ran, words: RegExp): string[] => {
        const text = ran.stdout.toString().replaceAll(`${here}/`, '').replaceAll(`${there}/`, '')
        return text
          .split('\n')
          .flatMap(line => (words.test(line) ? [line.replace(words, '').trim()] : []))
          .sort()
      }
      expect(lines(dry, /^copy /)).toEqual(lines(real, /^copied /))
      expect(lines(dry, /^remove /)).toEqual(lines(real, /^removed /))
      expect(lines(dry, /^copy /)).toHaveLength(4)
      rmSync(there, { recursive: true })
      mkdirSync(there)
      for (const name of ['old.c', 'old.o']) writeFileSync(join(there, name), name)
    }
  })

  /** A sync that goes on, and a way to wait for its effect. */
  async function watching(
    args: readonly string[],
    act: (until: (done: () => boolean) => Promise<void>) => Promise<void>,
  ) {
    const settings = [`UserKnownHostsFile=${peer.knownHosts}`, 'GlobalKnownHostsFile=none', 'IdentityAgent=none']
    const reach = [
      '-F',
      'none',
      '-P',
      String(peer.port),
      '-i',
      peer.identity,
      ...settings.flatMap(line => ['-o', line]),
    ]
    const child = spawn(process.execPath, [tsftp, 'sync', ...reach, '--watch', ...args])
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', data => (said += data))
    const exit = new Promise<number | null>(resolve => child.on('close', resolve))
    const until = async (done: () => boolean): Promise<void> => {
      for (const end = Date.now() + 20_000; !done(); await new Promise(resolve => setTimeout(resolve, 20))) {
        if (Date.now() > end || child.exitCode !== null) throw new Error(`not done: ${said}`)
      }
    }
    try {
      await act(until)
      child.kill('SIGINT')
      expect(await exit).toBe(0)
    } finally {
      child.kill('SIGKILL')
      await exit
    }
  }

  test('--watch of local files: new, changed, replaced, moved and removed ones, and new directories', async () => {
    const [here, there] = [join(folder, 'here'), join(folder, 'there')]
    await watching(['--delete', '--exclude', '*.tmp', here, remote(there)], async until => {
      const same = (): boolean => {
        try {
          return JSON.stringify(tree(there)) === JSON.stringify(withoutTmp(tree(here)))
        } catch {
          // It changes while we look.
          return false
        }
      }
      const withoutTmp = (all: Record<string, string>) =>
        Object.fromEntries(Object.entries(all).filter(([name]) => !name.endsWith('.tmp')))
      await until(same)
      const acts: (() => void)[] = [
        () => writeFileSync(join(here, 'new'), 'new'),
        () => writeFileSync(join(here, 'new'), 'changed'),
        () => mkdirSync(join(here, 'made/below'), { recursive: true }),
        () => writeFileSync(join(here, 'made/below/f'), 'f'),
        () => {
          // As editors save.
          writeFileSync(join(here, 'x.tmp'), 'saved')
          renameSync(join(here, 'x.tmp'), join(here, 'top'))
          writeFileSync(join(here, 'y.tmp'), 'not for them')
        },
        () => renameSync(join(here, 'made'), join(here, 'moved')),
        () => writeFileSync(join(here, 'moved/below/g'), 'g'),
        () => rmSync(join(here, 'in'), { recursive: true }),
      ]
      for (const act of acts) {
        act()
        await until(same)
      }
      expect(tree(there)['/moved/below/g']).toBe('g')
    })
  })

  test('--watch of one local file that is replaced again and again', async () => {
    const [here, there] = [join(folder, 'here/top'), join(folder, 'copy')]
    await watching([here, remote(there)], async until => {
      for (const text of ['top', 'second', 'third', 'fourth']) {
        if (text !== 'top') {
          writeFileSync(`${here}.tmp`, text)
          renameSync(`${here}.tmp`, here)
        }
        await until(() => existsSync(there) && readFileSync(there, 'utf8') === text)
      }
    })
  })

  test('--watch of remote files', async () => {
    const [here, there] = [join(folder, 'here'), join(folder, 'there')]
    await watching(['--delete', remote(here), there], async until => {
      await until(() => existsSync(join(there, 'in/deep')))
      writeFileSync(join(here, 'in/deep'), 'deeper')
      rmSync(join(here, 'top'))
      await until(() => readFileSync(join(there, 'in/deep'), 'utf8') === 'deeper' && !existsSync(join(there, 'top')))
    })
  })
})
