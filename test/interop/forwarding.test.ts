import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { freePort } from '../support/sshd.ts'
import { type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** Forwarding through our tsshd, asked for by OpenSSH's ssh. */

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

/** A service that answers once its client has sent everything: half-closes must come through. */
function startService(answer: (received: Buffer) => Buffer, path?: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, socket => {
    const pieces: Buffer[] = []
    socket.on('error', () => {})
    socket.on('data', (piece: Buffer) => pieces.push(piece))
    socket.on('end', () => socket.end(answer(Buffer.concat(pieces))))
  })
  return new Promise(resolve =>
    server.listen(path === undefined ? { port: 0, host: '127.0.0.1' } : { path }, () => resolve(server)),
  )
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** Sends everything, ends its side, and reads to the end. */
function exchange(to: { port: number; host?: string } | { path: string }, data: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ allowHalfOpen: true, host: '127.0.0.1', ...to }, () => socket.end(data))
    const pieces: Buffer[] = []
    socket.on('data', (piece: Buffer) => pieces.push(piece))
    socket.on('end', () => resolve(Buffer.concat(pieces)))
    socket.on('error', reject)
  })
}

async function eventually<T>(what: () => T | Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await what()
    } catch (error) {
      if (tries >= 100) throw error
      await new Promise(resolve => setTimeout(resolve, 50))
    }
  }
}

const canListenOn6 = await new Promise<boolean>(resolve => {
  const probe = createServer().on('error', () => resolve(false))
  probe.listen({ port: 0, host: '::1' }, () => probe.close(() => resolve(true)))
})

describe.skipIf(!haveProgram('ssh'))('forwarding by ssh through tsshd', () => {
  let peer: RunningTsshd
  let service: Server
  let folder: string
  const background: ChildProcess[] = []
  const tidying: (() => void)[] = []
  beforeAll(async () => {
    peer = await startTsshd(['GatewayPorts clientspecified', 'StreamLocalBindUnlink yes'])
    service = await startService(received => Buffer.from(sha256(received)))
    folder = mkdtempSync(join(tmpdir(), 'tssh-forward-'))
  })
  afterEach(async () => {
    for (const child of background.splice(0)) {
      const ended = new Promise(resolve => child.once('exit', resolve))
      if (child.exitCode !== null || child.signalCode !== null) continue
      child.kill('SIGKILL')
      await ended
    }
    peer.authorize('')
  })
  afterAll(async () => {
    service.close()
    await peer.close()
    for (const tidy of tidying) tidy()
    rmSync(folder, { recursive: true, force: true })
  })

  /** ssh with forwardings and no command. What it says on stderr is kept. */
  function forwarding(...args: string[]): { child: ChildProcess; errors: () => string } {
    const child = spawn('ssh', peer.sshArgs('-N', '-o', 'ExitOnForwardFailure=yes', ...args), {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    background.push(child)
    let errors = ''
    child.stderr?.on('data', (data: Buffer) => {
      errors += data.toString()
    })
    return { child, errors: () => errors }
  }

  /** Tries to tidy up, at the end. */
  const afterwards = (tidy: () => void): void => {
    tidying.push(() => {
      try {
        tidy()
      } catch {
        // Somebody else has files there.
      }
    })
  }

  const data = randomBytes(5 * 1024 * 1024)

  it('carries -L with half-closes, megabytes and several at once', async () => {
    const port = await freePort()
    forwarding('-L', `${port}:127.0.0.1:${portOf(service)}`)
    expect((await eventually(() => exchange({ port }, data))).toString()).toBe(sha256(data))
    const many = await Promise.all(Array.from({ length: 20 }, (_, i) => exchange({ port }, Buffer.from(`${i}`))))
    expect(many.map(String)).toEqual(many.map((_, i) => sha256(Buffer.from(`${i}`))))
  })

  it('carries -W and -D', async () => {
    const { stdout, status } = await peer.ssh('-W', `127.0.0.1:${portOf(service)}`)
    expect(status).toBe(0)
    expect(stdout.toString()).toBe(sha256(Buffer.alloc(0)))
    const port = await freePort()
    forwarding('-D', String(port))
    // SOCKS5 without authentication, then CONNECT to an IPv4 address.
    const answer = await eventually(
      () =>
        new Promise<Buffer>((resolve, reject) => {
          const target = Buffer.from([5, 1, 0, 1, 127, 0, 0, 1, portOf(service) >> 8, portOf(service) & 255])
          const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () =>
            socket.write(Buffer.from([5, 1, 0])),
          )
          const pieces: Buffer[] = []
          // Two bytes answer the greeting and ten the request: the end of our side comes after both.
          let step: 'greeting' | 'request' | 'data' = 'greeting'
          socket.on('data', (piece: Buffer) => {
            pieces.push(piece)
            const length = pieces.reduce((sum, each) => sum + each.length, 0)
            if (step === 'greeting' && length >= 2) {
              step = 'request'
              socket.write(target)
            } else if (step === 'request' && length >= 12) {
              step = 'data'
              socket.end('socks')
            }
          })
          socket.on('end', () => resolve(Buffer.concat(pieces)))
          socket.on('error', reject)
        }),
    )
    expect(answer.subarray(-64).toString()).toBe(sha256(Buffer.from('socks')))
  })

  it('says why a connection could not be made', async () => {
    const closed = await freePort()
    const ran = await peer.ssh('-W', `127.0.0.1:${closed}`)
    expect(ran.status).not.toBe(0)
    expect(ran.stderr).toContain('open failed: connect failed: Connection refused')
    const unknown = await peer.ssh('-W', 'no-such-host.invalid:22')
    expect(unknown.stderr).toContain('open failed: connect failed')
  })

  it('carries -R, on a port of its choice and one of ours', async () => {
    const port = await freePort()
    const { errors } = forwarding(
      '-v',
      '-R',
      `${port}:127.0.0.1:${portOf(service)}`,
      '-R',
      `0:127.0.0.1:${portOf(service)}`,
    )
    expect((await eventually(() => exchange({ port }, data))).toString()).toBe(sha256(data))
    if (canListenOn6) {
      expect((await exchange({ port, host: '::1' }, Buffer.from('six'))).toString()).toBe(sha256(Buffer.from('six')))
    }
    const chosen = Number(await eventually(() => /Allocated port (\d+)/.exec(errors())![1]))
    expect((await exchange({ port: chosen }, Buffer.from('x'))).toString()).toBe(sha256(Buffer.from('x')))
  })

  it('closes the listeners of -R with the connection, and on request', async () => {
    const port = await freePort()
    const { child } = forwarding('-R', `${port}:127.0.0.1:${portOf(service)}`)
    await eventually(() => exchange({ port }, Buffer.from('x')))
    child.kill('SIGKILL')
    await eventually(() => expect(exchange({ port }, Buffer.from('x'))).rejects.toThrow('ECONNREFUSED'))

    const control = join(folder, 'control')
    forwarding('-M', '-S', control, '-R', `${port}:127.0.0.1:${portOf(service)}`)
    await eventually(() => exchange({ port }, Buffer.from('x')))
    const cancelled = spawn(
      'ssh',
      peer.sshArgs('-S', control, '-O', 'cancel', '-R', `${port}:127.0.0.1:${portOf(service)}`),
    )
    expect(await new Promise(resolve => cancelled.on('exit', resolve))).toBe(0)
    await eventually(() => expect(exchange({ port }, Buffer.from('x'))).rejects.toThrow('ECONNREFUSED'))
  })

  it('carries sockets of both directions, and makes them with the mask that is configured', async () => {
    const target = join(folder, 'target')
    const unixService = await startService(received => Buffer.from(sha256(received)), target)
    const [here, there] = [join(folder, 'here'), join(folder, 'there')]
    const { child } = forwarding('-L', `${here}:${target}`, '-R', `${there}:${target}`)
    expect((await eventually(() => exchange({ path: here }, data))).toString()).toBe(sha256(data))
    expect((await eventually(() => exchange({ path: there }, data))).toString()).toBe(sha256(data))
    expect(statSync(there).mode & 0o777).toBe(0o600)
    child.kill('SIGKILL')
    await eventually(() => expect(existsSync(there)).toBe(false))
    unixService.close()
  })

  it('stops a sender whose receiver does not read', { timeout: 60_000 }, async () => {
    const sockets: Socket[] = []
    const lazy = createServer(socket => {
      socket.pause()
      socket.on('error', () => {})
      sockets.push(socket)
    })
    await new Promise<void>(resolve => lazy.listen({ port: 0, host: '127.0.0.1' }, () => resolve()))
    const port = await freePort()
    forwarding('-L', `${port}:127.0.0.1:${portOf(lazy)}`)
    const socket = await eventually(
      () =>
        new Promise<Socket>((resolve, reject) => {
          const made = connect({ port, host: '127.0.0.1' }, () => resolve(made)).on('error', reject)
        }),
    )
    let accepted = 0
    const piece = Buffer.alloc(1024 * 1024)
    const pump = (): void => {
      socket.write(piece, error => {
        if (error) return
        accepted += piece.length
        pump()
      })
    }
    pump()
    // It stops somewhere, and far below what would be sent in this time.
    let before = -1
    await eventually(async () => {
      await new Promise(resolve => setTimeout(resolve, 500))
      const moved = accepted !== before
      before = accepted
      if (moved) throw new Error('still moving')
    })
    expect(accepted).toBeLessThan(64 * 1024 * 1024)
    socket.destroy()
    for (const each of sockets) each.destroy()
    lazy.close()
  })

  it('stops a service whose client does not read', { timeout: 60_000 }, async () => {
    let sent = 0
    const endless = createServer(socket => {
      const piece = Buffer.alloc(1024 * 1024)
      const pump = (error?: Error | null): void => {
        if (error) return
        sent += piece.length
        socket.write(piece, pump)
      }
      socket.on('error', () => {})
      pump()
    })
    await new Promise<void>(resolve => endless.listen({ port: 0, host: '127.0.0.1' }, () => resolve()))
    const port = await freePort()
    forwarding('-L', `${port}:127.0.0.1:${portOf(endless)}`)
    const socket = await eventually(
      () =>
        new Promise<Socket>((resolve, reject) => {
          const made = connect({ port, host: '127.0.0.1' }, () => resolve(made)).on('error', reject)
        }),
    )
    socket.pause()
    let before = -1
    await eventually(async () => {
      await new Promise(resolve => setTimeout(resolve, 500))
      const moved = sent !== before || sent === 0
      before = sent
      if (moved) throw new Error('still moving')
    })
    expect(sent).toBeLessThan(64 * 1024 * 1024)
    socket.destroy()
    endless.close()
  })

  it.skipIf(!haveProgram('ssh-agent') || !haveProgram('ssh-add'))('forwards the agent, to the user alone', async () => {
    const agentPath = join(folder, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', agentPath], { stdio: 'ignore' })
    background.push(agent)
    await eventually(() => statSync(agentPath))
    const environment = { SSH_AUTH_SOCK: agentPath }
    const add = spawn('ssh-add', ['-q', peer.identity], { env: { ...process.env, ...environment }, stdio: 'ignore' })
    expect(await new Promise(resolve => add.on('exit', resolve))).toBe(0)
    const run = (...args: string[]) =>
      new Promise<string>(resolve => {
        const options = peer.sshArgs(...args).map(arg => arg.replace('Agent=none', `Agent=${agentPath}`))
        const child = spawn('ssh', [
          ...options,
          'echo "sock=$SSH_AUTH_SOCK"; stat -c %a "$SSH_AUTH_SOCK" "$(dirname "$SSH_AUTH_SOCK")"; ssh-add -l',
        ])
        let output = ''
        child.stdout.on('data', (piece: Buffer) => {
          output += piece.toString()
        })
        child.on('close', () => resolve(output))
      })
    const forwarded = await run('-A')
    expect(forwarded).toMatch(/sock=\/.*\n600\n700\n256 SHA256:\S+ test key/)
    const socketPath = /sock=(\S+)/.exec(forwarded)![1]!
    await eventually(() => expect(existsSync(socketPath)).toBe(false))
    // Of the real home, which is left as it was.
    afterwards(() => rmdirSync(dirname(socketPath)))
    expect(await run('-a')).toContain('sock=\n')
    peer.authorize('no-agent-forwarding')
    expect(await run('-A')).toContain('sock=\n')
    peer.authorize('restrict')
    expect(await run('-A')).toContain('sock=\n')
  })

  describe('options of authorized_keys', () => {
    /** Whether these keys' options let ssh reach the service by -W. */
    const reaches = async (options: string, host = '127.0.0.1'): Promise<boolean> => {
      peer.authorize(options)
      const { stdout, stderr } = await peer.ssh('-W', `${host}:${portOf(service)}`)
      if (stdout.length === 0) expect(stderr).toContain('administratively prohibited')
      return stdout.toString() === sha256(Buffer.alloc(0))
    }
    const listens = async (options: string, binding: string): Promise<boolean> => {
      peer.authorize(options)
      const { status } = await peer.ssh('-o', 'ExitOnForwardFailure=yes', '-R', `${binding}:127.0.0.1:1`, 'true')
      return status === 0
    }

    it('permitopen and no-port-forwarding restrict what may be reached', async () => {
      const port = portOf(service)
      expect(await reaches('')).toBe(true)
      expect(await reaches(`permitopen="127.0.0.1:${port}"`)).toBe(true)
      expect(await reaches('permitopen="127.0.0.1:*"')).toBe(true)
      expect(await reaches(`permitopen="*:${port}"`)).toBe(true)
      expect(await reaches(`permitopen="localhost:${port}"`)).toBe(false)
      expect(await reaches('permitopen="127.0.0.1:1",permitopen="127.0.0.1:2"')).toBe(false)
      expect(await reaches('no-port-forwarding')).toBe(false)
      expect(await reaches('restrict')).toBe(false)
      expect(await reaches('restrict,port-forwarding')).toBe(true)
    })

    it('permitlisten and no-port-forwarding restrict what may be listened on', async () => {
      const port = await freePort()
      expect(await listens('', `${port}`)).toBe(true)
      expect(await listens(`permitlisten="${port}"`, `${port}`)).toBe(true)
      expect(await listens(`permitlisten="localhost:${port}"`, `${port}`)).toBe(true)
      expect(await listens(`permitlisten="localhost:${port}"`, `127.0.0.1:${port}`)).toBe(false)
      expect(await listens('permitlisten="1"', `${port}`)).toBe(false)
      expect(await listens('no-port-forwarding', `${port}`)).toBe(false)
      expect(await listens('restrict', `${port}`)).toBe(false)
    })

    it('permitopen keeps sockets out too', async () => {
      const path = join(folder, 'only')
      const unixService = await startService(() => Buffer.from('reached'), path)
      const get = async (options: string): Promise<string> => {
        peer.authorize(options)
        const here = join(folder, `socket${Math.random()}`)
        const { child } = forwarding('-L', `${here}:${path}`)
        const answer = await eventually(() => {
          statSync(here)
          return exchange({ path: here }, Buffer.from('x')).catch(() => '')
        })
        child.kill()
        return answer.toString()
      }
      expect(await get('')).toBe('reached')
      expect(await get('permitopen="localhost:1"')).toBe('')
      expect(await get('no-port-forwarding')).toBe('')
      unixService.close()
    })
  })
})

it.skipIf(!haveProgram('ssh'))('ssh hears of the other host keys, and has them proved', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-rotation-'))
  const second = generateKey('ecdsa', 256)
  writeFileSync(join(folder, 'second'), formatOpensshV1(second), { mode: 0o600 })
  const peer = await startTsshd([`HostKey ${join(folder, 'second')}`])
  try {
    const known = ['-o', 'UpdateHostKeys=yes', '-o', 'HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256']
    const ran = await runProgram('ssh', [...peer.sshArgs(...known), 'sleep 0.5'])
    expect(ran.status).toBe(0)
    expect(readFileSync(peer.knownHosts, 'utf8')).toContain(formatPublicKeyLine(second.publicKey))
  } finally {
    await peer.close()
    rmSync(folder, { recursive: true, force: true })
  }
})

describe.skipIf(!haveProgram('ssh'))('keywords of sshd_config', () => {
  let service: Server
  beforeAll(async () => {
    service = await startService(() => Buffer.from('reached'))
  })
  afterAll(() => {
    service.close()
  })

  it.each([
    [['AllowTcpForwarding no'], false, false],
    [['AllowTcpForwarding local'], true, false],
    [['AllowTcpForwarding remote'], false, true],
    [['DisableForwarding yes'], false, false],
    [['PermitOpen none', 'PermitListen none'], false, false],
    [['PermitOpen 127.0.0.1:*', 'PermitListen *:*'], true, true],
  ])('%j: opens %s, listens %s', async (config, opens, listens) => {
    const peer = await startTsshd(config)
    try {
      const reached = await peer.ssh('-W', `127.0.0.1:${portOf(service)}`)
      expect(reached.stdout.toString()).toBe(opens ? 'reached' : '')
      const port = await freePort()
      const bound = await peer.ssh('-o', 'ExitOnForwardFailure=yes', '-R', `${port}:127.0.0.1:1`, 'true')
      expect(bound.status).toBe(listens ? 0 : 255)
    } finally {
      await peer.close()
    }
  })

  it.each([
    ['no', '0.0.0.0', ['127.0.0.1']],
    ['yes', '127.0.0.1', ['0.0.0.0']],
    ['clientspecified', '', ['0.0.0.0']],
    ['clientspecified', 'localhost', ['127.0.0.1']],
    ['clientspecified', '127.0.0.2', ['127.0.0.2']],
  ])('GatewayPorts %s: a request for %j listens on %j', async (value, address, expected) => {
    const peer = await startTsshd([`GatewayPorts ${value}`, 'AddressFamily inet'])
    try {
      const port = await freePort()
      const args = ['-o', 'ExitOnForwardFailure=yes', '-R', `${address}:${port}:127.0.0.1:1`]
      const shown = await peer.ssh(...args, `ss -Hltn 'sport = :${port}' || netstat -ltn`)
      expect(
        shown.stdout
          .toString()
          .match(/[\d.]+(?=:\d+ )/g)
          ?.slice(0, 1),
      ).toEqual(expected)
    } finally {
      await peer.close()
    }
  })
})
