import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { findAccount } from '../../src/net/accounts.ts'
import { type Ran, runProgram } from './listening.ts'
import { haveProgram } from './programs.ts'

const tsshd = fileURLToPath(new URL('../../bin/tsshd.js', import.meta.url))

/** Tests that add users to the machine run as root only, as in CI. */
export const canAddUsers = process.getuid?.() === 0 && ['useradd', 'chpasswd', 'ssh'].every(haveProgram)

/** A user who exists for a test, with a home, a password and a key that may log in. */
export interface TestUser {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  readonly password: string
  readonly identity: string
  /** Writes a file into the home, as its owner. */
  write(path: string, text: string, mode?: number): void
  remove(): void
}

export function addUser(folder: string, ...options: readonly string[]): TestUser {
  const name = `tssht${Math.random().toString(36).slice(2, 8)}`
  const password = `pw-${Math.random().toString(36).slice(2)}`
  const home = join(folder, name)
  const run = (program: string, args: string[], input?: string): void => {
    const ran = spawnSync(program, args, { input, encoding: 'utf8' })
    if (ran.status !== 0) throw new Error(`${program}: ${ran.stderr}`)
  }
  run('useradd', ['-m', '-d', home, '-s', '/bin/sh', ...options, name])
  run('chpasswd', [], `${name}:${password}\n`)
  const account = findAccount(name)
  if (!account) throw new Error('the test user is not there')
  const { uid, gid } = account
  const write = (path: string, text: string, mode = 0o600): void => {
    const file = join(home, path)
    mkdirSync(join(file, '..'), { recursive: true, mode: 0o700 })
    writeFileSync(file, text, { mode })
    chownSync(join(file, '..'), uid, gid)
    chownSync(file, uid, gid)
  }
  const key = generateKey('ed25519', undefined, name)
  const identity = join(folder, `${name}.key`)
  writeFileSync(identity, formatOpensshV1(key), { mode: 0o600 })
  write('.ssh/authorized_keys', `${formatPublicKeyLine(key.publicKey, name)}\n`)
  return {
    name,
    uid,
    gid,
    home,
    password,
    identity,
    write,
    remove() {
      spawnSync('userdel', [name])
      rmSync(home, { recursive: true, force: true, maxRetries: 20 })
    },
  }
}

export interface RootServer {
  readonly port: number
  readonly folder: string
  readonly process: ChildProcess
  /** What it logged so far. */
  log(): string
  /** Resolves once the log has this. */
  logged(pattern: RegExp): Promise<void>
  /** ssh as this user, with the user's key. */
  ssh(
    user: TestUser | string,
    command: readonly string[],
    options?: Parameters<typeof runProgram>[2],
    flags?: readonly string[],
  ): Promise<Ran>
  /** ssh with a password instead. */
  withPassword(user: TestUser | string, password: string, args: readonly string[], method?: string): Promise<Ran>
  /** As `withPassword`, with a shell script's lines that answer the question `$1`. */
  withAskpass(user: TestUser | string, lines: string, args: readonly string[], method: string): Promise<Ran>
  close(): Promise<void>
}

export const testFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-root-'))
  chmodSync(folder, 0o755)
  return folder
}

export const freePort = (): Promise<number> =>
  new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })

/** Starts tsshd with these lines of configuration, in the foreground unless `args` say otherwise. */
export async function startRootServer(
  folder: string,
  config: readonly string[],
  args: readonly string[] = ['-D', '-e'],
): Promise<RootServer> {
  const port = await freePort()
  const hostKey = generateKey('ed25519')
  const path = (name: string): string => join(folder, `${port}.${name}`)
  writeFileSync(path('host_key'), formatOpensshV1(hostKey), { mode: 0o600 })
  writeFileSync(path('known_hosts'), `[127.0.0.1]:${port} ${formatPublicKeyLine(hostKey.publicKey)}\n`)
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${path('host_key')}`,
    'AuthorizedKeysFile .ssh/authorized_keys',
    'LogLevel VERBOSE',
    `PidFile ${path('pid')}`,
    // Many failures from one address are what these tests are about.
    'PerSourcePenalties no',
  ]
  // The first value wins: what the test says comes first, but Match blocks at the end.
  const matchAt = config.findIndex(line => line.startsWith('Match'))
  const [first, blocks] = matchAt < 0 ? [config, []] : [config.slice(0, matchAt), config.slice(matchAt)]
  writeFileSync(path('config'), `${[...first, ...lines, ...blocks].join('\n')}\n`)
  const daemon = spawn(process.execPath, [tsshd, ...args, '-f', path('config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  daemon.stderr.on('data', (data: Buffer) => {
    log += data.toString()
  })
  const logged = async (pattern: RegExp): Promise<void> => {
    for (let tries = 0; !pattern.test(log); tries++) {
      if (tries > 400 || (daemon.exitCode !== null && tries > 20)) throw new Error(`not logged: ${pattern}\n${log}`)
      await new Promise(resolve => setTimeout(resolve, 25))
    }
  }
  if (args.includes('-e')) await logged(/Server listening/)
  const base = [
    ...['-F', 'none', '-p', String(port)],
    ...[
      `UserKnownHostsFile=${path('known_hosts')}`,
      'GlobalKnownHostsFile=/dev/null',
      'StrictHostKeyChecking=yes',
      'IdentityAgent=none',
      'IdentitiesOnly=yes',
      'PKCS11Provider=none',
      'NumberOfPasswordPrompts=1',
    ].flatMap(option => ['-o', option]),
  ]
  const withAskpass: RootServer['withAskpass'] = (user, lines, more, method) => {
    const script = path(`askpass-${Math.random().toString(36).slice(2)}`)
    writeFileSync(script, `#!/bin/sh\n${lines}\n`, { mode: 0o700 })
    const only = ['-o', `PreferredAuthentications=${method}`, '-o', 'PubkeyAuthentication=no']
    return runProgram('ssh', [...base, ...only, '-l', nameOf(user), '127.0.0.1', ...more], {
      timeout: 20_000,
      env: { SSH_ASKPASS: script, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' },
    })
  }
  const nameOf = (user: TestUser | string): string => (typeof user === 'string' ? user : user.name)
  return {
    port,
    folder,
    process: daemon,
    log: () => log,
    logged,
    ssh(user, command, options = {}, flags = []) {
      const identity = typeof user === 'string' ? [] : ['-i', user.identity]
      const login = ['-o', 'BatchMode=yes', '-l', nameOf(user), ...flags, '127.0.0.1']
      return runProgram('ssh', [...base, ...identity, ...login, ...command], { timeout: 20_000, ...options })
    },
    withPassword: (user, password, more, method = 'password') => withAskpass(user, `echo '${password}'`, more, method),
    withAskpass,
    async close() {
      const pid = readPid(path('pid'))
      if (daemon.exitCode === null && daemon.signalCode === null) {
        const ended = new Promise(resolve => daemon.once('exit', resolve))
        daemon.kill('SIGTERM')
        await ended
      } else if (pid !== undefined) {
        try {
          process.kill(pid, 'SIGTERM')
        } catch {
          // It ended already.
        }
      }
    },
  }
}

export function readPid(file: string): number | undefined {
  try {
    return Number(readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
