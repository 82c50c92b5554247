import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { findProgram } from './programs.ts'

/** OpenSSH's sshd on loopback, with keys of its own in a temporary folder. */
export interface RunningSshd {
  readonly port: number
  readonly folder: string
  readonly user: string
  readonly identity: string
  readonly knownHosts: string
  /** Ends the daemon and every connection of it. */
  kill(): void
  /** After `kill`: the same daemon at the same port. */
  restart(): Promise<void>
  close(): void
}

export async function freePort(): Promise<number> {
  return new Promise(resolve => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}

const answers = (port: number): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).on('error', () => resolve(false))
  })

/** Processes that a process began, and those that they began. */
function descendants(root: number): number[] {
  const table = execFileSync('ps', ['-e', '-o', 'pid=,ppid='], { encoding: 'utf8' })
  const rows = table
    .trim()
    .split('\n')
    .map(line => line.trim().split(/\s+/).map(Number) as [number, number])
  const found = [root]
  for (const above of found) for (const [pid, parent] of rows) if (parent === above) found.push(pid)
  return found.slice(1)
}

export async function startSshd(config: readonly string[] = []): Promise<RunningSshd> {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-sshd-'))
  const path = (name: string): string => join(folder, name)
  const keygen = (type: string, file: string): void => {
    execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', file])
  }
  for (const type of ['ed25519', 'ecdsa', 'rsa']) keygen(type, path(`host_${type}`))
  keygen('ed25519', path('id_ed25519'))
  writeFileSync(path('authorized_keys'), readFileSync(path('id_ed25519.pub')))
  chmodSync(folder, 0o755)
  const port = await freePort()
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    'StrictModes no',
    'UsePAM no',
    'PidFile none',
    'PermitRootLogin yes',
    'MaxStartups 100',
    'MaxSessions 100',
    `AuthorizedKeysFile ${path('authorized_keys')}`,
    'AcceptEnv TSSH_*',
    ...['ed25519', 'ecdsa', 'rsa'].map(type => `HostKey ${path(`host_${type}`)}`),
    ...config,
    // Else bash runs the start-up file of whoever runs the tests, for every command and subsystem.
    'SetEnv SHLVL=1',
  ]
  writeFileSync(path('sshd_config'), `${lines.join('\n')}\n`)
  const launch = async (): Promise<ChildProcess> => {
    const child = spawn(findProgram('sshd') ?? 'sshd', ['-D', '-e', '-f', path('sshd_config')], {
      stdio: 'ignore',
      detached: true,
    })
    for (let tries = 0; !(await answers(port)); tries++) {
      if (tries > 100) throw new Error('sshd does not answer')
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    return child
  }
  let daemon = await launch()
  const known = ['ed25519', 'ecdsa', 'rsa'].map(
    type => `[127.0.0.1]:${port} ${readFileSync(path(`host_${type}.pub`), 'utf8')}`,
  )
  writeFileSync(path('known_hosts'), known.join(''))
  const kill = (): void => {
    if (daemon.pid === undefined) return
    // A session has a process group of its own.
    for (const pid of [...descendants(daemon.pid), -daemon.pid]) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It is gone already.
      }
    }
  }
  return {
    port,
    folder,
    user: userInfo().username,
    identity: path('id_ed25519'),
    knownHosts: path('known_hosts'),
    kill,
    async restart() {
      daemon = await launch()
    },
    close() {
      kill()
      rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
    },
  }
}
