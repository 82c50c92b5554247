import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { type Ran, runProgram } from './listening.ts'
import { haveProgram } from './programs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Root may give processes a network of their own, with another resolv.conf and hosts file. */
export const canMakeNamespace =
  process.getuid?.() === 0 &&
  ['unshare', 'nsenter', 'ip', 'ssh', 'sshd'].every(haveProgram) &&
  spawnSync('unshare', ['--net', '--mount', 'ip', 'link', 'set', 'lo', 'up']).status === 0

/** A network that has loopback alone, and a name server on it. */
export interface Namespace {
  readonly folder: string
  /** Changes resolv.conf there. */
  resolvConf(...lines: string[]): void
  run(file: string, args: readonly string[], options?: Parameters<typeof runProgram>[2]): Promise<Ran>
  /** Starts a program and waits for a line of its output. Ends with the namespace. */
  start(file: string, args: readonly string[], ready: string): Promise<void>
  close(): void
}

/** Begins with `server`, a program that serves names at 127.0.0.1 and says `ready`. */
export async function openNamespace(
  server: (folder: string) => { readonly argv: readonly string[]; readonly ready: string; readonly env?: object },
  hosts: readonly string[] = [],
): Promise<Namespace> {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-namespace-'))
  const path = (name: string): string => join(folder, name)
  const resolvConf = (...lines: string[]): void =>
    writeFileSync(path('resolv.conf'), `${['nameserver 127.0.0.1', ...lines].join('\n')}\n`)
  resolvConf()
  writeFileSync(path('hosts'), `${['127.0.0.1 localhost', ...hosts].join('\n')}\n`)
  const { argv, ready, env } = server(folder)
  const setUp =
    'ip link set lo up && mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/hosts" /etc/hosts && exec "$@"'
  const children: ChildProcess[] = []
  const close = (): void => {
    for (const child of children.reverse()) child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
  const startHere = async (file: string, args: readonly string[], line: string, more?: object): Promise<number> => {
    const child = spawn(file, args, { env: { ...process.env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => (output += data.toString()))
    for (let tries = 0; !output.includes(line); tries++) {
      if (tries > 400 || child.exitCode !== null) {
        close()
        throw new Error(`${file} did not start: ${output}`)
      }
      await new Promise(resolve => setTimeout(resolve, 25))
    }
    return child.pid!
  }
  const holder = await startHere('unshare', ['--net', '--mount', 'sh', '-c', setUp, folder, ...argv], ready, env)
  const inside = ['--target', String(holder), '--net', '--mount', '--']
  return {
    folder,
    resolvConf,
    run: (file, args, options) => runProgram('nsenter', [...inside, file, ...args], options),
    async start(file, args, line) {
      await startHere('nsenter', [...inside, file, ...args], line)
    },
    close,
  }
}

/** A module of the tests as a program: one file in this folder. @returns its path */
export function bundleForNode(entry: string, folder: string): string {
  const outfile = join(folder, entry.replace(/^.*\/|\.ts$/g, '') + '.mjs')
  buildSync({
    entryPoints: [join(root, 'test', entry)],
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    outfile,
    logLevel: 'error',
  })
  return outfile
}
