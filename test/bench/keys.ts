/** Sections of `npm run bench`: what scripts do with keys, and signatures through an agent's socket. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { type GeneratedKind, generateKey } from '../../lib/keys/private-key.ts'
import { encode } from '../../lib/wire/writer.ts'
import { connectAgent } from '../../src/net/agent-socket.ts'
import { fixed, interleave, median, table, timed } from './measure.ts'
import type { Ground } from './peers.ts'

export interface KeyRow {
  readonly what: string
  /** Milliseconds of tssh-keygen and of ssh-keygen. */
  readonly ours: number
  readonly theirs: number
}

const tssh = (command: string): string[] => [process.execPath, join(process.cwd(), `bin/${command}.js`)]
const keygen = { ours: tssh('tssh-keygen'), theirs: ['ssh-keygen'] } as const

/** Commands that scripts call often, of both programs and beside Node alone. */
export async function keys(ground: Ground, quick: boolean): Promise<KeyRow[]> {
  const at = (name: string): string => join(ground.folder, name)
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret', '-f', at('locked')])
  execFileSync('ssh-keygen', ['-q', '-k', '-f', at('krl'), at('id.pub')])
  const commands: Readonly<Record<string, readonly string[]>> = {
    '-l': ['-l', '-f', at('id.pub')],
    '-Q': ['-Q', '-f', at('krl'), at('host.pub')],
    'load an encrypted key': ['-y', '-P', 'secret', '-f', at('locked')],
    ...Object.fromEntries(
      [
        ['ed25519', 256],
        ['ecdsa', 256],
        ['rsa', 3072],
      ].map(([type, bits]) => [
        `generate ${type} ${bits}`,
        ['-q', '-t', String(type), '-b', String(bits), '-N', '', '-f', at('new')],
      ]),
    ),
  }
  const run = async (argv: readonly string[]): Promise<number> => {
    for (const name of ['new', 'new.pub']) rmSync(at(name), { force: true })
    return (await timed(argv)).wall * 1000
  }
  const contestants = new Map([['node -e 0', () => run([process.execPath, '-e', '0'])]])
  for (const [what, args] of Object.entries(commands)) {
    for (const side of ['ours', 'theirs'] as const)
      contestants.set(`${side} ${what}`, () => run([...keygen[side], ...args]))
  }
  const taken = await interleave(contestants, quick ? 3 : 15)
  const middle = (name: string): number => median(taken.get(name) ?? [])
  const node = middle('node -e 0')
  const rows = Object.keys(commands).map(what => ({
    what,
    ours: middle(`ours ${what}`),
    theirs: middle(`theirs ${what}`),
  }))
  const cells = rows.map(({ what, ours, theirs }) => [
    what,
    ...[ours, theirs].map(time => fixed(time, 0)),
    ...[ours / theirs, ours / node].map(ratio => fixed(ratio)),
  ])
  const head = ['tssh-keygen', 'ms', 'ssh-keygen, ms', 'time / ssh-keygen', `time / node -e 0 (${fixed(node, 0)} ms)`]
  console.log(`\n## Keys\n\n${table(head, cells)}`)
  return rows
}

export interface AgentRow {
  readonly kind: GeneratedKind
  readonly connections: number
  /** Signatures a second of tssh-agent and of ssh-agent. */
  readonly ours: number
  readonly theirs: number
}

interface RunningAgent {
  readonly socket: string
  stop(): void
}

function startAgent(folder: string, name: string, command: readonly string[]): RunningAgent {
  const socket = join(folder, name)
  const [program = '', ...args] = [...command, '-s', '-a', socket]
  const output = spawnSync(program, args, { env: { ...process.env, HOME: folder }, encoding: 'utf8' }).stdout
  const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(output)?.[1])
  return { socket, stop: () => process.kill(pid, 'SIGTERM') }
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

/** What both agents sign in a second, over 1 and 8 connections. */
export async function agent(ground: Ground, quick: boolean): Promise<AgentRow[]> {
  mkdirSync(join(ground.folder, '.ssh'), { recursive: true })
  const agents = {
    ours: startAgent(ground.folder, 'tssh-agent', tssh('tssh-agent')),
    theirs: startAgent(ground.folder, 'ssh-agent', ['ssh-agent']),
  }
  const rows: AgentRow[] = []
  try {
    for (const [kind, bits, total] of [
      ['ed25519', undefined, 4000],
      ['rsa', 2048, 500],
    ] as const) {
      const key = generateKey(kind, bits)
      const flags = kind === 'rsa' ? 4 : 0
      const message = encode(w => w.byte(13).string(key.publicKey.blob).string(Buffer.alloc(200, 1)).uint32(flags))
      const request = encode(writer => writer.string(message))
      const sockets = new Map<string, Socket[]>()
      for (const [side, { socket }] of Object.entries(agents)) {
        const { client, close } = await connectAgent(socket)
        await client.add(key, kind)
        close()
        sockets.set(
          side,
          Array.from({ length: 8 }, () => connect(socket)),
        )
      }
      for (const connections of [1, 8]) {
        const rate = (side: string) => async () =>
          total / (await exchange(sockets.get(side)!.slice(0, connections), request, total))
        const taken = await interleave(new Map(Object.keys(agents).map(side => [side, rate(side)])), quick ? 3 : 9)
        const [ours, theirs] = ['ours', 'theirs'].map(side => median(taken.get(side) ?? []))
        rows.push({ kind, connections, ours: ours!, theirs: theirs! })
      }
      for (const socket of [...sockets.values()].flat()) socket.destroy()
    }
  } finally {
    for (const { stop } of Object.values(agents)) stop()
  }
  const cells = rows.map(({ kind, connections, ours, theirs }) => [
    kind,
    String(connections),
    ...[ours, theirs].map(rate => fixed(rate, 0)),
    fixed(ours / theirs),
  ])
  const head = ['key', 'connections', 'tssh-agent', 'ssh-agent', 'rate / ssh-agent']
  console.log(`\n## Signatures a second through the agent's socket\n\n${table(head, cells)}`)
  return rows
}
