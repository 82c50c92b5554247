import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defaultAlgorithms } from '../../lib/algorithms/index.ts'
import { ChannelOpen } from '../../lib/connection/messages.ts'
import { DisconnectError, type SshError } from '../../lib/errors.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { ServiceRequest } from '../../lib/transport/messages.ts'
import { createTransport } from '../../lib/transport/ssh-transport.ts'
import type { Transport } from '../../lib/transport/transport.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { findProgram, haveProgram } from '../support/programs.ts'
import { freePort, readPid } from '../support/root-tsshd.ts'

const tsshd = fileURLToPath(new URL('../../bin/tsshd.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'tssh-tsshd-command-'))
const path = (name: string): string => join(folder, name)
const user = userInfo().username
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let port = 0
const config = (...lines: string[]): string => {
  const file = path(`config-${Math.random().toString(36).slice(2)}`)
  const rest = [
    'ListenAddress 127.0.0.1',
    `HostKey ${path('host_key')}`,
    `AuthorizedKeysFile ${path('authorized_keys')}`,
    'StrictModes no',
    'PermitRootLogin yes',
    'PerSourcePenalties no',
    'PidFile none',
    // Else shells run the start-up files of whoever runs the tests.
    `SetEnv HOME=${folder}`,
  ]
  writeFileSync(file, `${[...lines, ...rest].join('\n')}\n`)
  return file
}
const run = (...args: string[]): Promise<Ran> => runProgram(process.execPath, [tsshd, ...args])
const ssh = (at: number, ...command: string[]): Promise<Ran> =>
  runProgram('ssh', [
    ...['-F', 'none', '-p', String(at), '-i', path('id')],
    ...[
      'BatchMode=yes',
      `UserKnownHostsFile=${path('known_hosts')}`,
      'StrictHostKeyChecking=no',
      'IdentityAgent=none',
      'LogLevel=ERROR',
    ].flatMap(option => ['-o', option]),
    `${user}@127.0.0.1`,
    ...command,
  ])

beforeAll(async () => {
  port = await freePort()
  writeFileSync(path('host_key'), formatOpensshV1(generateKey('ed25519')), { mode: 0o600 })
  const key = generateKey('ed25519')
  writeFileSync(path('id'), formatOpensshV1(key), { mode: 0o600 })
  writeFileSync(path('authorized_keys'), `${formatPublicKeyLine(key.publicKey)}\n`)
})

/** A server in the foreground whose stderr is kept. */
async function foreground(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [tsshd, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...env },
  })
  let log = ''
  child.stderr.on('data', (data: Buffer) => {
    log += data.toString()
  })
  const ended = new Promise<number | null>(resolve => child.once('exit', resolve))
  const logged = async (pattern: RegExp): Promise<void> => {
    for (let tries = 0; !pattern.test(log); tries++) {
      if (tries > 400) throw new Error(`not logged: ${pattern}\n${log}`)
      await new Promise(resolve => setTimeout(resolve, 25))
    }
  }
  return { child, ended, logged, log: () => log }
}

describe('--lint', () => {
  const lintFolder = (name: string, text: string): string => {
    writeFileSync(path(name), text)
    return path(name)
  }

  test('prints findings with their places, of included files too, and its status is for CI', async () => {
    const extra = lintFolder('extra.conf', 'PermitEmptyPasswords yes\n')
    const bad = lintFolder('bad', `Include ${path('extra.c*')}\nPrt 22\nPermitEmptyPasswords no\n`)
    const { status, stdout, stderr } = await run('--lint', '-f', bad)
    expect({ status, stderr }).toEqual({ status: 1, stderr: '' })
    expect(stdout.toString()).toMatch(
      new RegExp(
        `^${bad}:2: error: there is no keyword Prt .unknown.; did you mean Port\\?\\n` +
          `${bad}:3: warning: ${extra}:1 sets PermitEmptyPasswords already.*\\n${extra}:1: error: .*\\n$`,
      ),
    )
    const json: unknown = JSON.parse((await run('--lint', '--json', '-f', bad)).stdout.toString())
    expect(json).toMatchObject([{ line: 2, rule: 'unknown' }, { rule: 'shadowed' }, { file: extra, severity: 'error' }])
    const good = lintFolder('good', 'MaxSessions 3\n')
    expect(await run('--lint', '-f', good)).toMatchObject({ status: 0, stdout: Buffer.alloc(0), stderr: '' })
    expect(await run('--lint', '--json', '-f', good)).toMatchObject({ status: 0, stdout: Buffer.from('[]\n') })
  })

  test('with -t tests the configuration and the host keys as well', async () => {
    // The shared configuration has PermitRootLogin yes and StrictModes no, which lint does not like.
    const usual = config()
    expect(await run('-t', '-f', usual)).toMatchObject({ status: 0 })
    expect((await run('-t', '--lint', '-f', usual)).status).toBe(1)
    const clean = lintFolder('clean', `HostKey ${path('host_key')}\nPidFile none\n`)
    expect(await run('-t', '--lint', '-f', clean)).toMatchObject({ status: 0, stdout: Buffer.alloc(0) })
    const keyless = lintFolder('keyless', `HostKey ${path('absent')}\n`)
    expect(await run('--lint', '-f', keyless)).toMatchObject({ status: 0 })
    expect((await run('-t', '--lint', '-f', keyless)).status).toBe(1)
  })

  test('says what it cannot look at', async () => {
    expect(await run('--lint', '-f', path('missing'))).toMatchObject({
      status: 1,
      stderr: `tsshd: ${path('missing')}: No such file or directory\n`,
    })
    expect((await run('--lint')).stderr).toContain('name one with -f')
    expect((await run('--lint', '-T', '-f', path('missing'))).stderr).toContain('goes alone or with -t')
  })
})

describe('flags', () => {
  test('-t, -T, -G and what they complain about', async () => {
    expect(await run('-t', '-f', config())).toMatchObject({ status: 0, stderr: '' })
    const printed = await run('-T', '-f', config(), '-p', '2299', '-o', 'MaxSessions=3', '-4', '-g', '1m')
    expect(printed.stdout.toString()).toMatch(/^Port 2299$/m)
    expect(printed.stdout.toString()).toMatch(/^MaxSessions 3$/m)
    expect(printed.stdout.toString()).toMatch(/^AddressFamily inet$/m)
    expect(printed.stdout.toString()).toMatch(/^LoginGraceTime 60$/m)
    const wrong = await run('-t', '-f', config('NoSuchKeyword 1'))
    expect(wrong.status).not.toBe(0)
    expect(wrong.stderr).toContain('line 1: Bad configuration option: NoSuchKeyword')
    const keyless = await run('-t', '-f', config(), '-o', `HostKey=${path('none')}`, '-h', path('none2'))
    expect(keyless.status).toBe(0)
    writeFileSync(path('keyless'), `HostKey ${path('none')}\n`)
    expect(await run('-t', '-f', path('keyless'))).toMatchObject({ status: 1 })
    expect((await run('-G', '-f', path('keyless'))).stdout.toString()).toMatch(/^HostKey .*none$/m)
    expect((await run('-t', '-f', path('missing'))).stderr).toContain('No such file or directory')
  })

  test('a host key that others can read, a pipe and a locked one are not loaded', async () => {
    writeFileSync(path('open_key'), readFileSync(path('host_key')), { mode: 0o644 })
    const open = await run('-t', '-f', 'none', '-h', path('open_key'))
    expect(open.status).toBe(1)
    expect(open.stderr).toContain('@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @')
    expect(open.stderr).toContain(`Permissions 0644 for '${path('open_key')}' are too open.`)
    expect(open.stderr).toContain(
      `Unable to load host key "${path('open_key')}": bad permissions\ntsshd: no hostkeys available -- exiting.\n`,
    )
    spawnSync('mkfifo', ['-m', '600', path('pipe_key')])
    const pipe = await run('-t', '-f', 'none', '-h', path('pipe_key'))
    expect(pipe).toMatchObject({ status: 1, stderr: expect.stringContaining('Unable to load host key') })
  })

  test('that are wrong end with a message', async () => {
    expect((await run('-C', 'user=x', '-t')).stderr).toContain('(-C) provided without test mode (-T)')
    expect((await run('-T', '-C', 'what=x')).stderr).toBe('Invalid test mode specification what=x\n')
    expect((await run('-p', 'x')).stderr).toBe('Bad port number.\n')
    expect((await run('-g', 'x')).stderr).toBe('Invalid login grace time.\n')
    expect((await run('extra')).stderr).toMatch(/^Extra argument extra\.\n/)
    expect((await run('-u', '5')).stderr).toContain('-u')
    expect((await run('-V')).stderr).toMatch(/^tssh_\d/)
  })

  const sshd = findProgram('sshd')
  test.skipIf(sshd === undefined)('-T -C prints what sshd prints for the same connection', async () => {
    if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
    const file = config(
      'AllowUsers a b',
      'Match User joe',
      'Banner /joe',
      'MaxAuthTries 2',
      'Match Address 10.0.0.0/8 LocalPort 2022',
      'X11Forwarding yes',
      'ForceCommand /bin/true',
      'Match Host *.example.org LocalAddress 192.0.2.1',
      'PermitTTY no',
      'Match Invalid-User',
      'PasswordAuthentication no',
      'Match all',
      'AcceptEnv LATE',
    )
    const text = readFileSync(file, 'utf8').split('\n')
    const blocks = text.slice(1, 12)
    writeFileSync(file, [text[0], ...text.slice(12), ...blocks].join('\n'))
    const keywords =
      /^(banner|maxauthtries|x11forwarding|forcecommand|permittty|passwordauthentication|acceptenv|allowusers) /
    const shown = (ran: { stdout: Buffer | string }): string[] =>
      ran.stdout
        .toString()
        .split('\n')
        .map(line => line.replace(/^\S+/, word => word.toLowerCase()))
        .filter(line => keywords.test(line))
    for (const spec of [
      'user=joe,host=h,addr=10.1.1.1,laddr=192.0.2.1,lport=2022',
      'user=ann,host=x.example.org,addr=11.1.1.1,laddr=192.0.2.1,lport=22',
      'user=joe,host=x.example.org,addr=10.9.9.9,laddr=192.0.2.1,lport=22',
    ]) {
      const ours = await run('-T', '-f', file, '-C', spec)
      // Debian's sshd is older than `invalid-user` and penalties.
      const theirFile = path('theirs')
      const old = readFileSync(file, 'utf8').replace(/^PerSourcePenalties.*/m, '')
      writeFileSync(theirFile, old.replace('Match Invalid-User', 'Match User nobody-at-all'))
      const theirs = spawnSync(sshd!, ['-T', '-f', theirFile, '-C', spec])
      expect(theirs.stderr.toString()).toBe('')
      expect(shown(ours)).toEqual(shown(theirs))
    }
    const invalid = await run('-T', '-f', file, '-C', 'user=x,addr=1.2.3.4,invalid-user')
    expect(shown(invalid)).toContain('passwordauthentication no')
  })
})

describe.skipIf(!haveProgram('ssh'))('a server', () => {
  test('without a configuration says which files of keys and passwords let somebody in', async () => {
    const home = path('named-home')
    mkdirSync(home)
    const at = await freePort()
    const server = await foreground(['-p', String(at), '-e', '-o', 'AuthorizedKeysFile=/etc/keys/%u .ssh/other'], {
      HOME: home,
    })
    await server.logged(
      new RegExp(
        `for the keys in /etc/keys/${user}, ${userInfo().homedir}/\\.ssh/other\\.\nLog in with: tssh -p ${at} `,
      ),
    )
    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(0)
  })

  test('without a configuration makes its key, says how to log in, and takes its password file', async () => {
    const home = path('home')
    mkdirSync(home)
    const entry = await runProgram(process.execPath, [tsshd, '--password-entry', user], { input: 'open sesame\n' })
    expect(entry.stdout.toString()).toMatch(new RegExp(`^${user}:scrypt\\$16\\$8\\$1\\$`))
    writeFileSync(path('passwords'), entry.stdout, { mode: 0o600 })
    const at = await freePort()
    const server = await foreground(
      [
        '-p',
        String(at),
        '-e',
        '--password-file',
        path('passwords'),
        '-o',
        'PermitRootLogin=yes',
        '-o',
        `SetEnv=HOME=${folder}`,
      ],
      { HOME: home },
    )
    await server.logged(/tsshd serves .* on 127\.0\.0\.1 port/)
    const askpass = path('askpass')
    const login = (password: string): Promise<Ran> => {
      writeFileSync(askpass, `#!/bin/sh\necho '${password}'\n`, { mode: 0o700 })
      return runProgram(
        'ssh',
        [
          ...['-F', 'none', '-p', String(at), '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'],
          ...['-o', 'PubkeyAuthentication=no', '-o', 'NumberOfPasswordPrompts=1', `${user}@127.0.0.1`, 'echo in'],
        ],
        { env: { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' } },
      )
    }
    expect((await login('open sesame')).stdout.toString()).toBe('in\n')
    expect((await login('wrong')).status).toBe(255)
    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(0)
    expect(server.log()).toContain('Received signal 15; terminating.')
  })

  test('goes to the background once it listens, writes PidFile, reads its configuration again on SIGHUP', async () => {
    const at = await freePort()
    const pidFile = path('pid')
    const log = path('log')
    const file = config(`PidFile ${pidFile}`, `Port ${at}`, 'MaxSessions 5')
    expect(await run('-f', file, '-E', log)).toMatchObject({ status: 0, stderr: '' })
    const pid = readPid(pidFile)!
    try {
      expect((await ssh(at, 'echo one')).stdout.toString()).toBe('one\n')
      // A second one finds the port taken and says so.
      const second = await run('-f', file, '-E', path('log2'))
      expect(second.status).toBe(255)
      expect(second.stderr).toContain('Cannot bind any address.')
      expect(readFileSync(path('log2'), 'utf8')).toContain(
        `Bind to port ${at} on 127.0.0.1 failed: Address already in use.`,
      )
      writeFileSync(file, readFileSync(file, 'utf8').replace('MaxSessions 5', 'ForceCommand echo new'))
      process.kill(pid, 'SIGHUP')
      await waitFor(() => readFileSync(log, 'utf8').split('Server listening').length === 3)
      expect(readFileSync(log, 'utf8')).toContain('Received SIGHUP; restarting.')
      expect((await ssh(at, 'echo old')).stdout.toString()).toBe('new\n')
      // A configuration that is wrong leaves it as it is.
      writeFileSync(file, 'Nonsense\n')
      process.kill(pid, 'SIGHUP')
      await waitFor(() => readFileSync(log, 'utf8').includes('Not restarted'))
      expect((await ssh(at, 'echo old')).stdout.toString()).toBe('new\n')
    } finally {
      process.kill(pid, 'SIGTERM')
      await waitFor(() => !existsSync(pidFile))
    }
    expect(readFileSync(log, 'utf8')).toContain('Received signal 15; terminating.')
  })

  test('serves one connection with -d, and one on stdin and stdout with -i', async () => {
    const at = await freePort()
    const debugged = await foreground(['-d', '-p', String(at), '-f', config()])
    await debugged.logged(/Server listening/)
    expect((await ssh(at, 'echo once')).stdout.toString()).toBe('once\n')
    expect(await debugged.ended).toBe(0)
    expect(debugged.log()).toContain('debug1: ')
    const through = await runProgram('ssh', [
      ...['-F', 'none', '-i', path('id'), '-o', 'BatchMode=yes', '-o', 'IdentityAgent=none'],
      ...['-o', `ProxyCommand=${process.execPath} ${tsshd} -i -f ${config()}`],
      ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', `${user}@inetd`, 'echo through'],
    ])
    expect(through.stdout.toString()).toBe('through\n')
  })
})

describe.skipIf(!haveProgram('ssh'))('bytes that no client sends', { timeout: 60_000 }, () => {
  let server: Awaited<ReturnType<typeof foreground>>
  beforeAll(async () => {
    server = await foreground(['-D', '-e', '-p', String(port), '-f', config('LogLevel VERBOSE')])
    await server.logged(/Server listening/)
  })
  afterAll(async () => {
    server.child.kill('SIGTERM')
    await server.ended
  })

  /** What the server answers to these bytes, until it closes. */
  const answerTo = (...pieces: Buffer[]): Promise<string> =>
    new Promise(resolve => {
      const socket = connect(port, '127.0.0.1', () => {
        for (const piece of pieces) socket.write(piece)
      })
      let answer = ''
      socket.on('data', data => {
        answer += data.toString('latin1')
      })
      socket.on('error', () => {})
      socket.on('close', () => resolve(answer))
    })

  /** A client of ours over a socket that this test may disturb. */
  const client = (
    disturb: (transport: Transport, socket: Socket) => void,
    tamper?: (chunk: Buffer) => void,
  ): Promise<SshError> =>
    new Promise(resolve => {
      const socket = connect(port, '127.0.0.1')
      let tampering = false
      const transport = createTransport({
        role: 'client',
        algorithms: { ...defaultAlgorithms, hostKey: ['ssh-ed25519'] },
        softwareVersion: 'test_1',
        verifyHostKey: () => {},
        handlers: {
          output(chunks) {
            if (tampering) tamper?.(chunks.at(-1)!)
            for (const chunk of chunks) socket.write(chunk)
            return true
          },
          open() {
            // The packets of the key exchange are on their way by then.
            setTimeout(() => {
              tampering = true
              disturb(transport, socket)
            }, 50)
          },
          authentication() {},
          connection() {},
          writable() {},
          closed(error) {
            socket.destroy()
            resolve(error)
          },
        },
      })
      socket.on('data', data => void transport.receive(data))
      socket.on('error', () => {})
      socket.on('close', () => transport.ended())
    })

  const stillServes = async (): Promise<void> => {
    expect((await ssh(port, 'echo alive')).stdout.toString()).toBe('alive\n')
  }

  test('an identification that is none', async () => {
    expect(await answerTo(Buffer.from('GET / HTTP/1.0\r\n\r\n'))).toContain('Invalid SSH identification string.')
    await server.logged(/banner exchange: Connection from 127\.0\.0\.1 port \d+: invalid format/)
    expect(await answerTo(Buffer.alloc(100_000, 0x41))).toContain('Invalid SSH identification string.')
    await stillServes()
  })

  test('a packet longer than any may be', async () => {
    const length = Buffer.alloc(16)
    length.writeUInt32BE(0x7fffffff)
    const answer = await answerTo(Buffer.from('SSH-2.0-x\r\n'), length)
    // DISCONNECT (1) with reason 2, in a packet that is not encrypted yet.
    expect(answer).toMatch(/\x01\x00\x00\x00\x02\x00\x00\x00.Bad packet length/s)
    await server.logged(/Connection from 127\.0\.0\.1 port \d+: Bad packet length.* \[preauth\]/)
    await stillServes()
  })

  test('a packet whose MAC is wrong', async () => {
    const error = await client(
      transport => transport.send(ServiceRequest, { service: 'ssh-userauth' }),
      chunk => {
        chunk[chunk.length - 1]! ^= 1
      },
    )
    expect(error).toBeInstanceOf(DisconnectError)
    expect(error).toMatchObject({ code: 'by-peer', reason: 5 })
    await server.logged(/Connection from 127\.0\.0\.1 port \d+: message authentication code incorrect \[preauth\]/)
    await stillServes()
  })

  test('a message whose time has not come', async () => {
    const error = await client(transport =>
      transport.send(ChannelOpen, {
        type: 'session',
        senderChannel: 0,
        initialWindow: 1000,
        maximumPacket: 1000,
        payload: Buffer.alloc(0),
      }),
    )
    expect(error).toMatchObject({ code: 'by-peer', reason: 2 })
    await server.logged(/Connection from 127\.0\.0\.1 port \d+: .* \[preauth\]/)
    await stillServes()
  })

  test('a reset at every moment of a connection', async () => {
    const raw = (...pieces: string[]): Promise<void> =>
      new Promise(resolve => {
        const socket = connect(port, '127.0.0.1', () => {
          for (const piece of pieces) socket.write(piece)
          socket.once('data', () => socket.resetAndDestroy())
        })
        socket.on('error', () => {})
        socket.on('close', () => resolve())
      })
    await raw()
    await raw('SSH-2.0-x\r\n')
    await raw('SSH-2.0-x\r\n', '\0\0\0')
    // Under keys, and with a request under way.
    await client((_transport, socket) => void socket.resetAndDestroy())
    await client((transport, socket) => {
      transport.send(ServiceRequest, { service: 'ssh-userauth' })
      setImmediate(() => socket.resetAndDestroy())
    })
    await stillServes()
    expect(server.child.exitCode).toBeNull()
  })

  test('a connection that only opens and closes', async () => {
    await new Promise<void>(resolve => {
      const socket = connect(port, '127.0.0.1', () => socket.destroy())
      socket.on('close', () => resolve())
    })
    await server.logged(/Connection (closed|reset) by 127\.0\.0\.1 port \d+ \[preauth\]/)
    await stillServes()
  })
})

async function waitFor(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 400) throw new Error('it does not happen')
    await new Promise(resolve => setTimeout(resolve, 25))
  }
}
