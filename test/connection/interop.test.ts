import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allAlgorithms } from '../../lib/algorithms/index.ts'
import { type Client, openClient } from '../../lib/client.ts'
import type { ConnectionOptions } from '../../lib/connection/connection.ts'
import { startProcess } from '../../lib/connection/process.ts'
import { hearHostKeys, requestHostKeyProofs } from '../../lib/connection/requests/hostkeys.ts'
import { requestTcpipForward } from '../../lib/connection/requests/tcpip-forward.ts'
import { directTcpip } from '../../lib/connection/types/direct-tcpip.ts'
import { RequestError } from '../../lib/errors.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { parsePublicKey } from '../../lib/keys/public-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { RecordingSink } from '../support/channels.ts'
import { findProgram } from '../support/programs.ts'

const sshd = findProgram('sshd')
const userKey = keySigner(generateKey('ed25519'))
const user = userInfo().username
const children: ChildProcess[] = []
let folder = ''

async function read(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe.skipIf(!sshd)('our channels and sshd', () => {
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-channels-'))
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
    for (const type of ['ed25519', 'rsa', 'ecdsa']) {
      execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', join(folder, type)])
    }
    writeFileSync(join(folder, 'keys'), `ssh-ed25519 ${userKey.blob.toString('base64')}\n`)
    writeFileSync(
      join(folder, 'config'),
      [
        ...['ed25519', 'rsa', 'ecdsa'].map(type => `HostKey ${join(folder, type)}`),
        `AuthorizedKeysFile ${join(folder, 'keys')}`,
        'UsePAM no',
        'PidFile none',
        'StrictModes no',
        'PermitRootLogin yes',
        'AcceptEnv TSSH_*',
        'Subsystem shout tr a-z A-Z',
        // Else bash runs the start-up file of whoever runs the tests.
        'SetEnv SHLVL=1',
        '',
      ].join('\n'),
    )
  })

  afterAll(() => {
    for (const child of children) child.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  /** Our client on the standard input and output of an sshd for one connection. */
  async function connect(connection: ConnectionOptions = {}): Promise<Client> {
    const child = spawn(sshd!, ['-i', '-f', join(folder, 'config')], { stdio: ['pipe', 'pipe', 'ignore'] })
    children.push(child)
    const client = openClient({
      transport: { algorithms: allAlgorithms, softwareVersion: 'tssh_0', verifyHostKey() {} },
      credentials: { user, methods: ['publickey'], signers: () => [userKey] },
      connection,
      output(chunks) {
        return child.stdin.write(Buffer.concat(chunks))
      },
    })
    child.stdin.on('error', () => {})
    child.stdin.on('drain', () => client.outputDrained())
    child.stdout.on('data', (chunk: Buffer) => {
      const pause = client.receive(chunk)
      if (!pause) return
      child.stdout.pause()
      void pause.then(() => child.stdout.resume())
    })
    child.stdout.on('end', () => client.ended())
    await client.authentication
    return client
  }

  it('run commands, with environment, error output and every way to end', async () => {
    const { connection, transport } = await connect()
    const env = [
      ['TSSH_GREETING', 'hello'],
      ['NOT_ACCEPTED', 'x'],
    ] as const
    const command = 'echo "$TSSH_GREETING$NOT_ACCEPTED"; echo err >&2; exit 9'
    const first = await startProcess(connection, { command, env })
    expect((await Promise.all([read(first.stdout), read(first.stderr)])).map(String)).toEqual(['hello\n', 'err\n'])
    expect(await first.exit).toEqual({ status: 9 })

    const killed = await startProcess(connection, { command: 'kill -TERM $$' })
    expect(await killed.exit).toMatchObject({ signal: { name: 'TERM', coreDumped: false } })

    // sshd delivers no signals for root, whose session is its monitor; there, closing ends the program's input.
    const signalled = await startProcess(connection, { command: 'exec cat' })
    signalled.signal('KILL')
    if (process.getuid?.() === 0) signalled.close()
    expect((await signalled.exit).status).toBeUndefined()

    const shout = await startProcess(connection, { subsystem: 'shout' })
    shout.stdin.end('subsystem')
    expect((await read(shout.stdout)).toString()).toBe('SUBSYSTEM')
    await expect(startProcess(connection, { subsystem: 'unknown' })).rejects.toThrow(RequestError)
    transport.disconnect(11, 'done')
  })

  it('run a terminal that knows its size and modes', async () => {
    const { connection, transport } = await connect()
    // ECHO off (53), interrupt character ^X (1).
    const modes = new Map([
      [53, 0],
      [1, 24],
    ])
    const pty = { term: 'vt220', columns: 91, rows: 37, modes }
    const terminal = await startProcess(connection, {
      command: 'stty size; stty -a; echo $TERM; read x; stty size',
      pty,
    })
    let output = ''
    terminal.stdout.on('data', (chunk: Buffer) => {
      output += chunk
    })
    await expect.poll(() => output, { timeout: 5000 }).toContain('vt220')
    terminal.resize(40, 10)
    terminal.stdin.write('\n')
    expect(await terminal.exit).toEqual({ status: 0 })
    expect(output).toMatch(/^37 91\r\n/)
    expect(output).toMatch(/intr = \^X/)
    expect(output).toMatch(/ -echo /)
    expect(output).toMatch(/10 40\r\n$/)
    expect(terminal.refused.size).toBe(0)
    transport.disconnect(11, 'done')
  })

  it('carry bulk data through windows that grow', async () => {
    const { connection, transport } = await connect()
    const total = 48 * 1024 * 1024
    const cat = await startProcess(connection, { command: `head -c ${total} /dev/zero | tee /dev/stderr` })
    const [plain, error] = await Promise.all([read(cat.stdout), read(cat.stderr)])
    expect([plain.length, error.length]).toEqual([total, total])
    expect(await cat.exit).toEqual({ status: 0 })
    transport.disconnect(11, 'done')
  })

  it('hear of the other host keys, and have them proven', async () => {
    let hear: (blobs: Buffer[]) => void
    const heard = new Promise<Buffer[]>(resolve => {
      hear = resolve
    })
    const { connection, transport } = await connect({
      globalRequests: new Map([['hostkeys-00@openssh.com', hearHostKeys(blobs => hear(blobs))]]),
    })
    const keys = (await heard).map(blob => parsePublicKey(blob))
    expect(keys.map(key => key.type).sort()).toEqual(['ecdsa-sha2-nistp256', 'ssh-ed25519', 'ssh-rsa'])
    await requestHostKeyProofs(connection, keys)
    transport.disconnect(11, 'done')
  })

  it('forward connections both ways, and tell when they cannot', async () => {
    const { connection, transport } = await connect({
      channelTypes: new Map([['forwarded-tcpip', opening => void opening.accept(new RecordingSink())]]),
    })
    const port = await requestTcpipForward(connection, { address: 'localhost', port: 0 })
    expect(port).toBeGreaterThan(0)
    // Through sshd to the port where it listens for us, and so back to our own acceptor.
    const target = { host: '127.0.0.1', port, originatorAddress: '127.0.0.1', originatorPort: 1 }
    const sink = new RecordingSink()
    const channel = await directTcpip.open(connection, target, sink)
    await expect.poll(() => connection.channels.size).toBe(2)
    const other = [...connection.channels.values()].find(each => each !== channel)!
    other.write(Buffer.from('round trip'))
    other.eof()
    await expect.poll(() => sink.events).toContain('eof')
    expect(sink.received.toString()).toBe('round trip')
    channel.close()
    await expect.poll(() => sink.events).toContain('closed')
    await expect(directTcpip.open(connection, { ...target, port: 1 }, new RecordingSink())).rejects.toMatchObject({
      code: 'refused',
      reason: 2,
    })
    transport.disconnect(11, 'done')
  })
})
