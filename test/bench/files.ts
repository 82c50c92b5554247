/**
 * Sections of `npm run bench` about moving files. `files`: one big file and many small ones over loopback. `far`: the same,
 * fewer, over a path whose round trip is 50 ms, which a relay makes (see contestants/relay.ts). tsftp and tscp beside
 * OpenSSH's sftp and scp, each with sshd (and its sftp-server) and with tsshd. The files lie in the folder for temporary
 * files: `TMPDIR=/dev/shm npm run bench files` leaves the disk out.
 */
import { spawn } from 'node:child_process'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { type CpuCounter, countCpu, fixed, interleave, median, pause, table, timed } from './measure.ts'
import { type Ground, type RunningServer, type ServerName, startServer } from './peers.ts'

export interface FileRow {
  readonly server: string
  readonly what: string
  readonly way: string
  readonly client: string
  /** `default`: each program's own first choice. */
  readonly cipher: string
  readonly seconds: number
  /** Speed by that of the faster of sftp and scp. */
  readonly ratio: number
  readonly clientCpu: number
  readonly serverCpu: number
}

type Way = 'get' | 'put'
const clients = ['sftp', 'scp', 'tsftp', 'tscp'] as const
type FileClient = (typeof clients)[number]

/** What is moved: the name of a file or folder on either side. */
interface Load {
  readonly name: string
  readonly title: string
  readonly bytes: number
  readonly files: number
}

/** No cipher is asked for. */
const ownCipher = 'default'

const program = (client: FileClient): string[] =>
  client.startsWith('t') ? [process.execPath, resolve(process.cwd(), `bin/${client}.js`)] : [client]

const flags = (ground: Ground, port: number, cipher: string): string[] => [
  ...['-F', 'none', '-P', String(port), '-i', ground.identity, '-q'],
  ...[
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'GlobalKnownHostsFile=/dev/null',
    'IdentityAgent=none',
    'IdentitiesOnly=yes',
    'LogLevel=ERROR',
    ...(cipher === ownCipher ? [] : [`Ciphers=${cipher}`]),
    'KexAlgorithms=curve25519-sha256',
  ].flatMap(option => ['-o', option]),
]

function command(client: FileClient, ground: Ground, port: number, cipher: string, way: Way, load: Load): string[] {
  const host = `${ground.user}@127.0.0.1`
  const [from, to] = [join(ground.folder, load.name), join(ground.folder, 'copy')]
  const tree = load.files > 1 ? ['-r'] : []
  const start = [...program(client), ...flags(ground, port, cipher)]
  if (client.endsWith('scp')) {
    return [...start, ...tree, ...(way === 'get' ? [`${host}:${from}`, to] : [from, `${host}:${to}`])]
  }
  const batch = join(ground.folder, `batch-${way}`)
  // sftp's put -r wants the target to be there.
  const first = way === 'put' && load.files > 1 ? `-mkdir ${to}\n` : ''
  writeFileSync(batch, `${first}${[way, ...tree, from, to].join(' ')}\n`)
  return [...start, '-b', batch, host]
}

interface Taken {
  readonly wall: number
  readonly cpu: number
  readonly serverCpu: number
}

const copied = (path: string): { files: number; bytes: number } => {
  const stats = statSync(path)
  if (stats.isFile()) return { files: 1, bytes: stats.size }
  return readdirSync(path)
    .map(name => copied(join(path, name)))
    .reduce((a, b) => ({ files: a.files + b.files, bytes: a.bytes + b.bytes }), { files: 0, bytes: 0 })
}

async function once(argv: readonly string[], cpuOfServer: CpuCounter, ground: Ground, load: Load): Promise<Taken> {
  const target = join(ground.folder, 'copy')
  rmSync(target, { recursive: true, force: true })
  const before = cpuOfServer.seconds()
  const { wall, cpu } = await timed(argv)
  // Until the server has waited for its children.
  await pause(200)
  const serverCpu = cpuOfServer.seconds() - before
  const { files, bytes } = copied(target)
  if (files !== load.files || bytes !== load.bytes) throw new Error(`copied ${files} files, ${bytes} bytes`)
  rmSync(target, { recursive: true, force: true })
  return { wall, cpu, serverCpu }
}

function makeBig(ground: Ground, megabytes: number): Load {
  const file = openSync(join(ground.folder, 'big'), 'w')
  // No zeros, so that nobody may leave holes.
  const block = Buffer.alloc(1 << 20, 'not all the same\n')
  for (let at = 0; at < megabytes; at++) writeSync(file, block)
  fsyncSync(file)
  closeSync(file)
  return { name: 'big', title: `${megabytes} MiB`, bytes: megabytes << 20, files: 1 }
}

function makeSmall(ground: Ground, files: number): Load {
  const folder = join(ground.folder, 'small')
  mkdirSync(folder)
  const data = Buffer.alloc(4096, 'four kibibytes\n')
  for (let at = 0; at < files; at++) writeFileSync(join(folder, `file-${at}`), data)
  return { name: 'small', title: `${files} of 4 KiB`, bytes: files * data.length, files }
}

async function compare(
  ground: Ground,
  server: { readonly name: string; readonly port: number; readonly cpu: CpuCounter },
  cipher: string,
  load: Load,
  rounds: number,
): Promise<FileRow[]> {
  const rows: FileRow[] = []
  for (const way of ['get', 'put'] as const) {
    const contestants = new Map<string, () => Promise<Taken>>(
      clients.map(client => [
        client as string,
        () => once(command(client, ground, server.port, cipher, way, load), server.cpu, ground, load),
      ]),
    )
    const taken = await interleave(contestants, rounds)
    const walls = new Map([...taken].map(([client, runs]) => [client, median(runs.map(({ wall }) => wall))]))
    const base = Math.min(walls.get('sftp') ?? Number.NaN, walls.get('scp') ?? Number.NaN)
    for (const [client, runs] of taken) {
      const seconds = walls.get(client)!
      rows.push({
        server: server.name,
        what: load.title,
        way,
        client,
        cipher,
        seconds,
        ratio: base / seconds,
        clientCpu: median(runs.map(({ cpu }) => cpu)),
        serverCpu: median(runs.map(({ serverCpu }) => serverCpu)),
      })
    }
  }
  return rows
}

const print = (title: string, rows: readonly FileRow[]): void => {
  const head = ['server', 'what', 'way', 'cipher', 'client', 's', 'speed / OpenSSH', 'client CPU s', 'server CPU s']
  const cells = rows.map(row => [
    row.server,
    row.what,
    row.way,
    row.cipher,
    row.client,
    fixed(row.seconds),
    fixed(row.ratio),
    fixed(row.clientCpu),
    fixed(row.serverCpu),
  ])
  console.log(`\n## ${title}\n\n${table(head, cells)}`)
}

const servers: readonly ServerName[] = ['sshd', 'tsshd']

interface Task {
  readonly load: Load
  readonly rounds: number
  /** Default: each program's own. */
  readonly cipher?: string
}

async function onEach(
  ground: Ground,
  tasks: readonly Task[],
  portOf: (server: RunningServer) => Promise<{ port: number; close(): void }>,
): Promise<FileRow[]> {
  const rows: FileRow[] = []
  try {
    for (const name of servers) {
      const server = await startServer(name, ground)
      const cpu = countCpu(server.pid)
      try {
        const way = await portOf(server)
        for (const { load, rounds, cipher = ownCipher } of tasks) {
          rows.push(...(await compare(ground, { name, port: way.port, cpu }, cipher, load, rounds)))
        }
        way.close()
      } finally {
        await server.stop()
        cpu.close()
      }
    }
  } finally {
    for (const { load } of tasks) rmSync(join(ground.folder, load.name), { recursive: true, force: true })
  }
  return rows
}

/** Over loopback. */
export async function files(ground: Ground, quick: boolean): Promise<FileRow[]> {
  const big = { load: makeBig(ground, quick ? 256 : 1024), rounds: quick ? 3 : 5 }
  const tasks = [
    big,
    { ...big, cipher: 'aes128-gcm@openssh.com' },
    { load: makeSmall(ground, quick ? 1000 : 5000), rounds: quick ? 3 : 7 },
  ]
  const direct = async ({ port }: RunningServer) => ({ port, close() {} })
  const rows = await onEach(ground, tasks, direct)
  print('Files over loopback', rows)
  return rows
}

/** Milliseconds of each direction. */
const delay = 25

/** Over a path with a round trip of 50 ms. */
export async function far(ground: Ground, quick: boolean): Promise<FileRow[]> {
  const tasks = [
    { load: makeBig(ground, quick ? 128 : 512), rounds: quick ? 1 : 3 },
    { load: makeSmall(ground, quick ? 100 : 200), rounds: 1 },
  ]
  const delayed = async ({ port }: RunningServer) => {
    const relay = spawn(
      process.execPath,
      [join(process.cwd(), 'test/bench/results/relay.js'), String(port), String(delay)],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    )
    for await (const line of createInterface({ input: relay.stdout })) {
      return { port: Number(line), close: () => void relay.kill() }
    }
    throw new Error('the relay does not start')
  }
  const rows = await onEach(ground, tasks, delayed)
  print(`Files over a round trip of ${2 * delay} ms`, rows)
  return rows
}
