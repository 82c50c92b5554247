import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Connection } from '../../lib/connection/connection.ts'
import { openSession } from '../../lib/connection/types/session.ts'
import { ChannelOpenError } from '../../lib/errors.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import type { SshClient } from '../../src/index.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { loginTo, type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** Sessions of tsshd as a process, asked for what ssh never asks for. */

let server: RunningTsshd
let client: SshClient
beforeAll(async () => {
  server = await startTsshd(['MaxSessions 3', 'AcceptEnv *'])
  client = await loginTo(server)
})
afterAll(async () => {
  await client?.close()
  await server?.close()
})

const text = async (command: string, options = {}): Promise<string> =>
  (await client.run(command, options)).stdout.toString()
const alive = async (): Promise<void> => expect(await text('echo alive')).toBe('alive\n')

test('MaxSessions bounds them, and one that ended or was refused makes room', async () => {
  const held = await Promise.all([1, 2, 3].map(() => client.start({ command: 'cat' })))
  for (let tries = 0; tries < 20; tries++) {
    await expect(client.start({ command: 'cat' })).rejects.toBeInstanceOf(ChannelOpenError)
  }
  for (const process of held) {
    process.stdin.end()
    process.stdout.resume()
    process.stderr.resume()
    expect(await process.exit).toMatchObject({ status: 0 })
  }
  await alive()
})

test('MaxSessions of a Match block for the user counts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-sessions-'))
  let other: RunningTsshd | undefined
  let its: SshClient | undefined
  try {
    // A block of an included file ends with it.
    writeFileSync(join(folder, 'match'), `Match User ${server.user}\n MaxSessions 1\n`)
    other = await startTsshd(['MaxSessions 5', `Include ${join(folder, 'match')}`])
    its = await loginTo(other, server.user)
    const held = await its.start({ command: 'cat' })
    await expect(its.start({ command: 'cat' })).rejects.toBeInstanceOf(ChannelOpenError)
    held.stdin.end()
    held.stdout.resume()
    held.stderr.resume()
    expect(await held.exit).toMatchObject({ status: 0 })
  } finally {
    await its?.close()
    await other?.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('RekeyLimit, MaxAuthTries and ChannelTimeout of a Match block for the user count', {
  timeout: 120_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-sessions-'))
  let other: RunningTsshd | undefined
  try {
    const limits = ['RekeyLimit 100K', 'MaxAuthTries 2', 'ChannelTimeout session:command=3']
    writeFileSync(join(folder, 'match'), [`Match User ${server.user}`, ...limits, ''].join('\n'))
    other = await startTsshd([`Include ${join(folder, 'match')}`])
    const { identity } = other
    const ssh = (command: string, keys = [identity]): Promise<Ran> => {
      const flags = other!.sshArgs('-v').flatMap(flag => (flag === identity ? keys.join(' -i ').split(' ') : [flag]))
      return runProgram('ssh', [...flags, command], { timeout: 50_000 })
    }
    // Then nothing comes, until the channel is closed.
    const ran = await ssh('head -c 1000000 /dev/zero; sleep 45; echo late')
    expect(ran.stdout.length).toBe(1_000_000)
    expect(other.log()).toContain('(session:command) timed out after 3 seconds')
    expect(ran.stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length).toBeGreaterThan(3)
    const wrong = ['one', 'two', 'three'].map(name => {
      const file = join(folder, name)
      writeFileSync(file, formatOpensshV1(generateKey('ed25519')), { mode: 0o600 })
      return file
    })
    // The right key comes last.
    expect((await ssh('echo in', [...wrong, identity])).stderr).toContain('Too many authentication failures')
  } finally {
    await other?.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

test('no client sets what changes how programs load, whatever AcceptEnv says', async () => {
  const env = [
    ...['LD_PRELOAD', 'LD_LIBRARY_PATH', 'PATH', 'NODE_OPTIONS', 'BASH_ENV', 'ENV', 'IFS', 'SHELL', 'HOME'],
    ...['__proto__', 'constructor', 'FINE'],
  ].map(name => [name, '/evil'] as const)
  const seen = (await text('env', { env })).split('\n').filter(line => line.endsWith('=/evil'))
  expect(new Set(seen)).toEqual(new Set(['__proto__=/evil', 'constructor=/evil', 'FINE=/evil']))
})

test.each([
  ['a command with a NUL', { command: 'echo a\0b' }],
  ['a command longer than the system takes', { command: `echo ${'x'.repeat(200_000)}` }],
  ['a subsystem of a strange name', { subsystem: '__proto__' }],
  ['a subsystem with a NUL', { subsystem: 'sftp\0' }],
  ['a variable with a NUL', { command: 'true', env: [['A', 'b\0c']] as const }],
  ['a variable with an equals sign in its name', { command: 'true', env: [['A=B', 'c']] as const }],
  ['a terminal of a strange type', { command: 'true', pty: { term: '\0\u001b[2J../x' } }],
  ['a terminal too large', { command: 'true', pty: { term: 'x', columns: 0xffffffff, rows: 0xffffffff } }],
] as const)('%s is run, refused, or the end of its connection, and others go on', async (_what, options) => {
  await using own = await loginTo(server)
  const outcome = await own.start(options as Parameters<SshClient['start']>[0]).then(
    async process => {
      process.stdin.end()
      process.stdout.resume()
      process.stderr.resume()
      return process.exit
    },
    (error: unknown) => error,
  )
  expect(outcome).toBeDefined()
  await alive()
})

test('signals that there are not, and sizes that there cannot be, change nothing', async () => {
  await using own = await loginTo(server)
  const process = await own.start({ command: 'cat', pty: { term: 'dumb' } })
  for (const name of ['NOPE', '__proto__', '', '15', 'SIGTERM']) process.signal(name)
  process.resize(0xffffffff, 0)
  process.stdout.resume()
  process.stderr.resume()
  process.stdin.end('still there\n\u0004')
  expect(await process.exit).toMatchObject({ status: 0 })
  await alive()
})

test('channels that are a server’s to open are refused to a client', async () => {
  const opened = (type: string, write?: (writer: { text(value: string): unknown }) => void) =>
    (client.connection as Connection).openChannel(type, { data() {} }, write ? { write: write as never } : {})
  for (const type of ['x11', 'auth-agent@openssh.com', 'agent-connect', 'forwarded-tcpip', '__proto__', '']) {
    await expect(opened(type)).rejects.toBeInstanceOf(ChannelOpenError)
  }
  await alive()
})

test('names of users that are none reach no shell, no path and no prototype', async () => {
  for (const user of ['__proto__', 'constructor', '../../root', '$(touch /tmp/evil)', 'a;b', 'x'.repeat(200_000)]) {
    await expect(loginTo(server, user)).rejects.toThrow()
  }
  expect(existsSync('/tmp/evil')).toBe(false)
  await alive()
})

test('what a terminal ran ends with its connection', async () => {
  const other = await loginTo(server)
  const file = join(server.folder, 'pid')
  const process_ = await other.start({ command: `echo $$ > ${file}; echo started; sleep 300`, pty: { term: 'dumb' } })
  await new Promise(resolve => process_.stdout.once('data', resolve))
  const pid = Number(readFileSync(file, 'utf8'))
  process_.exit.catch(() => {})
  await other.close()
  const gone = (): boolean => !existsSync(`/proc/${pid}`)
  for (let tries = 0; !gone(); tries++) {
    if (tries > 400) throw new Error(`process ${pid} goes on`)
    await new Promise(resolve => setTimeout(resolve, 25))
  }
})

test('a session that asks for nothing is bounded too, and closing it frees its place', async () => {
  const idle = { data() {} }
  const channels = await Promise.all([1, 2, 3].map(() => openSession(client.connection as Connection, idle)))
  await expect(openSession(client.connection as Connection, idle)).rejects.toBeInstanceOf(ChannelOpenError)
  for (const channel of channels) channel.close()
  for (let tries = 0; tries < 100; tries++) {
    const room = await openSession(client.connection as Connection, idle).catch(() => undefined)
    if (room) {
      room.close()
      break
    }
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  await alive()
})
