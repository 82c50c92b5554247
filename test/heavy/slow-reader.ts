import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { clientCommand, prepareGround, startServer } from '../bench/peers.ts'

/**
 * Sends much through one channel to a reader that is ten times slower than the sender, and tells the most memory that
 * client and server had meanwhile. By hand:
 *
 *   npm run heavy:slow-reader -- [megabytes]
 *
 * Down, the reader is behind tssh's stdout; up, it is the program that tsshd started. What the sender can do is measured
 * first, with a tenth of the data.
 */

const [megabytes = 10_000] = process.argv.slice(2).map(Number)
/** MB that either process may have at most. */
const limit = 150

/** Reads stdin at so many bytes a second, and says how many there were. */
const reader = `
const { readSync } = require('node:fs')
const rate = Number(process.argv[2])
const cell = new Int32Array(new SharedArrayBuffer(4))
const room = Buffer.alloc(65536)
const begun = performance.now()
let bytes = 0
for (;;) {
  let count = 0
  try {
    count = readSync(0, room)
  } catch (error) {
    if (error.code !== 'EAGAIN') throw error
    Atomics.wait(cell, 0, 0, 1)
    continue
  }
  if (count === 0) break
  bytes += count
  const early = (bytes / rate) * 1000 - (performance.now() - begun)
  if (early > 1) Atomics.wait(cell, 0, 0, early)
}
process.stdout.write(String(bytes))
`

interface Outcome {
  readonly seconds: number
  /** The most memory of each process, in MB. */
  readonly client: number
  readonly server: number
}

const ground = prepareGround()
const server = await startServer('tsshd', ground)
const script = join(ground.folder, 'reader.cjs')
writeFileSync(script, reader)

/** The most memory that a process ever had, in MB; 0 once it ended. */
function peakOf(pid: number): number {
  try {
    return (Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) * 1024) / 1e6
  } catch {
    return 0
  }
}

/** @throws when not every byte came */
async function send(way: 'down' | 'up', bytes: number, rate: number): Promise<Outcome> {
  const begun = performance.now()
  const source = `head -c ${bytes} /dev/zero`
  const slow = [process.execPath, script, String(rate)]
  const [file, ...args] = clientCommand.tssh(ground, server.port, {}, way === 'down' ? source : slow.join(' '))
  const input =
    way === 'up' ? spawn('sh', ['-c', `exec ${source}`], { stdio: ['ignore', 'pipe', 'inherit'] }) : undefined
  const client = spawn(file!, args, { stdio: [input?.stdout ?? 'ignore', 'pipe', 'inherit'] })
  input?.stdout.destroy()
  const last = way === 'down' ? spawn(slow[0]!, slow.slice(1), { stdio: [client.stdout, 'pipe', 'inherit'] }) : client
  if (last !== client) client.stdout.destroy()
  let text = ''
  last.stdout!.on('data', (data: Buffer) => {
    text += data.toString()
  })
  let most = 0
  const timer = setInterval(() => {
    most = Math.max(most, peakOf(client.pid!))
  }, 100)
  await new Promise(ended => last.once('close', ended))
  clearInterval(timer)
  if (Number(text) !== bytes) throw new Error(`${way}: ${text} of ${bytes} bytes came`)
  return { seconds: (performance.now() - begun) / 1000, client: most, server: peakOf(server.pid) }
}

try {
  for (const way of ['down', 'up'] as const) {
    const portion = megabytes * 1e5
    const { seconds } = await send(way, portion, Number.POSITIVE_INFINITY)
    const rate = portion / seconds / 10
    const slow = await send(way, megabytes * 1e6, rate)
    const [client, other] = [slow.client, slow.server].map(value => value.toFixed(0))
    console.log(
      `${way}: ${megabytes} MB at ${(rate / 1e6).toFixed(1)} MB/s in ${slow.seconds.toFixed(0)} s; ` +
        `at most ${client} MB in tssh, ${other} MB in tsshd`,
    )
    if (slow.client > limit || slow.server > limit) process.exitCode = 1
  }
} finally {
  await server.stop()
  ground.close()
}
