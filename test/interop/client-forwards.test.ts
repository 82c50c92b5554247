import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))

const portOf = (server: Server): number => {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}
const listening = (server: Server): Promise<number> =>
  new Promise(resolve => server.listen(0, '127.0.0.1', () => resolve(portOf(server))))

describe.skipIf(!haveProgram('sshd'))('tssh forwards through sshd', () => {
  let peer: RunningSshd
  let echo: Server
  let echoPort: number
  let folder: string
  const running = new Set<ChildProcess>()
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-forwards-'))
    peer = await startSshd()
    echo = createServer(socket => socket.pipe(socket).on('error', () => {}))
    echoPort = await listening(echo)
  })
  afterAll(() => {
    peer.close()
    echo.close()
    rmSync(folder, { recursive: true, force: true })
  })
  afterEach(() => {
    for (const child of running) child.kill()
    running.clear()
  })

  const usual = (): string[] => [
    ...[tssh, '-F', 'none', '-p', String(peer.port), '-i', peer.identity, '-o', 'GlobalKnownHostsFile=none'],
    ...['-o', `UserKnownHostsFile=${peer.knownHosts}`, '-o', 'BatchMode=yes', '-o', 'UpdateHostKeys=no'],
  ]
  /** A connection that only forwards, once its log says this. */
  const start = async (said: RegExp, ...flags: string[]): Promise<string> => {
    const child = spawn(process.execPath, [...usual(), '-v', '-N', ...flags, '127.0.0.1'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    running.add(child)
    return new Promise((resolve, reject) => {
      let text = ''
      child.stderr!.on('data', data => {
        text += data
        if (said.test(text)) resolve(text)
      })
      child.on('exit', () => reject(new Error(text)))
    })
  }
  /** What comes back of what is sent. */
  const roundTrip = (to: { port: number } | { path: string }, text: string, before?: Buffer): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket: Socket = 'port' in to ? connect(to.port, '127.0.0.1') : connect(to.path)
      const chunks: Buffer[] = []
      if (before) socket.write(before)
      socket.end(text)
      socket.on('data', chunk => chunks.push(chunk))
      socket.on('end', () => resolve(Buffer.concat(chunks).toString('latin1')))
      socket.on('error', reject)
    })
  const freePort = async (): Promise<number> => {
    const server = createServer()
    const port = await listening(server)
    await new Promise(resolve => server.close(resolve))
    return port
  }
  const eventually = async (to: { port: number } | { path: string }): Promise<void> => {
    for (let tries = 0; tries < 100; tries++) {
      const answered = await roundTrip(to, 'x').catch(() => '')
      if (answered === 'x') return
      await new Promise(resolve => setTimeout(resolve, 50))
    }
    throw new Error('nobody listens')
  }

  test('-L: a port and a socket here lead there', async () => {
    const port = await freePort()
    const path = join(folder, 'local')
    await start(/Local connections to/, '-L', `${port}:127.0.0.1:${echoPort}`, '-L', `${path}:127.0.0.1:${echoPort}`)
    await eventually({ port })
    await eventually({ path })
    const long = 'forwarded '.repeat(200_000)
    expect(await roundTrip({ port }, long)).toBe(long)
  })

  test('-R: a port there leads here, also one that the server chooses', async () => {
    const port = await freePort()
    const text = await start(
      /Allocated port \d+ for remote forward/,
      '-R',
      `${port}:127.0.0.1:${echoPort}`,
      '-R',
      `0:127.0.0.1:${echoPort}`,
    )
    await eventually({ port })
    const allocated = Number(/Allocated port (\d+)/.exec(text)?.[1])
    expect(await roundTrip({ port: allocated }, 'back')).toBe('back')
  })

  const socks5 = (host: string, port: number): Buffer =>
    Buffer.concat([
      Buffer.from([5, 1, 0, 5, 1, 0, 3, host.length]),
      Buffer.from(host),
      Buffer.from([port >> 8, port & 255]),
    ])
  const granted5 = '\x05\x00\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00'

  test('-D: SOCKS 4 and 5 clients say where to', async () => {
    const port = await freePort()
    await start(/Local connections to/, '-D', String(port))
    let answer = ''
    for (let tries = 0; tries < 100 && answer === ''; tries++) {
      answer = await roundTrip({ port }, 'hello', socks5('127.0.0.1', echoPort)).catch(() => '')
      if (answer === '') await new Promise(resolve => setTimeout(resolve, 50))
    }
    expect(answer).toBe(`${granted5}hello`)
    const socks4 = Buffer.from([4, 1, echoPort >> 8, echoPort & 255, 127, 0, 0, 1, 0])
    expect(await roundTrip({ port }, 'four', socks4)).toBe('\x00\x5a\x00\x00\x00\x00\x00\x00four')
    const closed = await freePort()
    expect(await roundTrip({ port }, '', socks5('127.0.0.1', closed))).toMatch(/^\x05\x00\x05[^\x00]/)
    await roundTrip({ port }, 'GET / HTTP/1.0\r\n\r\n').catch(() => '')
    expect(await roundTrip({ port }, 'still', socks5('127.0.0.1', echoPort))).toBe(`${granted5}still`)
  })

  test('-R without a target: SOCKS for the other side, where PermitRemoteOpen lets it', async () => {
    const port = await freePort()
    await start(/remote forward success/, '-R', String(port), '-o', `PermitRemoteOpen=127.0.0.1:${echoPort}`)
    expect(await roundTrip({ port }, 'there', socks5('127.0.0.1', echoPort))).toBe(`${granted5}there`)
    expect(await roundTrip({ port }, '', socks5('127.0.0.1', peer.port))).toMatch(/^\x05\x00\x05[^\x00]/)
  })

  test('ExitOnForwardFailure, and a warning without it', async () => {
    const flags = ['-L', `${echoPort}:127.0.0.1:1`]
    const go = (...more: string[]) => runProgram(process.execPath, [...usual(), ...more, '127.0.0.1', 'echo works'])
    const warned = await go(...flags)
    expect(warned.stdout.toString()).toBe('works\n')
    expect(warned.stderr).toContain(`bind [127.0.0.1]:${echoPort}: Address already in use`)
    const refused = await go('-o', 'ExitOnForwardFailure=yes', '-L', `127.0.0.1:${echoPort}:127.0.0.1:1`)
    expect(refused.status).toBe(255)
    expect(refused.stderr).toContain('Could not request local forwarding.')
    const remote = await go('-o', 'ExitOnForwardFailure=yes', '-R', `127.0.0.1:${peer.port}:127.0.0.1:1`)
    expect(remote.status).toBe(255)
    expect(remote.stderr).toContain(`remote port forwarding failed for listen port ${peer.port}`)
  })

  test.skipIf(!haveProgram('ssh-agent'))('-A: the agent can be used there, and not without it', async () => {
    const socket = join(folder, 'agent')
    const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(execFileSync('ssh-agent', ['-a', socket], { encoding: 'utf8' }))?.[1])
    try {
      const env = { SSH_AUTH_SOCK: socket }
      execFileSync('ssh-add', ['-q', peer.identity], { env: { ...process.env, ...env }, stdio: 'ignore' })
      const go = (...more: string[]) =>
        runProgram(
          process.execPath,
          [...usual(), ...more, '127.0.0.1', 'ssh-add -l; printenv SSH_AUTH_SOCK || echo none'],
          {
            env,
          },
        )
      const forwarded = await go('-A')
      expect(forwarded.stdout.toString()).toMatch(/ED25519[\s\S]*agent/)
      expect((await go()).stdout.toString()).toBe('none\n')
    } finally {
      process.kill(pid)
    }
  })
})
