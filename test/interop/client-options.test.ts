import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))

describe.skipIf(!haveProgram('sshd'))('options of tssh against sshd', () => {
  let peer: RunningSshd
  let folder: string
  let authority: string
  const keygen = (...args: string[]): void => void execFileSync('ssh-keygen', ['-q', ...args])
  const path = (name: string): string => join(folder, name)

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-options-'))
    authority = path('ca')
    keygen('-t', 'ed25519', '-N', '', '-f', authority)
    keygen('-t', 'ed25519', '-N', '', '-f', path('host_key'))
    keygen('-s', authority, '-h', '-I', 'host', '-n', '127.0.0.1', '-V', '-1h:+1h', path('host_key.pub'))
    peer = await startSshd([
      `HostKey ${path('host_key')}`,
      `HostCertificate ${path('host_key-cert.pub')}`,
      `TrustedUserCAKeys ${authority}.pub`,
    ])
    // It takes the place of the other Ed25519 key.
    appendFileSync(peer.knownHosts, `[127.0.0.1]:${peer.port} ${readFileSync(path('host_key.pub'), 'utf8')}`)
  })
  afterAll(() => {
    peer.close()
    rmSync(folder, { recursive: true, force: true })
  })

  let scratch: string
  beforeEach(() => {
    scratch = mkdtempSync(join(tmpdir(), 'tssh-scratch-'))
  })
  afterEach(() => rmSync(scratch, { recursive: true, force: true }))

  const usual = (knownHosts: string): string[] => [
    ...['-F', 'none', '-p', String(peer.port), '-o', 'GlobalKnownHostsFile=none', '-o', 'IdentityAgent=none'],
    ...['-o', `UserKnownHostsFile=${knownHosts}`, '-o', 'BatchMode=yes'],
  ]
  const go = (more: string[], command: string[], options: Parameters<typeof runProgram>[2] = {}): Promise<Ran> =>
    runProgram(
      process.execPath,
      [tssh, ...usual(peer.knownHosts), '-i', peer.identity, ...more, '127.0.0.1', ...command],
      options,
    )
  const text = (ran: Ran): string => ran.stdout.toString()

  test('ProxyCommand: the connection goes through a program, which ends with it', async () => {
    const ended = join(scratch, 'ended')
    const script = join(scratch, 'proxy.cjs')
    writeFileSync(
      script,
      `const socket = require('node:net').connect(${peer.port}, '127.0.0.1')
       const end = () => { require('node:fs').writeFileSync('${ended}', ''); process.exit() }
       process.on('SIGHUP', end)
       socket.on('close', end)
       process.stdin.pipe(socket).pipe(process.stdout)`,
    )
    const proxy = `${process.execPath} ${script}`
    const ran = await go(
      ['-v', '-o', `ProxyCommand=${proxy}`, '-o', `HostKeyAlias=[127.0.0.1]:${peer.port}`],
      ['echo through'],
    )
    expect(ran.stderr).toContain(`Executing proxy command: exec ${proxy}`)
    expect(ran.stderr).toContain('(via proxy) using "publickey"')
    expect(text(ran)).toBe('through\n')
    for (let tries = 0; tries < 50 && !existsSync(ended); tries++) await new Promise(resolve => setTimeout(resolve, 20))
    expect(existsSync(ended)).toBe(true)
  })

  test('ProxyCommand: a program that fails is a connection that closes', async () => {
    const ran = await go(['-o', 'ProxyCommand=false'], ['true'])
    expect(ran.status).toBe(255)
    expect(ran.stderr).toBe('Connection closed by UNKNOWN port 65535\n')
  })

  test('ProxyJump: through two hosts, each with its own key check', async () => {
    const config = join(scratch, 'config')
    writeFileSync(
      config,
      [
        'Host stranger',
        `  UserKnownHostsFile ${join(scratch, 'empty')}`,
        'Host *',
        `  Port ${peer.port}`,
        '  GlobalKnownHostsFile none',
        `  UserKnownHostsFile ${peer.knownHosts}`,
        `  IdentityFile ${peer.identity}`,
        '  IdentityAgent none',
        '  BatchMode yes',
        '  HostName 127.0.0.1',
        '',
      ].join('\n'),
    )
    const run = (jumps: string): Promise<Ran> =>
      runProgram(process.execPath, [tssh, '-F', config, '-J', jumps, 'target', 'echo there'], {})
    const ran = await run('first,second')
    expect(ran).toMatchObject({ status: 0, stderr: '' })
    expect(text(ran)).toBe('there\n')
    expect(text(await run('first-%n,%r@second.%h'))).toBe('there\n')
    expect(await run('first-%u')).toMatchObject({ status: 255, stderr: expect.stringContaining('unknown key %u') })
    const refused = await run('stranger')
    expect(refused.status).toBe(255)
    expect(refused.stderr).toContain('Host key verification failed.')
  })

  test('-W joins stdin and stdout with a place that the server reaches', async () => {
    const echo: Server = createServer(socket => socket.pipe(socket))
    await new Promise<void>(resolve => echo.listen(0, '127.0.0.1', resolve))
    const address = echo.address()
    const port = typeof address === 'object' && address ? address.port : 0
    try {
      const ran = await go(['-W', `127.0.0.1:${port}`], [], { input: Buffer.from('round trip') })
      expect(ran.status).toBe(0)
      expect(text(ran)).toBe('round trip')
    } finally {
      echo.close()
    }
    const refused = await go(['-W', `127.0.0.1:${port}`], [])
    expect(refused).toMatchObject({ status: 255 })
    expect(refused.stderr).toContain('stdio forwarding failed')
  })

  test('a host certificate by a trusted authority needs no known key; by another one, or for another name, it does', async () => {
    const known = join(scratch, 'known_hosts')
    const strict = ['-o', `UserKnownHostsFile=${known}`, '-o', 'StrictHostKeyChecking=yes', '-v']
    const attempt = (line: string, ...more: string[]): Promise<Ran> => {
      writeFileSync(known, `${line}\n`)
      const args = [tssh, ...usual(known), '-i', peer.identity, ...strict, ...more, '127.0.0.1', 'echo certified']
      return runProgram(process.execPath, args, {})
    }
    const key = readFileSync(`${authority}.pub`, 'utf8').trim()
    const good = await attempt(`@cert-authority * ${key}`)
    expect(good.stderr).toContain('Found CA key in')
    expect(text(good)).toBe('certified\n')
    const other = await attempt(`@cert-authority * ${readFileSync(`${peer.identity}.pub`, 'utf8').trim()}`)
    expect(other).toMatchObject({ status: 255 })
    expect(other.stderr).toContain('No matching CA found. Retry with plain key')
    const elsewhere = await attempt(`@cert-authority * ${key}`, '-o', 'HostKeyAlias=elsewhere.example')
    expect(elsewhere.status).toBe(255)
    expect(elsewhere.stderr).toContain('Certificate invalid: name is not a listed principal')
    const revoked = await attempt(`@cert-authority * ${key}\n@revoked * ${key}`)
    expect(revoked.status).toBe(255)
    expect(revoked.stderr).toContain('REVOKED HOST KEY DETECTED')
  })

  test('a user certificate logs in: beside the identity, and named by CertificateFile', async () => {
    const identity = join(scratch, 'id')
    keygen('-t', 'ed25519', '-N', '', '-f', identity)
    const { user } = peer
    keygen('-s', authority, '-I', 'me', '-n', user, '-V', '-1h:+1h', `${identity}.pub`)
    const args = (...more: string[]): string[] => [
      tssh,
      ...usual(peer.knownHosts),
      '-v',
      '-i',
      identity,
      ...more,
      '127.0.0.1',
      'echo in',
    ]
    const beside = await runProgram(process.execPath, args(), {})
    expect(text(beside)).toBe('in\n')
    expect(beside.stderr).toContain('ED25519-CERT')
    execFileSync('mv', [`${identity}-cert.pub`, join(scratch, 'elsewhere-cert.pub')])
    expect((await runProgram(process.execPath, args(), {})).status).toBe(255)
    const named = await runProgram(
      process.execPath,
      args('-o', `CertificateFile=${join(scratch, 'elsewhere-cert.pub')}`),
      {},
    )
    expect(text(named)).toBe('in\n')
  })

  test.skipIf(!haveProgram('ssh-agent'))('AddKeysToAgent puts a key that was used into the agent', async () => {
    const socket = join(scratch, 'agent')
    const output = execFileSync('ssh-agent', ['-a', socket], { encoding: 'utf8' })
    const pid = Number(/SSH_AGENT_PID=(\d+)/.exec(output)?.[1])
    try {
      const list = (): string => {
        try {
          return execFileSync('ssh-add', ['-l'], { encoding: 'utf8', env: { ...process.env, SSH_AUTH_SOCK: socket } })
        } catch {
          return ''
        }
      }
      const agent = ['-o', `IdentityAgent=${socket}`, '-o', 'AddKeysToAgent=yes']
      const args = (...more: string[]): string[] => [
        ...[tssh, ...agent, ...usual(peer.knownHosts), ...more, '127.0.0.1', 'echo in'],
      ]
      expect(list()).toBe('')
      expect(text(await runProgram(process.execPath, args('-i', peer.identity), {}))).toBe('in\n')
      expect(list()).toContain('ED25519')
      // Now without a file.
      const alone = args('-o', 'IdentityFile=none')
      expect(text(await runProgram(process.execPath, alone, {}))).toBe('in\n')
    } finally {
      process.kill(pid)
    }
  })

  test('RevokedHostKeys: a list of keys and a binary one, and one that cannot be read', async () => {
    const plain = join(scratch, 'revoked')
    const shown = join(peer.folder, 'host_ed25519.pub')
    writeFileSync(plain, readFileSync(shown))
    const binary = join(scratch, 'krl')
    keygen('-k', '-f', binary, shown)
    for (const file of [plain, binary, join(scratch, 'missing')]) {
      const ran = await go(['-o', `RevokedHostKeys=${file}`, '-o', 'HostKeyAlgorithms=ssh-ed25519'], ['true'])
      expect(ran.status).toBe(255)
      expect(ran.stderr).toContain(file)
      expect(ran.stderr).toContain('Host key verification failed.')
    }
    const other = join(scratch, 'other')
    writeFileSync(other, readFileSync(`${authority}.pub`))
    expect((await go(['-o', `RevokedHostKeys=${other}`, '-o', 'HostKeyAlgorithms=ssh-ed25519'], ['true'])).status).toBe(
      0,
    )
  })

  test('UpdateHostKeys: learns proven keys and forgets old ones, all else untouched', async () => {
    const known = join(scratch, 'known_hosts')
    const name = `[127.0.0.1]:${peer.port}`
    const publicKey = (file: string): string => readFileSync(file, 'utf8').split(' ').slice(0, 2).join(' ').trim()
    keygen('-t', 'ed25519', '-N', '', '-f', join(scratch, 'old'))
    const shown = publicKey(path('host_key.pub'))
    writeFileSync(
      known,
      `# mine\nother.example ${publicKey(`${authority}.pub`)}\n${name} ${publicKey(join(scratch, 'old.pub'))}\nnonsense\n${name} ${shown}\n`,
    )
    const args = [
      tssh,
      ...usual(known),
      '-i',
      peer.identity,
      '-v',
      '-o',
      'UpdateHostKeys=yes',
      '127.0.0.1',
      'sleep 0.5',
    ]
    const ran = await runProgram(process.execPath, args, {})
    expect(ran.status).toBe(0)
    expect(ran.stderr).toContain('Learned new hostkey: ECDSA SHA256:')
    expect(ran.stderr).toContain('Deprecating obsolete hostkey: ED25519 SHA256:')
    const after = readFileSync(known, 'utf8')
    expect(
      after.startsWith(`# mine\nother.example ${publicKey(`${authority}.pub`)}\nnonsense\n${name} ${shown}\n`),
    ).toBe(true)
    for (const type of ['ecdsa', 'rsa'])
      expect(after).toContain(`${name} ${publicKey(join(peer.folder, `host_${type}.pub`))}\n`)
    expect(after).not.toContain(publicKey(join(scratch, 'old.pub')))
    const again = await runProgram(process.execPath, args, {})
    expect(again.stderr).toContain('no new or deprecated keys from server')
    expect(readFileSync(known, 'utf8')).toBe(after)
  })

  test('KnownHostsCommand gives lines, knows its reasons, and ends the connection when it fails', async () => {
    const asked = join(scratch, 'asked')
    const script = join(scratch, 'command')
    writeFileSync(script, `#!/bin/sh\necho "$1 $2" >> ${asked}\ncat ${peer.knownHosts}\n`, { mode: 0o755 })
    const none = join(scratch, 'none')
    const options = ['-o', `UserKnownHostsFile=${none}`, '-o', 'StrictHostKeyChecking=yes']
    const args = (command: string): string[] => [
      ...[tssh, ...options, ...usual(none), '-i', peer.identity, '-o', `KnownHostsCommand=${command}`],
      ...['127.0.0.1', 'echo known'],
    ]
    const ran = await runProgram(process.execPath, args(`${script} %I %H`), {})
    expect(text(ran)).toBe('known\n')
    expect(readFileSync(asked, 'utf8')).toBe(`ORDER [127.0.0.1]:${peer.port}\nHOSTNAME [127.0.0.1]:${peer.port}\n`)
    const failed = await runProgram(process.execPath, args('/bin/false'), {})
    expect(failed.status).toBe(255)
    expect(failed.stderr).toContain('KnownHostsCommand failed')
  })

  test('LocalCommand runs here, once logged in, with its tokens', async () => {
    const file = join(scratch, 'local')
    const command = `echo %h %n %p %r > ${file}`
    const ran = await go(['-o', 'PermitLocalCommand=yes', '-o', `LocalCommand=${command}`], ['true'])
    expect(ran.status).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe(`127.0.0.1 127.0.0.1 ${peer.port} ${peer.user}\n`)
    rmSync(file)
    await go(['-o', `LocalCommand=${command}`], ['true'])
    expect(existsSync(file)).toBe(false)
  })

  test('-f returns once logged in, and the command goes on', async () => {
    const file = join(scratch, 'done')
    const ran = await go(['-f'], [`sleep 1; echo later > ${file}`], {})
    expect(ran.status).toBe(0)
    for (let tries = 0; tries < 150 && !existsSync(file); tries++) await new Promise(resolve => setTimeout(resolve, 20))
    expect(readFileSync(file, 'utf8')).toBe('later\n')
    const refused = await go(['-f', '-l', 'nobody-here'], ['true'])
    expect(refused.status).toBe(255)
    expect(refused.stderr).toContain('Permission denied')
  })

  test('a server that stops answering is given up (ServerAliveInterval)', async () => {
    const started = runProgram(
      process.execPath,
      [
        tssh,
        ...usual(peer.knownHosts),
        '-i',
        peer.identity,
        '-o',
        'ServerAliveInterval=1',
        '-o',
        'ServerAliveCountMax=1',
        '127.0.0.1',
        'kill -STOP $PPID; sleep 30',
      ],
      {},
    )
    const ran = await started
    expect(ran).toMatchObject({ status: 255, stderr: 'Timeout, server 127.0.0.1 not responding.\n' })
  }, 20_000)

  test('a reader that goes away ends the remote program, and so the command', async () => {
    const child = spawn(process.execPath, [tssh, ...usual(peer.knownHosts), '-i', peer.identity, '127.0.0.1', 'yes'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.once('data', () => child.stdout.destroy())
    const status = await new Promise(resolve => child.on('exit', resolve))
    // The remote program was ended by SIGPIPE.
    expect(status).toBe(255)
  })

  test('ConnectTimeout counts for a server that says nothing', async () => {
    const silent = createServer(() => {})
    await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const ran = await runProgram(
      process.execPath,
      [tssh, '-F', 'none', '-o', 'ConnectTimeout=1', '-p', String(port), '127.0.0.1', 'true'],
      {},
    )
    silent.close()
    expect(ran).toMatchObject({
      status: 255,
      stderr: `Connection timed out during banner exchange\nConnection to 127.0.0.1 port ${port} timed out\n`,
    })
  })
})
