/** Sections of `npm run bench`: how many log in per second, and what a connection that does nothing costs a server. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { cpuOf, fixed, interleave, median, memoryOf, pause, table, within } from './measure.ts'
import { availableServers, type Ground, withServers } from './peers.ts'

type Mode = readonly ['rate', seconds: number, concurrency: number] | readonly ['hold', count: number]

/** Starts the generator of logins; its first line is the result. Whatever happens, `end` ends it. */
function generator(port: number, ground: Ground, mode: Mode) {
  const child = spawn(
    process.execPath,
    [join(process.cwd(), 'test/bench/results/logins.js'), String(port), ground.identity, ...mode.map(String)],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, USER: ground.user } },
  )
  child.stdin.on('error', () => {})
  const read = async (): Promise<number> => {
    for await (const line of createInterface({ input: child.stdout })) return Number(line)
    throw new Error('the generator of logins failed')
  }
  const end = (): Promise<void> =>
    new Promise(ended => {
      if (child.exitCode !== null || child.signalCode !== null) return ended()
      child.once('exit', () => ended())
      child.kill('SIGKILL')
    })
  return { result: within(mode[0] === 'rate' ? 30 : 300, mode.join(' '), read()), end }
}

async function resultOf(port: number, ground: Ground, mode: Mode): Promise<number> {
  const { result, end } = generator(port, ground, mode)
  return result.finally(end)
}

export interface LoginRow {
  readonly server: string
  readonly rate: number
  readonly ratio: number
  /** CPU milliseconds of the server for each login, its children included. */
  readonly cpu: number
}

async function loginsOf(port: number, pid: number, ground: Ground, mode: Mode) {
  const before = cpuOf(pid)
  const start = performance.now()
  const rate = await resultOf(port, ground, mode)
  const seconds = (performance.now() - start) / 1000
  await pause(200)
  // What came before and after the counted seconds ran at the same rate, but for the generator's start.
  return { rate, cpu: ((cpuOf(pid) - before) * 1000) / (rate * (seconds - generatorStart)) }
}

/** Seconds. */
const generatorStart = 0.2

/** Logins a second. Dropbear takes no more than five unauthenticated connections from one address, so five at a time. */
export async function logins(ground: Ground, quick: boolean): Promise<LoginRow[]> {
  const rows: LoginRow[] = []
  await withServers(availableServers(), ground, async servers => {
    const contestants = new Map(
      [...servers].map(([name, { port, pid }]) => [
        name as string,
        () => loginsOf(port, pid, ground, ['rate', quick ? 2 : 4, name === 'dropbear' ? 5 : 8]),
      ]),
    )
    const taken = await interleave(contestants, quick ? 2 : 3)
    const rateOf = (server: string) => median((taken.get(server) ?? []).map(({ rate }) => rate))
    for (const [server, runs] of taken) {
      const [rate, cpu] = [rateOf(server), median(runs.map(run => run.cpu))]
      rows.push({ server, rate, ratio: rate / rateOf('sshd'), cpu })
    }
  })
  const cells = rows.map(row => [row.server, fixed(row.rate, 0), fixed(row.ratio), fixed(row.cpu, 1)])
  const head = ['server', 'logins/s', 'rate / sshd', 'server CPU ms each']
  console.log(`\n## Logins, eight at a time, curve25519 and ed25519\n\n${table(head, cells)}`)
  return rows
}

export interface MemoryRow {
  readonly server: string
  readonly connections: number
  /** Of each connection. */
  readonly kibibytes: number
}

/** Servers with a process for each connection are asked fewer. */
const perProcess = /^(sshd|dropbear)$/

/** Memory of logged-in connections that do nothing, beyond what the server has after its first logins. */
export async function memory(ground: Ground, quick: boolean): Promise<MemoryRow[]> {
  const rows: MemoryRow[] = []
  for (const name of availableServers()) {
    for (const connections of perProcess.test(name) ? [50] : quick ? [1000] : [1000, 5000]) {
      await withServers([name], ground, async servers => {
        const server = servers.get(name)
        if (!server) return
        const { port, pid } = server
        const few = generator(port, ground, ['hold', 20])
        await few.result.finally(few.end)
        await pause(1000)
        const before = memoryOf(pid)
        const many = generator(port, ground, ['hold', connections])
        try {
          await many.result
          await pause(2000)
          rows.push({ server: name, connections, kibibytes: (memoryOf(pid) - before) / connections })
        } finally {
          await many.end()
        }
      }).catch((error: unknown) => console.error(`left out: ${name} with ${connections} connections: ${String(error)}`))
    }
  }
  const cells = rows.map(row => [row.server, String(row.connections), fixed(row.kibibytes, 1)])
  console.log(`\n## Memory of an idle connection\n\n${table(['server', 'connections', 'KiB each'], cells)}`)
  return rows
}
