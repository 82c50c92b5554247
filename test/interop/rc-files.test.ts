import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, cpSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { canMakeNamespace } from '../support/namespace.ts'
import { findProgram } from '../support/programs.ts'
import { addUser, canAddUsers, freePort, type TestUser, testFolder } from '../support/root-tsshd.ts'

/**
 * /etc/ssh/sshrc, ~/.ssh/rc and the last login, with sshd and tsshd that see another /etc/ssh and another
 * /var/log/lastlog than the machine.
 */

const tsshd = fileURLToPath(new URL('../../bin/tsshd.js', import.meta.url))

describe.runIf(canAddUsers && canMakeNamespace)('before a session', { timeout: 90_000 }, () => {
  const servers = { sshd: { port: 0, strict: 0 }, tsshd: { port: 0, strict: 0 } }
  const daemons: ChildProcess[] = []
  let folder = ''
  let user: TestUser
  const path = (name: string): string => join(folder, name)

  const setUp =
    'touch /var/log/lastlog && mount --bind "$0/etc" /etc/ssh && mount --bind "$0/lastlog" /var/log/lastlog && exec "$@"'
  const start = async (program: keyof typeof servers, ...config: string[]): Promise<number> => {
    const port = await freePort()
    const file = path(`${program}-${port}`)
    const lines = [
      ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `HostKey ${path('host_key')}`, 'PidFile none', 'UsePAM no'],
      ...['AuthorizedKeysFile .ssh/authorized_keys', ...config],
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    const argv = program === 'sshd' ? [findProgram('sshd')!] : [process.execPath, tsshd]
    const daemon = spawn('unshare', ['--mount', 'sh', '-c', setUp, folder, ...argv, '-D', '-e', '-f', file], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    daemons.push(daemon)
    let log = ''
    daemon.stderr.on('data', (data: Buffer) => (log += data.toString()))
    for (let tries = 0; !log.includes('Server listening'); tries++) {
      if (tries > 800 || daemon.exitCode !== null) throw new Error(`${program} does not listen: ${log}`)
      await new Promise(resolve => setTimeout(resolve, 25))
    }
    return port
  }

  beforeAll(async () => {
    folder = testFolder()
    user = addUser(folder)
    writeFileSync(path('host_key'), formatOpensshV1(generateKey('ed25519')), { mode: 0o600 })
    mkdirSync('/run/sshd', { recursive: true })
    cpSync('/etc/ssh', path('etc'), { recursive: true })
    writeFileSync(path('lastlog'), '')
    writeFileSync(path('etc/sshrc'), 'set -- $SSH_CONNECTION\necho "sshrc for $(id -un) from $1"\n')
    for (const program of ['sshd', 'tsshd'] as const) {
      servers[program].port = await start(program)
      servers[program].strict = await start(program, 'PermitUserRC no', 'PrintLastLog no')
    }
  }, 60_000)
  afterAll(() => {
    for (const daemon of daemons) daemon.kill('SIGTERM')
    user?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  const ssh = (port: number, command: string | undefined, ...flags: string[]): Promise<Ran> =>
    runProgram('ssh', [
      ...flags,
      ...['-F', 'none', '-p', String(port), '-i', user.identity, '-l', user.name],
      ...[
        'BatchMode=yes',
        'StrictHostKeyChecking=no',
        'UserKnownHostsFile=/dev/null',
        'LogLevel=ERROR',
        'IdentityAgent=none',
      ].flatMap(option => ['-o', option]),
      '127.0.0.1',
      ...(command === undefined ? [] : [command]),
    ])
  const both = async (which: 'port' | 'strict', command: string): Promise<string> => {
    const theirs = await ssh(servers.sshd[which], command)
    const ours = await ssh(servers.tsshd[which], command)
    expect({ status: ours.status, out: ours.stdout.toString() }, ours.stderr).toEqual({
      status: theirs.status,
      out: theirs.stdout.toString(),
    })
    return ours.stdout.toString()
  }

  test('scripts are the system’s, unless the user has one and may run it', async () => {
    const system = `sshrc for ${user.name} from 127.0.0.1\n`
    expect(await both('port', 'echo command')).toBe(`${system}command\n`)
    user.write('.ssh/rc', 'echo "rc in $PWD as $(id -un)"\n')
    expect(await both('port', 'echo command')).toBe(`rc in ${user.home} as ${user.name}\ncommand\n`)
    expect(await both('strict', 'echo command')).toBe(`${system}command\n`)
    const key = readFileSync(join(user.home, '.ssh/authorized_keys'), 'utf8')
    user.write('.ssh/authorized_keys', `no-user-rc ${key}`)
    expect(await both('port', 'echo command')).toBe(`${system}command\n`)
    user.write('.ssh/authorized_keys', `restrict,user-rc,command="echo forced" ${key}`)
    expect(await both('port', 'echo command')).toBe(`rc in ${user.home} as ${user.name}\nforced\n`)
  })

  test('scripts that fail do not keep the command from running', async () => {
    user.write(
      '.ssh/authorized_keys',
      readFileSync(join(user.home, '.ssh/authorized_keys'), 'utf8').replace(/^restrict\S* forced" /, ''),
    )
    user.write('.ssh/rc', 'echo failing\nexit 3\n')
    expect(await both('port', 'echo command')).toBe('failing\ncommand\n')
  })

  test('PrintLastLog: a login shell is told of the login before', async () => {
    rmSync(join(user.home, '.ssh/rc'), { force: true })
    const lastlog = (): void => {
      const record = Buffer.alloc(292)
      record.writeInt32LE(Date.UTC(2026, 0, 5, 12, 30, 15) / 1000)
      record.write('pts/7', 4)
      record.write('somewhere.example', 36)
      const file = openSync(path('lastlog'), 'w')
      writeSync(file, record, 0, record.length, user.uid * record.length)
      closeSync(file)
    }
    user.write('.profile', 'exit\n')
    const told = async (port: number): Promise<string | undefined> => {
      // sshd writes down the login itself.
      lastlog()
      return /Last login: .*/.exec((await ssh(port, undefined, '-tt')).stdout.toString())?.[0]
    }
    const theirs = await told(servers.sshd.port)
    expect(theirs).toMatch(/Last login: Mon Jan {2}5 \d\d:\d\d:15 2026 from somewhere\.example/)
    expect(await told(servers.tsshd.port)).toBe(theirs)
    expect([await told(servers.sshd.strict), await told(servers.tsshd.strict)]).toEqual([undefined, undefined])
  })
})
