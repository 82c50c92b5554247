import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { randomNumbers, startCuttingProxy } from '../support/cutting-proxy.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'
import { pictureOf } from '../support/trees.ts'

/** Connections that break under OpenSSH's sshd: our commands connect again by themselves. */

const bin = (name: string): string => fileURLToPath(new URL(`../../bin/${name}.js`, import.meta.url))
const isBuilt = existsSync(fileURLToPath(new URL('../../dist', import.meta.url)))
const sftpServer = '/usr/lib/openssh/sftp-server'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A folder of one test's: the tests run side by side, since they mostly wait. */
function ownFolder(): (name: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-again-'))
  folders.push(folder)
  return name => join(folder, name)
}

type Path = ReturnType<typeof ownFolder>

const isSame = (a: string, b: string): boolean => spawnSync('cmp', [a, b]).status === 0

describe
  .skipIf(!isBuilt || !haveProgram('sshd') || !existsSync(sftpServer))
  .concurrent('a connection that breaks', () => {
    let sshd: RunningSshd
    beforeAll(async () => {
      sshd = await startSshd([`Subsystem sftp ${sftpServer}`])
    })
    afterAll(() => sshd.close())

    /** Flags that reach sshd through a port of this machine. */
    function flagsFor(path: Path, port: number): string[] {
      const known = path('known_hosts')
      writeFileSync(known, readFileSync(sshd.knownHosts, 'utf8').replaceAll(`:${sshd.port} `, `:${port} `))
      const options = [
        `UserKnownHostsFile=${known}`,
        'GlobalKnownHostsFile=none',
        'IdentityAgent=none',
        'BatchMode=yes',
      ]
      return ['-F', 'none', '-P', String(port), '-i', sshd.identity, ...options.flatMap(line => ['-o', line])]
    }
    const remote = (file: string): string => `${sshd.user}@127.0.0.1:${file}`
    const ours = (command: string, args: readonly string[], input = ''): Promise<Ran> =>
      runProgram(process.execPath, [bin(command), ...args], { input })

    test.each(['put', 'get'] as const)(
      'tscp --resume, %s: cut at random bytes, it arrives whole',
      async way => {
        const path = ownFolder()
        writeFileSync(path('source'), randomBytes(8_000_000))
        const random = randomNumbers(way === 'put' ? 1 : 2)
        const cuts = [0, 1].map(() => Math.floor(500_000 + random() * 3_000_000))
        const proxy = await startCuttingProxy(sshd.port, () => cuts.shift() ?? Number.POSITIVE_INFINITY)
        try {
          const [from, to] =
            way === 'put' ? [path('source'), remote(path('target'))] : [remote(path('source')), path('target')]
          const ran = await ours('tscp', [...flagsFor(path, proxy.port), '--resume', from, to])
          expect(ran.status, ran.stderr).toBe(0)
          expect(proxy.cuts).toBe(2)
          expect(ran.stderr.match(/attempt \d to connect again in \d s\n/g)).toHaveLength(2)
          expect(isSame(path('source'), path('target'))).toBe(true)
        } finally {
          await proxy.close()
        }
      },
      90_000,
    )

    test('tscp -r --resume: a tree over a connection that breaks', async () => {
      const path = ownFolder()
      mkdirSync(path('tree/deep/empty'), { recursive: true })
      for (let i = 0; i < 80; i++) writeFileSync(path(`tree/deep/${i}`), randomBytes(i * 500))
      writeFileSync(path('tree/large'), randomBytes(4_000_000))
      const cuts = [700_000, 3_000_000, 1_500_000]
      const proxy = await startCuttingProxy(sshd.port, () => cuts.shift() ?? Number.POSITIVE_INFINITY)
      try {
        const up = await ours('tscp', [
          ...flagsFor(path, proxy.port),
          '-rp',
          '--resume',
          path('tree'),
          remote(path('up')),
        ])
        expect(up.status, up.stderr).toBe(0)
        expect(proxy.cuts).toBeGreaterThanOrEqual(2)
        expect(pictureOf(path('up'), '%m %Ts')).toEqual(pictureOf(path('tree'), '%m %Ts'))
      } finally {
        await proxy.close()
      }
    }, 90_000)

    test.each(['reput', 'reget'] as const)(
      'tsftp %s: the same, and the rest of the batch follows',
      async verb => {
        const path = ownFolder()
        writeFileSync(path('source'), randomBytes(8_000_000))
        writeFileSync(path('target'), readFileSync(path('source')).subarray(0, 1_000_000))
        const cuts = [2_000_000, 3_000_000]
        const proxy = await startCuttingProxy(sshd.port, () => cuts.shift() ?? Number.POSITIVE_INFINITY)
        try {
          const input = `${verb} ${path('source')} ${path('target')}\nmkdir ${path('after')}\n`
          const ran = await ours('tsftp', [...flagsFor(path, proxy.port), '-b', '-', `${sshd.user}@127.0.0.1`], input)
          expect(ran.status, ran.stderr).toBe(0)
          expect(proxy.cuts).toBe(2)
          expect(isSame(path('source'), path('target'))).toBe(true)
          expect(existsSync(path('after'))).toBe(true)
        } finally {
          await proxy.close()
        }
      },
      90_000,
    )

    test('tsftp sync: the same', async () => {
      const path = ownFolder()
      mkdirSync(path('tree'))
      for (let i = 0; i < 40; i++) writeFileSync(path(`tree/${i}`), randomBytes(100_000))
      const cuts = [1_000_000, 1_500_000]
      const proxy = await startCuttingProxy(sshd.port, () => cuts.shift() ?? Number.POSITIVE_INFINITY)
      try {
        const ran = await ours('tsftp', ['sync', ...flagsFor(path, proxy.port), path('tree'), remote(path('copy'))])
        expect(ran.status, ran.stderr).toBe(0)
        expect(proxy.cuts).toBe(2)
        expect(pictureOf(path('copy'), '%m %Ts')).toEqual(pictureOf(path('tree'), '%m %Ts'))
      } finally {
        await proxy.close()
      }
    }, 90_000)

    test('without --resume a lost connection ends it, as scp ends', async () => {
      const path = ownFolder()
      writeFileSync(path('source'), randomBytes(6_000_000))
      // scp says so with 255 too, or dies of the pipe with 1.
      for (const way of ['get', 'put'] as const) {
        const [from, to] =
          way === 'put' ? [path('source'), remote(path('target'))] : [remote(path('source')), path('target')]
        const proxy = await startCuttingProxy(sshd.port, () => 2_000_000)
        try {
          const ran = await ours('tscp', [...flagsFor(path, proxy.port), from, to])
          expect(ran.status, ran.stderr).toBe(255)
          expect(proxy.connections).toBe(1)
          expect(ran.stderr).toBe('tscp: Connection closed\n')
        } finally {
          await proxy.close()
        }
      }
    }, 90_000)

    test('an sshd that is killed in the middle and comes back', async () => {
      const path = ownFolder()
      const own = await startSshd([`Subsystem sftp ${sftpServer}`])
      try {
        writeFileSync(path('source'), randomBytes(16_000_000))
        const options = [`UserKnownHostsFile=${own.knownHosts}`, 'GlobalKnownHostsFile=none', 'IdentityAgent=none']
        const reach = [
          '-F',
          'none',
          '-P',
          String(own.port),
          '-i',
          own.identity,
          ...options.flatMap(line => ['-o', line]),
        ]
        // Slow enough to be killed in the middle.
        const args = [...reach, '--resume', '--json', '-l', '40000', path('source'), remote(path('target'))]
        const running = ours('tscp', args)
        const reached = (bytes: number): boolean => existsSync(path('target')) && statSync(path('target')).size > bytes
        for (let tries = 0; tries < 1000 && !reached(3_000_000); tries++)
          await new Promise(done => setTimeout(done, 10))
        own.kill()
        await new Promise(done => setTimeout(done, 1500))
        const kept = statSync(path('target')).size
        expect(kept).toBeLessThan(16_000_000)
        await own.restart()
        const ran = await running
        expect(ran.status, ran.stderr).toBe(0)
        const events = ran.stdout
          .toString()
          .trim()
          .split('\n')
          .map(line => JSON.parse(line))
        // At once nobody listens: refused, then it is there again.
        expect(
          events.filter(({ event }) => event === 'retry').map(({ attempt, seconds }) => [attempt, seconds]),
        ).toEqual([
          [1, 1],
          [2, 2],
        ])
        expect(events.at(-1)).toMatchObject({ event: 'total', files: 1, failed: 0, left: 0 })
        expect(isSame(path('source'), path('target'))).toBe(true)
      } finally {
        own.close()
      }
    }, 90_000)

    test('Ctrl-C between two attempts ends it at once, with what was not copied', async () => {
      const path = ownFolder()
      mkdirSync(path('tree'))
      for (const name of ['a', 'b', 'c']) writeFileSync(path(`tree/${name}`), randomBytes(2_000_000))
      // Nobody comes back: the port is closed for good.
      const proxy = await startCuttingProxy(sshd.port, () => 1_500_000)
      const args = [
        ...flagsFor(path, proxy.port),
        '-r',
        '--resume',
        '--parallel',
        '1',
        path('tree'),
        remote(path('up')),
      ]
      const child = spawn(process.execPath, [bin('tscp'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
      let err = ''
      const ended = new Promise<number | null>(resolve => child.on('exit', resolve))
      try {
        await new Promise<void>(resolve => {
          child.on('exit', () => resolve())
          child.stderr.on('data', (data: Buffer) => {
            err += data.toString()
            if (!err.includes('attempt 1 ')) return
            void proxy.close()
            if (err.includes('attempt 3 ')) resolve()
          })
        })
        const begun = Date.now()
        child.kill('SIGINT')
        expect(await ended).toBe(1)
        // The pause would have been four seconds.
        expect(Date.now() - begun).toBeLessThan(3000)
        expect(err).toContain('not copied, 2 more not begun:')
      } finally {
        child.kill('SIGKILL')
        await proxy.close()
      }
    }, 90_000)
  })
