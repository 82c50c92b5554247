/**
 * Signatures a second through an agent's socket: tssh-agent against ssh-agent, by turns in the same run, over 1 and 8
 * connections. After a build: esbuild test/bench/agent.ts --bundle --platform=node --format=esm --packages=external
 * --outfile=test/bench/results/agent.js && node test/bench/results/agent.js. Ends with status 1 below the floor.
 */

import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKey } from '../../lib/keys/private-key.ts'
import { encode } from '../../lib/wire/writer.ts'
import { connectAgent } from '../../src/net/agent-socket.ts'

/** Ours by ssh-agent's. */
const floor = 1
const rounds = 9
const signaturesPerRound = 4000
const kinds = ['ed25519', 'rsa'] as const

const folder = mkdtempSync(join(tmpdir(), 'tssh-bench-'))
mkdirSync(join(folder, '.ssh'))

interface Contender {
  readonly name: string
  readonly socket: string
  readonly pid: number
}

function start(name: string, command: readonly string[]): Contender {
  const socket = join(folder, name)
  const [program = '', ...args] = [...command, '-s', '-a', socket]
  const output = spawnSync(program, args, { env: { ...process.env, HOME: folder }, encoding: 'utf8' }).stdout
  return { name, socket, pid: Number(/SSH_AGENT_PID=(\d+)/.exec(output)?.[1]) }
}

/** Sends a request when the answer to the one before came: what a client that waits gets. @returns seconds */
async function exchange(sockets: readonly Socket[], request: Buffer, total: number): Promise<number> {
  const share = Math.floor(total / sockets.length)
  const begin = process.hrtime.bigint()
  await Promise.all(
    sockets.map(
      socket =>
        new Promise<void>((resolve, reject) => {
          let left = share
          const onData = (reply: Buffer): void => {
            if (reply[4] !== 14) reject(new Error('no signature'))
            else if (--left > 0) socket.write(request)
            else {
              socket.off('data', onData)
              resolve()
            }
          }
          socket.on('data', onData)
          socket.write(request)
        }),
    ),
  )
  return Number(process.hrtime.bigint() - begin) / 1e9
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!

const contenders = [
  start('tssh-agent', [process.execPath, join(process.cwd(), 'bin/tssh-agent.js')]),
  start('ssh-agent', ['ssh-agent']),
]
let good = true
try {
  for (const kind of kinds) {
    const key = generateKey(kind, kind === 'rsa' ? 2048 : undefined)
    const data = Buffer.alloc(200, 1)
    const message = encode(w =>
      w
        .byte(13)
        .string(key.publicKey.blob)
        .string(data)
        .uint32(kind === 'rsa' ? 4 : 0),
    )
    const request = encode(writer => writer.string(message))
    const opened = await Promise.all(
      contenders.map(async ({ socket }) => {
        const { client, close } = await connectAgent(socket)
        await client.add(key, kind)
        close()
        return Array.from({ length: 8 }, () => connect(socket))
      }),
    )
    for (const connections of [1, 8]) {
      const times: number[][] = contenders.map(() => [])
      for (let round = 0; round < rounds; round++) {
        for (const [i, sockets] of opened.entries()) {
          const count = kind === 'rsa' ? signaturesPerRound / 8 : signaturesPerRound
          times[i]!.push(count / (await exchange(sockets.slice(0, connections), request, count)))
        }
      }
      const [ours = 0, theirs = 0] = times.map(median)
      const ratio = ours / theirs
      if (kind === 'ed25519' && ratio < floor) good = false
      console.log(
        `${kind} over ${connections}: tssh-agent ${Math.round(ours)}/s, ssh-agent ${Math.round(theirs)}/s, ratio ${ratio.toFixed(2)}`,
      )
    }
    for (const socket of opened.flat()) socket.destroy()
  }
} finally {
  for (const { pid } of contenders) process.kill(pid, 'SIGTERM')
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = good ? 0 : 1
