import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Algorithms } from '../../lib/algorithms/index.ts'
import { silentLog } from '../../lib/log.ts'
import { ServiceAccept, ServiceRequest } from '../../lib/transport/messages.ts'
import { createTransport } from '../../lib/transport/ssh-transport.ts'
import type { Transport } from '../../lib/transport/transport.ts'
import { encode } from '../../lib/wire/writer.ts'
import { cbc, ctr, curve25519, ed25519Signer, gcm, hmacSha256, hmacSha256Etm } from '../support/local-algorithms.ts'
import { recordingSide, type Side } from '../support/transport-pair.ts'

const sshd = '/usr/sbin/sshd'
const ssh = '/usr/bin/ssh'
const python = '/usr/bin/python3'

function hasParamiko(): boolean {
  try {
    execFileSync(python, ['-c', 'import paramiko'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const suites = [
  [gcm, hmacSha256],
  [ctr, hmacSha256],
  [ctr, hmacSha256Etm],
  [cbc, hmacSha256],
] as const

const algorithmsOf = ([cipher, mac]: (typeof suites)[number]): Algorithms => ({
  kex: [curve25519, { ...curve25519, name: 'curve25519-sha256@libssh.org' }],
  hostKey: ['ssh-ed25519'],
  cipher: [cipher],
  mac: [mac],
  compression: [{ name: 'none', delayed: false }],
})

const userKey = ed25519Signer()
const children: ChildProcess[] = []
let folder = ''

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'transport-interop-'))
})

afterAll(() => {
  for (const child of children) child.kill()
  rmSync(folder, { recursive: true, force: true })
})

function feed(transport: () => Transport, source: NodeJS.ReadableStream): void {
  source.on('data', (chunk: Buffer) => {
    const pause = transport().receive(chunk)
    if (!pause) return
    source.pause()
    void pause.then(() => source.resume())
  })
  source.on('end', () => transport().ended())
  source.on('error', (error: Error) => transport().ended(error))
}

describe.skipIf(!existsSync(sshd))('a client transport and sshd', () => {
  beforeAll(() => {
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'host_key')])
    const config = [
      `HostKey ${join(folder, 'host_key')}`,
      'UsePAM no',
      'Ciphers +aes128-cbc',
      'PidFile none',
      'StrictModes no',
      'PermitRootLogin yes',
      `AuthorizedKeysFile ${join(folder, 'authorized_keys')}`,
      'LogLevel DEBUG1',
    ]
    writeFileSync(join(folder, 'authorized_keys'), `ssh-ed25519 ${userKey.blob.toString('base64')}\n`)
    writeFileSync(join(folder, 'sshd_config'), `${config.join('\n')}\n`)
  })

  /** Publickey authentication (RFC 4252 §7) by hand: sshd takes no new keys before it. */
  async function logIn({ transport, received }: Side): Promise<void> {
    const request = encode(writer =>
      writer.byte(50).text(userInfo().username).text('ssh-connection').text('publickey').boolean(true),
    )
    const key = encode(writer => writer.text('ssh-ed25519').string(userKey.blob))
    const signed = encode(writer => writer.string(transport.sessionId).bytes(request).bytes(key))
    const signature = await userKey.sign(signed, 'ssh-ed25519')
    transport.begin().bytes(request).bytes(key).string(signature)
    transport.commit()
    await expect.poll(() => received.map(({ number }) => number), { timeout: 5000 }).toContain(52)
  }

  /** Our client on the standard input and output of an sshd for one connection. */
  function connect(algorithms: Algorithms) {
    const child = spawn(sshd, ['-i', '-e', '-f', join(folder, 'sshd_config')], { stdio: ['pipe', 'pipe', 'pipe'] })
    children.push(child)
    const lines: string[] = []
    const errors: string[] = []
    child.stderr.on('data', (chunk: Buffer) => errors.push(chunk.toString()))
    const { side, handlers } = recordingSide(
      chunks => {
        child.stdin.write(Buffer.concat(chunks))
        return true
      },
      {
        authentication(number, payload) {
          side.received.push({ number, payload })
          if (number === 52) side.transport.authenticated()
        },
      },
    )
    child.stdin.on('error', () => undefined)
    side.transport = createTransport({
      role: 'client',
      algorithms,
      softwareVersion: 'tssh_test',
      verifyHostKey: () => undefined,
      log: { ...silentLog, debug1: line => lines.push(line) },
      handlers,
    })
    feed(() => side.transport, child.stdout)
    return { side, child, lines, errors }
  }

  for (const suite of suites) {
    it(`exchange keys twice with ${suite[0].name} and ${suite[1].name}`, async () => {
      const { side, lines, errors, child } = connect(algorithmsOf(suite))
      await Promise.race([side.opened, side.closed])
      expect(side.error, errors.join('')).toBeUndefined()
      const { transport } = side
      expect(transport.negotiated.clientToServer.cipher).toBe(suite[0].name)
      transport.send(ServiceRequest, { service: 'ssh-userauth' })
      await expect.poll(() => side.received.length, { timeout: 5000 }).toBe(1)
      expect(ServiceAccept.read(side.received[0]!.payload).service).toBe('ssh-userauth')
      expect(transport.peerExtensions.get('server-sig-algs')?.toString()).toContain('ssh-ed25519')
      expect(lines.some(line => line.startsWith('Remote protocol version 2.0, remote software version OpenSSH'))).toBe(
        true,
      )
      await logIn(side)
      for (const count of [1, 2]) {
        transport.rekey()
        await expect.poll(() => transport.statistics.rekeys, { timeout: 5000 }).toBe(count)
      }
      expect(side.error, errors.join('')).toBeUndefined()
      const exited = new Promise(resolve => child.on('exit', resolve))
      transport.disconnect(11, 'test done')
      await exited
      expect(errors.join('')).toMatch(/Received disconnect from .*11: test done/)
    })
  }
})

/** A server transport on a loopback port for one connection. */
async function listen(algorithms: Algorithms) {
  let socket: Socket | undefined
  const { side, handlers } = recordingSide(chunks => socket!.write(Buffer.concat(chunks)), {
    writable: () => undefined,
  })
  const server = createServer(accepted => {
    socket = accepted
    accepted.on('drain', () => side.transport.outputDrained())
    side.transport = createTransport({
      role: 'server',
      algorithms,
      softwareVersion: 'tssh_test',
      hostKeys: [ed25519Signer()],
      signatureAlgorithms: ['ssh-ed25519'],
      handlers,
    })
    feed(() => side.transport, accepted)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const close = (): void => {
    socket?.destroy()
    server.close()
  }
  return { side, port: (server.address() as AddressInfo).port, close }
}

describe.skipIf(!existsSync(ssh))('a server transport and ssh', () => {
  for (const suite of suites) {
    it(`exchange keys twice with ${suite[0].name} and ${suite[1].name}`, async () => {
      const { side, port, close } = await listen(algorithmsOf(suite))
      const options = [
        'StrictHostKeyChecking=no',
        `UserKnownHostsFile=${join(folder, 'known_hosts')}`,
        'GlobalKnownHostsFile=/dev/null',
        'IdentityFile=none',
        'IdentityAgent=none',
        'BatchMode=yes',
        `Ciphers=${suite[0].name}`,
        `MACs=${suite[1].name}`,
      ]
      const child = spawn(ssh, [
        '-v',
        '-F',
        'none',
        '-p',
        String(port),
        ...options.flatMap(o => ['-o', o]),
        'u@127.0.0.1',
      ])
      children.push(child)
      let log = ''
      child.stderr.on('data', (chunk: Buffer) => {
        log += chunk.toString()
      })
      const exited = new Promise(resolve => child.on('exit', resolve))
      await expect.poll(() => side.received.length, { timeout: 5000 }).toBe(1)
      expect(ServiceRequest.read(side.received[0]!.payload).service).toBe('ssh-userauth')
      const { transport } = side
      transport.send(ServiceAccept, { service: 'ssh-userauth' })
      await expect.poll(() => side.received.length, { timeout: 5000 }).toBe(2)
      transport.begin().byte(52)
      transport.commit()
      transport.authenticated()
      for (const count of [1, 2]) {
        transport.rekey()
        await expect.poll(() => transport.statistics.rekeys, { timeout: 5000 }).toBe(count)
      }
      transport.disconnect(2, 'enough of it')
      await exited
      close()
      expect(log).toContain(`kex: server->client cipher: ${suite[0].name}`)
      expect(log).toContain('kex_input_ext_info: server-sig-algs=<ssh-ed25519>')
      expect(log).toMatch(/Received disconnect from 127\.0\.0\.1 port \d+:2: enough of it/)
    })
  }
})

describe.skipIf(!hasParamiko())('a server transport and paramiko, which knows no strict key exchange', () => {
  for (const suite of suites.slice(1)) {
    it(`exchange keys twice with ${suite[0].name} and ${suite[1].name}`, async () => {
      const { side, port, close } = await listen(algorithmsOf(suite))
      const script = [
        'import paramiko, socket, sys',
        `t = paramiko.Transport(socket.create_connection(("127.0.0.1", ${port})))`,
        `t.get_security_options().ciphers = ("${suite[0].name}",)`,
        `t.get_security_options().digests = ("${suite[1].name}",)`,
        't.start_client(timeout=10)',
        't.renegotiate_keys()',
        't.renegotiate_keys()',
        'try: t.auth_none("u")',
        'except Exception as e: print(e)',
        't.close()',
      ]
      const child = spawn(python, ['-W', 'ignore', '-c', script.join('\n')])
      children.push(child)
      let output = ''
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => {
          output += chunk.toString()
        })
      }
      await expect.poll(() => side.received.length, { timeout: 10_000 }).toBe(1)
      expect(side.transport.negotiated.strict).toBe(false)
      expect(side.transport.statistics.rekeys).toBe(2)
      const exited = new Promise(resolve => child.on('exit', resolve))
      side.transport.disconnect(2, 'enough of it')
      await exited
      close()
      expect(output).not.toContain('Traceback')
    }, 15_000)
  }
})
