import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type CuttingProxy, randomNumbers, startCuttingProxy } from '../support/cutting-proxy.ts'
import { startSshd } from '../support/sshd.ts'
import { startTsshd } from '../support/tsshd.ts'

/**
 * Cuts a transfer at random bytes, many times, and has it resumed. By hand:
 *
 *   npm run heavy:cuts -- [cuts] [megabytes] [seed]
 *
 * For OpenSSH's sshd and for tsshd, up and down: one `tscp --resume` whose connection is cut so often and which connects
 * again by itself, and the same again with plain transfers that each die and are resumed by the next command.
 */

const root = fileURLToPath(new URL('../..', import.meta.url))
const tscp = join(root, 'bin/tscp.js')
const [cuts = 50, megabytes = 200, seed = Date.now() % 1_000_000] = process.argv.slice(2).map(Number)

interface Peer {
  readonly port: number
  readonly user: string
  readonly identity: string
  readonly knownHosts: string
}

const folder = mkdtempSync(join(tmpdir(), 'tssh-cuts-'))
const path = (name: string): string => join(folder, name)

function flagsFor(peer: Peer, port: number): string[] {
  const text = readFileSync(peer.knownHosts, 'utf8').replaceAll(`:${peer.port} `, `:${port} `)
  writeFileSync(path('known_hosts'), text)
  const options = [`UserKnownHostsFile=${path('known_hosts')}`, 'GlobalKnownHostsFile=none', 'IdentityAgent=none']
  return ['-F', 'none', '-q', '-P', String(port), '-i', peer.identity, ...options.flatMap(line => ['-o', line])]
}

const run = (args: readonly string[]): Promise<{ status: number | null; err: string }> =>
  new Promise(resolve => {
    const child = spawn(process.execPath, [tscp, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
    let err = ''
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString()
    })
    child.on('close', status => resolve({ status, err }))
  })

function operands(peer: Peer, way: 'put' | 'get'): string[] {
  const remote = (name: string): string => `${peer.user}@127.0.0.1:${path(name)}`
  return way === 'put' ? [path('source'), remote('target')] : [remote('source'), path('target')]
}

function check(what: string, begun: number, proxy: CuttingProxy, status: number | null, err: string): void {
  const same = existsSync(path('target')) && isSame()
  const seconds = ((performance.now() - begun) / 1000).toFixed(1)
  console.log(`${what}: ${proxy.cuts} cuts, ${seconds} s, status ${status}, ${same ? 'identical' : 'DIFFERENT'}`)
  if (status === 0 && same) return
  console.log(err)
  process.exitCode = 1
}

function isSame(): boolean {
  try {
    execFileSync('cmp', [path('source'), path('target')])
    return true
  } catch {
    return false
  }
}

async function series(name: string, peer: Peer): Promise<void> {
  for (const way of ['put', 'get'] as const) {
    const random = randomNumbers(seed)
    const bytes = megabytes * 1_000_000
    // Two thirds of the file altogether, so that all cuts come before its end even though some bytes go twice.
    const portion = (): number => Math.floor(6000 + random() * 2 * ((bytes * 0.66) / cuts))
    let begun = performance.now()
    let left = cuts
    let proxy = await startCuttingProxy(peer.port, () => (left-- > 0 ? portion() : Number.POSITIVE_INFINITY))
    const whole = await run([...flagsFor(peer, proxy.port), '--resume', ...operands(peer, way)])
    await proxy.close()
    check(`${name} ${way}, one command`, begun, proxy, whole.status, whole.err)
    rmSync(path('target'), { force: true })

    begun = performance.now()
    left = cuts
    proxy = await startCuttingProxy(peer.port, () => (left-- > 0 ? portion() : Number.POSITIVE_INFINITY))
    let last = { status: null as number | null, err: '' }
    for (let attempt = 0; attempt <= cuts * 2 && last.status !== 0; attempt++) {
      // SIGKILL when the first retry is announced: this process shall know nothing that the next one has to find out.
      last = await runOnce([...flagsFor(peer, proxy.port), '--resume', '--json', ...operands(peer, way)])
    }
    await proxy.close()
    check(`${name} ${way}, a new command after each cut`, begun, proxy, last.status, last.err)
    rmSync(path('target'), { force: true })
  }
}

/** A command that dies at its first lost connection. */
function runOnce(args: readonly string[]): Promise<{ status: number | null; err: string }> {
  return new Promise(resolve => {
    const child = spawn(process.execPath, [tscp, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    let err = ''
    child.stdout.on('data', (data: Buffer) => {
      if (data.includes('"retry"')) child.kill('SIGKILL')
    })
    child.stderr.on('data', (data: Buffer) => {
      err += data.toString()
    })
    child.on('close', status => resolve({ status, err }))
  })
}

console.log(`${cuts} cuts of ${megabytes} MB, seed ${seed}`)
execFileSync('sh', ['-c', `head -c ${megabytes * 1_000_000} /dev/urandom > ${path('source')}`])
const sshd = await startSshd(['Subsystem sftp /usr/lib/openssh/sftp-server'])
const tsshd = await startTsshd(['Subsystem sftp internal-sftp'])
try {
  await series('sshd', sshd)
  await series('tsshd', tsshd)
} finally {
  sshd.close()
  await tsshd.close()
  rmSync(folder, { recursive: true, force: true })
}
