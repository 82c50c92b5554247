import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { findProgram, havePythonModule } from '../support/programs.ts'
import { pause } from './measure.ts'

/** The repository, from which `npm run bench` starts. */
const root = process.cwd()
const contestants = join(root, 'test/bench/contestants')
const haveSsh2 = existsSync(join(root, 'test/bench/node_modules/ssh2'))
const python = ['/usr/bin/python3', '-W', 'ignore']

/** Go's x/crypto as Debian packages it (golang-golang-x-crypto-dev). */
const goPath = '/usr/share/gocode'
const xcrypto = join(root, 'test/bench/results/xcrypto')
const haveXcrypto =
  findProgram('go') !== undefined && existsSync(join(goPath, 'src/golang.org/x/crypto/ssh')) && build()

/** Go's compiler keeps what it built, so that another time takes a moment. */
function build(): boolean {
  const env = { ...process.env, GO111MODULE: 'off', GOPATH: goPath }
  const built = spawnSync('go', ['build', '-o', xcrypto, join(contestants, 'xcrypto.go')], { env, stdio: 'inherit' })
  return built.status === 0
}

/** Keys and files of one run, in a temporary folder. */
export interface Ground {
  readonly folder: string
  readonly user: string
  readonly hostKey: string
  readonly identity: string
  readonly authorizedKeys: string
  close(): void
}

export function prepareGround(): Ground {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-bench-'))
  chmodSync(folder, 0o755)
  for (const name of ['host', 'id']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)])
  }
  copyFileSync(join(folder, 'id.pub'), join(folder, 'authorized_keys'))
  return {
    folder,
    user: userInfo().username,
    hostKey: join(folder, 'host'),
    identity: join(folder, 'id'),
    authorizedKeys: join(folder, 'authorized_keys'),
    close: () => rmSync(folder, { recursive: true, force: true }),
  }
}

export type ServerName = 'sshd' | 'tsshd' | 'dropbear' | 'ssh2' | 'asyncssh' | 'x/crypto'

export interface RunningServer {
  readonly name: ServerName
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

export const freePort = (): Promise<number> =>
  new Promise(found => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => found(typeof address === 'object' && address ? address.port : 0))
    })
  })

export const answers = (port: number): Promise<boolean> =>
  new Promise(known => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      known(true)
    }).on('error', () => known(false))
  })

/**
 * bash reads ~/.bashrc when a server starts it, unless it is told that another shell started it: that file may take longer
 * than all that is measured.
 */
const notFirst = 'SHLVL=1'

/** Debian's place for it. */
const sftpServer = '/usr/lib/openssh/sftp-server'

function sshdCommand(ground: Ground, port: number): string[] {
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${ground.hostKey}`,
    `AuthorizedKeysFile ${ground.authorizedKeys}`,
    'StrictModes no',
    'UsePAM no',
    'PidFile none',
    'PermitRootLogin yes',
    'MaxStartups 1000',
    'Ciphers +aes128-cbc',
    `SetEnv ${notFirst}`,
    `Subsystem sftp ${existsSync(sftpServer) ? sftpServer : 'internal-sftp'}`,
  ]
  const file = join(ground.folder, `sshd_config_${port}`)
  writeFileSync(file, `${lines.join('\n')}\n`)
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
  return [findProgram('sshd')!, '-D', '-e', '-f', file]
}

/**
 * Dropbear looks for authorized_keys in the home folder alone, unless it has -D (2022.83 has not): it gets a home of its
 * own, which nobody else sees, in a mount namespace.
 */
function dropbearCommand(ground: Ground, port: number): string[] {
  const key = join(ground.folder, 'dropbear_host')
  if (!existsSync(key)) {
    execFileSync('dropbearconvert', ['openssh', 'dropbear', ground.hostKey, key], { stdio: 'ignore' })
  }
  const home = join(ground.folder, 'home')
  mkdirSync(join(home, '.ssh'), { recursive: true, mode: 0o700 })
  copyFileSync(ground.authorizedKeys, join(home, '.ssh/authorized_keys'))
  const script = 'mount --bind "$0" "$1" && shift && exec "$@"'
  const dropbear = [findProgram('dropbear')!, '-F', '-E', '-r', key, '-p', `127.0.0.1:${port}`]
  return ['unshare', '-m', 'sh', '-c', script, home, userInfo().homedir, ...dropbear]
}

const mayMount = (): boolean =>
  process.getuid?.() === 0 && spawnSync('unshare', ['-m', 'true'], { stdio: 'ignore' }).status === 0

const commands: Readonly<Record<ServerName, (ground: Ground, port: number) => string[]>> = {
  sshd: sshdCommand,
  dropbear: dropbearCommand,
  tsshd: (ground, port) => [
    process.execPath,
    join(root, 'bin/tsshd.js'),
    ...['-D', '-e', '-p', String(port), '-h', ground.hostKey],
    ...['-o', 'ListenAddress=127.0.0.1', '-o', `AuthorizedKeysFile=${ground.authorizedKeys}`],
    ...['-o', 'StrictModes=no', '-o', 'MaxStartups=1000', '-o', 'PerSourcePenalties=no', '-o', 'PermitRootLogin=yes'],
    ...['-o', 'Subsystem=sftp internal-sftp', '-o', `SetEnv=${notFirst}`],
  ],
  ssh2: (ground, port) => [
    process.execPath,
    join(contestants, 'ssh2-server.js'),
    ground.hostKey,
    `${ground.identity}.pub`,
    String(port),
  ],
  asyncssh: (ground, port) => [
    ...python,
    join(contestants, 'asyncssh_server.py'),
    ground.hostKey,
    ground.authorizedKeys,
    String(port),
  ],
  'x/crypto': (ground, port) => [xcrypto, 'server', ground.hostKey, ground.authorizedKeys, String(port)],
}

export const availableServers = (): ServerName[] => {
  const there: Readonly<Record<ServerName, boolean>> = {
    sshd: findProgram('sshd') !== undefined,
    tsshd: true,
    dropbear: findProgram('dropbear') !== undefined && findProgram('dropbearconvert') !== undefined && mayMount(),
    ssh2: haveSsh2,
    asyncssh: havePythonModule('asyncssh'),
    'x/crypto': haveXcrypto,
  }
  return (Object.keys(there) as ServerName[]).filter(name => there[name])
}

const started = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of started) child.kill('SIGKILL')
})

export async function startServer(name: ServerName, ground: Ground): Promise<RunningServer> {
  const port = await freePort()
  const [file, ...args] = commands[name](ground, port)
  const child: ChildProcess = spawn(file!, args, { stdio: 'ignore' })
  started.add(child)
  child.once('exit', () => started.delete(child))
  for (let tries = 0; !(await answers(port)); tries++) {
    if (tries > 200 || child.exitCode !== null) {
      child.kill('SIGKILL')
      throw new Error(`${name} does not answer`)
    }
    await pause(50)
  }
  return {
    name,
    port,
    pid: child.pid!,
    stop: () =>
      new Promise(ended => {
        const hard = setTimeout(() => child.kill('SIGKILL'), 3000)
        child.once('exit', () => {
          clearTimeout(hard)
          ended()
        })
        child.kill('SIGTERM')
      }),
  }
}

/** Starts servers for `go`, and ends them whatever happens. One that does not start is left out. */
export async function withServers(
  names: readonly ServerName[],
  ground: Ground,
  go: (servers: ReadonlyMap<ServerName, RunningServer>) => Promise<void>,
): Promise<void> {
  const servers = new Map<ServerName, RunningServer>()
  try {
    for (const name of names) {
      try {
        servers.set(name, await startServer(name, ground))
      } catch (error) {
        console.error(`left out: ${error instanceof Error ? error.message : String(error)}`)
      }
    }
    await go(servers)
  } finally {
    await Promise.all([...servers.values()].map(server => server.stop()))
  }
}

export type ClientName = 'ssh' | 'tssh' | 'dbclient' | 'ssh2' | 'asyncssh' | 'x/crypto'

export interface Session {
  readonly cipher?: string
  readonly mac?: string
  readonly kex?: string
  readonly options?: readonly string[]
  /** `-N` and a forward: no program runs, and `port` here reaches `target` there. */
  readonly forward?: { readonly port: number; readonly target: number }
}

const forwardFlags = ({ forward }: Session): string[] =>
  forward ? ['-N', '-L', `127.0.0.1:${forward.port}:127.0.0.1:${forward.target}`] : []

const opensshFlags = (ground: Ground, port: number, { cipher, mac, kex, options, ...rest }: Session): string[] => [
  ...['-F', 'none', '-p', String(port), '-i', ground.identity, '-T', ...forwardFlags(rest)],
  ...[
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'GlobalKnownHostsFile=/dev/null',
    'IdentityAgent=none',
    'IdentitiesOnly=yes',
    'LogLevel=ERROR',
    ...(cipher ? [`Ciphers=${cipher}`] : []),
    ...(mac ? [`MACs=${mac}`] : []),
    ...(kex ? [`KexAlgorithms=${kex}`] : []),
    ...(options ?? []),
  ].flatMap(option => ['-o', option]),
  `${ground.user}@127.0.0.1`,
]

const plainClient = (ground: Ground, port: number, { cipher = '', kex = '' }: Session, command: string): string[] => [
  String(port),
  ground.user,
  ground.identity,
  cipher,
  kex,
  command,
]

const words = (command: string): string[] => (command === '' ? [] : [command])

/** The command line of a client that runs `command` on a server of ours. */
export const clientCommand: Readonly<
  Record<ClientName, (ground: Ground, port: number, session: Session, command: string) => string[]>
> = {
  ssh: (ground, port, session, command) => ['ssh', ...opensshFlags(ground, port, session), ...words(command)],
  tssh: (ground, port, session, command) => [
    process.execPath,
    resolve(root, 'bin/tssh.js'),
    ...opensshFlags(ground, port, session),
    ...words(command),
  ],
  dbclient(ground, port, session, command) {
    const key = join(ground.folder, 'dropbear_id')
    if (!existsSync(key)) {
      execFileSync('dropbearconvert', ['openssh', 'dropbear', ground.identity, key], { stdio: 'ignore' })
    }
    const flags = ['-y', '-y', '-T', '-i', key, '-p', String(port), ...forwardFlags(session)]
    const suite = [...(session.cipher ? ['-c', session.cipher] : []), ...(session.mac ? ['-m', session.mac] : [])]
    return ['dbclient', ...flags, ...suite, `${ground.user}@127.0.0.1`, ...words(command)]
  },
  ssh2: (...args) => [process.execPath, join(contestants, 'ssh2-client.js'), ...plainClient(...args)],
  asyncssh: (...args) => [...python, join(contestants, 'asyncssh_client.py'), ...plainClient(...args)],
  'x/crypto': (...args) => [xcrypto, 'client', ...plainClient(...args)],
}

export const availableClients = (): ClientName[] => {
  const there: Readonly<Record<ClientName, boolean>> = {
    ssh: findProgram('ssh') !== undefined,
    tssh: true,
    dbclient: findProgram('dbclient') !== undefined && findProgram('dropbearconvert') !== undefined,
    ssh2: haveSsh2,
    asyncssh: havePythonModule('asyncssh'),
    'x/crypto': haveXcrypto,
  }
  return (Object.keys(there) as ClientName[]).filter(name => there[name])
}

type Pair = readonly [ClientName, ServerName]

/** OpenSSH, and ours on either side and on both. */
export const ownPairs: readonly Pair[] = [
  ['ssh', 'sshd'],
  ['tssh', 'sshd'],
  ['ssh', 'tsshd'],
  ['tssh', 'tsshd'],
]

/** What is neither has one side swapped, as ours have. */
const otherPairs: readonly Pair[] = [
  ['dbclient', 'sshd'],
  ['ssh2', 'sshd'],
  ['asyncssh', 'sshd'],
  ['x/crypto', 'sshd'],
  ['ssh', 'dropbear'],
  ['ssh', 'ssh2'],
  ['ssh', 'asyncssh'],
  ['ssh', 'x/crypto'],
]

/** Who is measured with whom, of those that are installed. */
export function availablePairs(): Pair[] {
  const clients = availableClients()
  const servers = availableServers()
  return [...ownPairs, ...otherPairs].filter(([client, server]) => clients.includes(client) && servers.includes(server))
}
