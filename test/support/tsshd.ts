import { type ChildProcess, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { connect, type SshClient } from '../../src/index.ts'
import { type Ran, runProgram } from './listening.ts'
import { freePort } from './sshd.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

const bundles = new Map<string, string>()

/** A command as it is now, bundled as the build does it, below `dist` so that it finds the package. */
function bundle(command: string): string {
  const known = bundles.get(command)
  if (known !== undefined) return known
  mkdirSync(join(root, 'dist'), { recursive: true })
  const folder = mkdtempSync(join(root, 'dist', 'test-'))
  buildSync({
    entryPoints: [join(root, 'commands', command, 'main.ts')],
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    splitting: true,
    packages: 'external',
    outdir: folder,
    logLevel: 'error',
  })
  const launcher = join(folder, 'launch.mjs')
  writeFileSync(launcher, `import { main, run } from './main.js'\nawait run(main)\n`)
  process.once('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))
  bundles.set(command, launcher)
  return launcher
}

async function listening(daemon: ChildProcess, log: () => string): Promise<void> {
  for (let tries = 0; !log().includes('Server listening on'); tries++) {
    if (tries > 400 || daemon.exitCode !== null) throw new Error(`tsshd does not listen: ${log()}`)
    await new Promise(resolve => setTimeout(resolve, 25))
  }
}

/** Our own tsshd as a process, with a configuration of the test's. */
export interface RunningTsshd {
  readonly port: number
  readonly folder: string
  readonly user: string
  readonly identity: string
  readonly userKey: PrivateKey
  readonly hostKey: PrivateKey
  readonly knownHosts: string
  readonly authorizedKeys: string
  /** What it logged so far. */
  readonly log: () => string
  /** The line of `authorized_keys` with these options before the key. */
  authorize(options: string): void
  /** Arguments of ssh up to the host, without a command. */
  sshArgs(...more: string[]): string[]
  ssh(...more: string[]): Promise<Ran>
  close(): Promise<void>
}

/** A login by the library, which reads no files but the server's. */
export const loginTo = ({ port, user, identity, knownHosts }: RunningTsshd, as = user): Promise<SshClient> =>
  connect({
    host: '127.0.0.1',
    port,
    user: as,
    identityFiles: [identity],
    configFile: 'none',
    options: [`UserKnownHostsFile ${knownHosts}`, 'GlobalKnownHostsFile none', 'IdentityAgent none'],
  })

export async function startTsshd(
  config: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<RunningTsshd> {
  const launcher = bundle('tsshd')
  const folder = mkdtempSync(join(tmpdir(), 'tssh-tsshd-'))
  const path = (name: string): string => join(folder, name)
  chmodSync(folder, 0o755)
  const hostKey = generateKey('ed25519')
  const userKey = generateKey('ed25519', undefined, 'test key')
  writeFileSync(path('host_key'), formatOpensshV1(hostKey), { mode: 0o600 })
  writeFileSync(path('id_ed25519'), formatOpensshV1(userKey), { mode: 0o600 })
  const publicLine = formatPublicKeyLine(userKey.publicKey, 'test key')
  writeFileSync(path('id_ed25519.pub'), `${publicLine}\n`)
  writeFileSync(path('authorized_keys'), `${publicLine}\n`)
  // What a key's own lines must not weaken comes first, as the first value wins.
  const lines = [
    ...config,
    'ListenAddress 127.0.0.1',
    `HostKey ${path('host_key')}`,
    `AuthorizedKeysFile ${path('authorized_keys')}`,
    'StrictModes no',
    'PermitRootLogin yes',
    'PidFile none',
    'PerSourcePenalties no',
    'LogLevel DEBUG1',
    // Else shells run the start-up files of whoever runs the tests, and bash does for every command.
    `SetEnv HOME=${folder}`,
  ]
  writeFileSync(path('sshd_config'), `${lines.join('\n')}\n`)
  const port = await freePort()
  const daemon = spawn(process.execPath, [launcher, '-D', '-e', '-p', String(port), '-f', path('sshd_config')], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let log = ''
  daemon.stderr.on('data', (data: Buffer) => {
    log += data.toString()
  })
  await listening(daemon, () => log)
  const knownHosts = path('known_hosts')
  writeFileSync(knownHosts, `[127.0.0.1]:${port} ${formatPublicKeyLine(hostKey.publicKey)}\n`)
  const user = userInfo().username
  const sshArgs = (...more: string[]): string[] => [
    ...['-F', 'none', '-p', String(port), '-l', user, '-i', path('id_ed25519')],
    ...[`UserKnownHostsFile=${knownHosts}`, 'GlobalKnownHostsFile=/dev/null', 'StrictHostKeyChecking=yes'].flatMap(
      o => ['-o', o],
    ),
    ...['IdentityAgent=none', 'IdentitiesOnly=yes', 'PKCS11Provider=none', 'BatchMode=yes'].flatMap(o => ['-o', o]),
    ...more,
    '127.0.0.1',
  ]
  return {
    port,
    folder,
    user,
    identity: path('id_ed25519'),
    userKey,
    hostKey,
    knownHosts,
    authorizedKeys: path('authorized_keys'),
    log: () => log,
    authorize: options => writeFileSync(path('authorized_keys'), `${options} ${publicLine}\n`),
    sshArgs,
    ssh: (...more) => runProgram('ssh', [...sshArgs(), ...more], { timeout: 20_000 }),
    async close() {
      const ended = new Promise(resolve => daemon.once('exit', resolve))
      daemon.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
    },
  }
}
