/** Section of `npm run bench`: a forwarded port, with much data and with one byte that goes to and fro. */
import { spawn } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'
import { fixed, interleave, median, pause, table, within } from './measure.ts'
import {
  answers,
  availablePairs,
  type ClientName,
  clientCommand,
  freePort,
  type Ground,
  type RunningServer,
  withServers,
} from './peers.ts'

/** Clients that are told to forward by `-L`. */
const forwarding: ReadonlySet<ClientName> = new Set(['ssh', 'tssh', 'dbclient'])

export interface ForwardRow {
  readonly pair: string
  /** MiB a second, and that by OpenSSH's on both sides. */
  readonly rate: number
  readonly ratio: number
  /** Microseconds of one byte there and back, and that by OpenSSH's. */
  readonly roundTrip: number
  readonly roundTripRatio: number
}

const block = Buffer.alloc(64 * 1024, 120)

/** Answers `s<bytes>\n` with so many bytes and the end, and everything after `e` with itself. */
function target() {
  return createServer(socket => {
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.once('data', (first: Buffer) => {
      if (first[0] === 0x65) {
        socket.on('data', (data: Buffer) => socket.write(data))
        return
      }
      let left = Number(first.subarray(1).toString())
      const more = (): void => {
        while (left > 0) {
          const piece = left < block.length ? block.subarray(0, left) : block
          left -= piece.length
          if (!socket.write(piece)) return
        }
        socket.end()
      }
      socket.on('drain', more)
      more()
    })
  })
}

/** Seconds for `bytes` to come through. */
function download(port: number, bytes: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    let got = 0
    const socket = connect(port, '127.0.0.1', () => socket.write(`s${bytes}\n`))
    socket.on('data', (data: Buffer) => {
      got += data.length
      if (got < bytes) return
      socket.destroy()
      resolve((performance.now() - start) / 1000)
    })
    socket.on('error', reject)
    socket.on('close', () => got < bytes && reject(new Error(`only ${got} bytes came through`)))
  })
}

/** Median microseconds of one byte there and back. */
function pingPong(port: number, count: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const taken: number[] = []
    let since = 0
    const byte = Buffer.from('.')
    const socket: Socket = connect(port, '127.0.0.1', async () => {
      socket.setNoDelay(true)
      socket.write('e')
      await pause(100)
      socket.on('data', () => {
        taken.push((performance.now() - since) * 1000)
        if (taken.length < count) return next()
        socket.destroy()
        resolve(median(taken))
      })
      next()
    })
    const next = (): void => {
      since = performance.now()
      socket.write(byte)
    }
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the forward closed')))
  })
}

/** Opens a forward to `target` through a client of its own, for `go`. */
async function through<T>(
  ground: Ground,
  client: ClientName,
  server: RunningServer,
  target: number,
  go: (port: number) => Promise<T>,
): Promise<T> {
  const port = await freePort()
  const session = { kex: 'curve25519-sha256', cipher: 'aes128-gcm@openssh.com', forward: { port, target } }
  // Dropbear in Debian has no GCM.
  const cipher = client === 'dbclient' || server.name === 'dropbear' ? 'chacha20-poly1305@openssh.com' : session.cipher
  const [file, ...args] = clientCommand[client](ground, server.port, { ...session, cipher }, '')
  const child = spawn(file!, args, { stdio: 'ignore' })
  try {
    for (let tries = 0; !(await answers(port)); tries++) {
      if (tries > 100 || child.exitCode !== null) throw new Error('the forward does not listen')
      await pause(50)
    }
    return await within(60, 'forward', go(port))
  } finally {
    child.kill('SIGKILL')
  }
}

export async function forwards(ground: Ground, quick: boolean): Promise<ForwardRow[]> {
  const megabytes = quick ? 64 : 512
  const there = availablePairs().filter(([client]) => forwarding.has(client))
  const rows: ForwardRow[] = []
  const end = await freePort()
  const listener = target().listen(end, '127.0.0.1')
  try {
    await withServers([...new Set(there.map(([, server]) => server))], ground, async running => {
      const contestants = new Map(
        there
          .filter(([, server]) => running.has(server))
          .map(([client, server]) => [
            `${client} → ${server}`,
            () =>
              through(ground, client, running.get(server)!, end, async port => ({
                roundTrip: await pingPong(port, quick ? 500 : 2000),
                seconds: await download(port, megabytes << 20),
              })),
          ]),
      )
      const taken = await interleave(contestants, quick ? 2 : 5)
      const of = (pair: string, what: 'roundTrip' | 'seconds') => median((taken.get(pair) ?? []).map(run => run[what]))
      const [base, baseTrip] = [of('ssh → sshd', 'seconds'), of('ssh → sshd', 'roundTrip')]
      for (const pair of taken.keys()) {
        const [seconds, roundTrip] = [of(pair, 'seconds'), of(pair, 'roundTrip')]
        const ratios = { ratio: base / seconds, roundTripRatio: roundTrip / baseTrip }
        rows.push({ pair, rate: megabytes / seconds, roundTrip, ...ratios })
      }
    })
  } finally {
    listener.close()
  }
  const cells = rows.map(row => [
    ...[row.pair, fixed(row.rate, 0), fixed(row.ratio)],
    ...[fixed(row.roundTrip, 0), fixed(row.roundTripRatio)],
  ])
  const head = ['client → server', 'MiB/s', 'rate / OpenSSH', 'byte there and back, µs', 'time / OpenSSH']
  console.log(`\n## A forwarded port (-L), ${megabytes} MiB, aes128-gcm\n\n${table(head, cells)}`)
  return rows
}
