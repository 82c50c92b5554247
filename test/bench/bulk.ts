/** Sections of `npm run bench`: much data through one session, with each main cipher, and with new keys every 16 MiB. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cpuOf, fixed, interleave, median, pause, table, timed } from './measure.ts'
import {
  availablePairs,
  type ClientName,
  clientCommand,
  type Ground,
  ownPairs,
  type RunningServer,
  type ServerName,
  type Session,
  withServers,
} from './peers.ts'

const suites: readonly Session[] = [
  { cipher: 'aes128-gcm@openssh.com' },
  { cipher: 'aes256-gcm@openssh.com' },
  { cipher: 'chacha20-poly1305@openssh.com' },
  { cipher: 'aes128-ctr', mac: 'umac-64-etm@openssh.com' },
  { cipher: 'aes128-ctr', mac: 'hmac-sha2-256-etm@openssh.com' },
]

/** What Debian's versions of the others have. */
const hasSuite = (name: ClientName | ServerName, { cipher = '', mac }: Session): boolean => {
  switch (name) {
    case 'dbclient':
    case 'dropbear':
      return cipher.startsWith('chacha20')
    case 'ssh2':
    case 'asyncssh':
      return mac === undefined
    case 'x/crypto':
      return mac === undefined ? !cipher.startsWith('aes256') : mac.startsWith('hmac-sha2-256')
    default:
      return true
  }
}

interface Transfer {
  /** Seconds of all, and CPU seconds of both sides. */
  readonly wall: number
  readonly clientCpu: number
  readonly serverCpu: number
}

type Way = 'down' | 'up'

async function transfer(
  ground: Ground,
  client: ClientName,
  server: RunningServer,
  session: Session,
  way: Way,
  megabytes: number,
): Promise<Transfer> {
  const down = megabytes === 0 ? 'true' : `head -c ${megabytes}M /dev/zero`
  const command = way === 'down' ? down : 'cat >/dev/null'
  const before = cpuOf(server.pid)
  const input = way === 'up' && megabytes > 0 ? join(ground.folder, 'input') : '/dev/null'
  const { wall, cpu } = await timed(
    clientCommand[client](ground, server.port, { kex: 'curve25519-sha256', ...session }, command),
    input,
  )
  // Until the server has waited for its children.
  await pause(150)
  return { wall, clientCpu: cpu, serverCpu: cpuOf(server.pid) - before }
}

/** Of `megabytes` and of none, in turn. */
async function both(...[ground, client, server, session, way, megabytes]: Parameters<typeof transfer>) {
  const full = await transfer(ground, client, server, session, way, megabytes)
  const empty = await transfer(ground, client, server, session, way, 0)
  return { full, empty }
}

export interface BulkRow {
  readonly suite: string
  readonly way: Way
  readonly pair: string
  /** MiB a second, start and login included, and that by OpenSSH's on both sides. */
  readonly rate: number
  readonly ratio: number
  /** CPU seconds of each GiB, beyond those of a session without data. */
  readonly clientCpu: number
  readonly serverCpu: number
}

const bulkHead = ['cipher', 'way', 'client → server', 'MiB/s', 'rate / OpenSSH', 'client CPU s/GiB', 'server CPU s/GiB']

/** Every pair with each suite, down and up. */
export async function bulk(ground: Ground, quick: boolean): Promise<BulkRow[]> {
  const megabytes = quick ? 32 : 1024
  const input = join(ground.folder, 'input')
  writeFileSync(input, Buffer.alloc(megabytes << 20))
  const there = availablePairs()
  const rows: BulkRow[] = []
  await withServers([...new Set(there.map(([, server]) => server))], ground, async running => {
    console.log(`\n## Bulk data, ${megabytes} MiB\n`)
    for (const session of suites) {
      for (const way of ['down', 'up'] as const) {
        const contestants = new Map(
          there
            .filter(([client, server]) => hasSuite(client, session) && hasSuite(server, session) && running.has(server))
            .map(([client, server]) => [
              `${client} → ${server}`,
              () => both(ground, client, running.get(server)!, session, way, megabytes),
            ]),
        )
        const taken = await interleave(contestants, quick ? 1 : 3)
        const base = median((taken.get('ssh → sshd') ?? []).map(({ full }) => full.wall))
        const perGigabyte = 1024 / megabytes
        const suite = session.mac ? `${session.cipher} ${session.mac}` : session.cipher!
        const first = rows.length
        for (const [pair, runs] of taken) {
          const wall = median(runs.map(({ full }) => full.wall))
          const cpu = (side: 'clientCpu' | 'serverCpu') =>
            median(runs.map(({ full, empty }) => full[side] - empty[side])) * perGigabyte
          const ofSides = { clientCpu: cpu('clientCpu'), serverCpu: cpu('serverCpu') }
          rows.push({ suite, way, pair, rate: megabytes / wall, ratio: base / wall, ...ofSides })
        }
        const cells = rows
          .slice(first)
          .map(row => [
            ...[row.suite, row.way, row.pair, fixed(row.rate, 0), fixed(row.ratio)],
            ...[fixed(row.clientCpu), fixed(row.serverCpu)],
          ])
        console.log(table(bulkHead, cells))
      }
    }
  })
  rmSync(input)
  return rows
}

export interface RekeyRow {
  readonly pair: string
  readonly limit: string
  readonly rate: number
  readonly clientCpu: number
  readonly serverCpu: number
}

/** A download with the usual limit, and with new keys every 16 MiB. */
export async function rekey(ground: Ground, quick: boolean): Promise<RekeyRow[]> {
  const megabytes = quick ? 64 : 1024
  const rows: RekeyRow[] = []
  await withServers(['sshd', 'tsshd'], ground, async running => {
    for (const [client, name] of ownPairs) {
      const server = running.get(name)
      if (!server) continue
      const run = (options: readonly string[]) => () =>
        transfer(ground, client, server, { cipher: 'aes128-gcm@openssh.com', options }, 'down', megabytes)
      const contestants = new Map([
        ['default', run([])],
        ['16M', run(['RekeyLimit=16M'])],
      ])
      for (const [limit, runs] of await interleave(contestants, quick ? 2 : 5)) {
        const of = (side: keyof Transfer) => median(runs.map(taken => taken[side]))
        const [clientCpu, serverCpu] = [of('clientCpu'), of('serverCpu')]
        rows.push({ pair: `${client} → ${name}`, limit, rate: megabytes / of('wall'), clientCpu, serverCpu })
      }
    }
  })
  const cells = rows.map(row => [
    ...[row.pair, row.limit, fixed(row.rate, 0)],
    ...[fixed(row.clientCpu), fixed(row.serverCpu)],
  ])
  const head = ['client → server', 'RekeyLimit', 'MiB/s', 'client CPU s', 'server CPU s']
  console.log(`\n## New keys every 16 MiB, curve25519, download of ${megabytes} MiB\n\n${table(head, cells)}`)
  return rows
}
