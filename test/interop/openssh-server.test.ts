import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allAlgorithms, defaultAlgorithms } from '../../lib/algorithms/index.ts'
import { run } from '../../src/index.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

/** The names of a kind that OpenSSH knows. */
const theirs = (kind: string): string[] =>
  haveProgram('ssh') ? execFileSync('ssh', ['-Q', kind], { encoding: 'utf8' }).trim().split('\n') : []
const inCommon = (ours: readonly { readonly name: string }[], kind: string): string[] => {
  const known = theirs(kind)
  return ours.map(({ name }) => name).filter(name => known.includes(name))
}

describe.skipIf(!haveProgram('sshd') || !haveProgram('ssh'))('tssh logs in to sshd', () => {
  let peer: RunningSshd
  beforeAll(async () => {
    // It is our choice that is tested: the server takes all it has.
    peer = await startSshd([
      `KexAlgorithms ${theirs('kex').join(',')}`,
      `Ciphers ${theirs('cipher').join(',')}`,
      `MACs ${theirs('mac').join(',')}`,
    ])
  })
  afterAll(() => peer.close())

  const args = (...more: string[]): string[] => [
    tssh,
    '-F',
    'none',
    '-p',
    String(peer.port),
    '-i',
    peer.identity,
    '-o',
    `UserKnownHostsFile=${peer.knownHosts}`,
    '-o',
    'GlobalKnownHostsFile=none',
    '-o',
    'StrictHostKeyChecking=yes',
    '-o',
    'IdentityAgent=none',
    ...more,
    `${peer.user}@127.0.0.1`,
  ]
  const go = (more: string[], command: string[], options: Parameters<typeof runProgram>[2] = {}): Promise<Ran> =>
    runProgram(process.execPath, [...args(...more), ...command], options)

  test('a command with its output, error output and exit status', async () => {
    const ran = await go([], ['echo out; echo err >&2; exit 7'])
    expect(ran).toMatchObject({ status: 7, stderr: 'err\n' })
    expect(ran.stdout.toString()).toBe('out\n')
  })

  test('100 MB both ways, intact', { timeout: 60_000 }, async () => {
    const input = randomBytes(100 * 1024 * 1024)
    const ran = await go([], ['cat'], { input })
    expect(ran.status).toBe(0)
    expect(sha256(ran.stdout)).toBe(sha256(input))
  })

  test.each([
    ['a pipe', 'cat "$INPUT" | "$@"'],
    ['a file', '"$@" < "$INPUT"'],
  ])('all of stdin when it is %s and the server reads late', { timeout: 60_000 }, async (_, line) => {
    const input = randomBytes(20 * 1024 * 1024)
    const file = join(peer.folder, 'input')
    writeFileSync(file, input)
    const remote = 'sleep 0.3; head -c 5000000; sleep 0.3; cat'
    const command = ['-c', line, 'sh', process.execPath, ...args(), remote]
    const ran = await runProgram('sh', command, { env: { INPUT: file } })
    expect(ran).toMatchObject({ status: 0, stderr: '' })
    expect(sha256(ran.stdout)).toBe(sha256(input))
  })

  test.skipIf(!haveProgram('python3'))(
    'a socket of datagrams on stdin, which Node cannot read, is an end',
    async () => {
      const program = `
import socket, subprocess, sys
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
sys.exit(subprocess.run(sys.argv[1:], stdin=ours).returncode)`
      const ran = await runProgram('python3', ['-c', program, process.execPath, ...args(), 'cat; echo over'])
      expect(ran).toMatchObject({ status: 0, stderr: '' })
      expect(ran.stdout.toString()).toBe('over\n')
    },
  )

  test('keys are exchanged again every megabyte under load', { timeout: 60_000 }, async () => {
    const input = randomBytes(16 * 1024 * 1024)
    const ran = await go(['-v', '-o', 'RekeyLimit=1M'], ['cat'], { input })
    expect(sha256(ran.stdout)).toBe(sha256(input))
    expect(ran.stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length).toBeGreaterThan(10)
  })

  test.each(inCommon(allAlgorithms.cipher, 'cipher'))('cipher %s', async name => {
    const ran = await go(['-v', '-c', name], ['echo works'])
    expect(ran.stdout.toString()).toBe('works\n')
    expect(ran.stderr).toContain(`kex: server->client cipher: ${name} `)
  })

  test.each(inCommon(allAlgorithms.mac, 'mac'))('MAC %s', async name => {
    const ran = await go(['-c', 'aes256-ctr', '-m', name], ['echo works'])
    expect(ran.stdout.toString()).toBe('works\n')
  })

  test('every key exchange that both know', { timeout: 60_000 }, async () => {
    const both = inCommon(defaultAlgorithms.kex, 'kex')
    expect(both.length).toBeGreaterThanOrEqual(5)
    for (const name of both) {
      const ran = await go(['-o', `KexAlgorithms=${name}`], ['echo works'])
      expect(`${name}: ${ran.stdout}${ran.stderr}`).toBe(`${name}: works\n`)
    }
  })

  test.each(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-256', 'rsa-sha2-512'])('host key %s', async name => {
    const ran = await go(['-v', '-o', `HostKeyAlgorithms=${name}`], ['echo works'])
    expect(ran.stdout.toString()).toBe('works\n')
    expect(ran.stderr).toContain(`kex: host key algorithm: ${name}`)
  })

  test.each([['ed25519'], ['ecdsa'], ['rsa']])(
    'a key of type %s with a passphrase, asked for by SSH_ASKPASS',
    async type => {
      const file = join(peer.folder, `locked_${type}`)
      execFileSync('ssh-keygen', ['-q', '-t', type, '-N', 'open sesame', '-f', file])
      writeFileSync(join(peer.folder, 'authorized_keys'), readFileSync(`${file}.pub`), { flag: 'a' })
      const askpass = join(peer.folder, 'askpass')
      writeFileSync(askpass, "#!/bin/sh\necho 'open sesame'\n", { mode: 0o700 })
      const env = { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' }
      const words = args().map(word => (word === peer.identity ? file : word))
      const ran = await runProgram(process.execPath, [...words, 'echo works'], { env })
      expect(ran.stdout.toString()).toBe('works\n')
    },
  )

  test("a key that only OpenSSH's agent holds", async () => {
    const socket = join(peer.folder, 'agent')
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
    try {
      for (let tries = 0; tries < 50; tries++) {
        if ((await runProgram('ssh-add', ['-q', peer.identity], { env: { SSH_AUTH_SOCK: socket } })).status === 0) break
        await new Promise(resolve => setTimeout(resolve, 50))
      }
      const words = args().map(word =>
        word.replace('IdentityAgent=none', `IdentityAgent=${socket}`).replace(peer.identity, `${peer.identity}.pub`),
      )
      const ran = await runProgram(process.execPath, [...words, 'echo works'])
      expect(ran.stderr).toBe('')
      expect(ran.stdout.toString()).toBe('works\n')
    } finally {
      agent.kill()
    }
  })

  test('an unknown key is refused', async () => {
    const file = join(peer.folder, 'stranger')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
    const words = args('-o', 'BatchMode=yes').map(word => (word === peer.identity ? file : word))
    const ran = await runProgram(process.execPath, [...words, 'true'])
    expect(ran.status).toBe(255)
    expect(ran.stderr).toMatch(/^\S+@127\.0\.0\.1: Permission denied \(publickey.*\)\.\n$/)
  })

  test('an unknown host: refused when strict, remembered when new ones are accepted, hashed when asked', async () => {
    const strict = await runProgram(process.execPath, [
      ...args().map(word => word.replace(peer.knownHosts, '/dev/null')),
      'true',
    ])
    expect(strict.status).toBe(255)
    expect(strict.stderr).toContain('host key is known for [127.0.0.1]:')
    expect(strict.stderr).toContain('Host key verification failed.')
    const file = join(peer.folder, 'fresh_known_hosts')
    const fresh = args('-o', 'HashKnownHosts=yes').map(word =>
      word.replace(peer.knownHosts, file).replace('Checking=yes', 'Checking=accept-new'),
    )
    const first = await runProgram(process.execPath, [...fresh, 'echo works'])
    expect(first.stderr).toMatch(
      /Warning: Permanently added '\[127\.0\.0\.1\]:\d+' \(ED25519\) to the list of known hosts\./,
    )
    const found = execFileSync('ssh-keygen', ['-F', `[127.0.0.1]:${peer.port}`, '-f', file], { encoding: 'utf8' })
    expect(found).toContain('|1|')
    const second = await runProgram(process.execPath, [...fresh, 'echo works'])
    expect(second).toMatchObject({ status: 0, stderr: '' })
  })

  test('a changed host key sends nothing and leaves the file alone', async () => {
    const file = join(peer.folder, 'changed_known_hosts')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(peer.folder, 'impostor')])
    const line = `[127.0.0.1]:${peer.port} ${readFileSync(join(peer.folder, 'impostor.pub'), 'utf8')}`
    writeFileSync(file, line)
    const ran = await runProgram(process.execPath, [...args().map(word => word.replace(peer.knownHosts, file)), 'true'])
    expect(ran.status).toBe(255)
    expect(ran.stderr).toContain('REMOTE HOST IDENTIFICATION HAS CHANGED!')
    expect(ran.stderr).toContain(`${file}:1`)
    expect(readFileSync(file, 'utf8')).toBe(line)
  })

  test('a server killed in the middle: a clear line and status 255', async () => {
    const mortal = await startSshd()
    const words = args().map(word =>
      word.replaceAll(peer.folder, mortal.folder).replace(String(peer.port), String(mortal.port)),
    )
    const running = runProgram(process.execPath, [...words, 'echo begun; kill -9 $PPID; sleep 5'])
    const ran = await running
    mortal.close()
    expect(ran.status).toBe(255)
    expect(ran.stderr).toMatch(/closed by/)
  })

  test('nothing in common: both sides of the story', async () => {
    const only = await startSshd(['Ciphers aes128-cbc'])
    const words = args().map(word =>
      word.replaceAll(peer.folder, only.folder).replace(String(peer.port), String(only.port)),
    )
    const ran = await runProgram(process.execPath, [...words, 'true'])
    only.close()
    expect(ran.status).toBe(255)
    expect(ran.stderr).toBe(
      `Unable to negotiate with 127.0.0.1 port ${only.port}: no matching cipher found. Their offer: aes128-cbc\n`,
    )
  })

  test('a terminal when it is forced', async () => {
    const ran = await go(['-tt'], ['tty; echo $TERM'], { env: { TERM: 'xterm-color' } })
    expect(ran.stdout.toString()).toMatch(/\/dev\/pts\/\d+\r\nxterm-color\r\n/)
  })

  test('options that cannot be obeyed are refused, or said to have no effect', async () => {
    const passing = await go(['-o', 'ProxyCommand=false', '-o', 'ProxyUseFdpass=yes'], ['true'])
    expect(passing).toMatchObject({ status: 255, stderr: 'tssh: ProxyUseFdpass is not supported by this release.\n' })
    const x11 = await go(['-o', 'ForwardX11=yes'], ['echo works'])
    expect(x11.stderr).toBe('Warning: ForwardX11 is not supported by this release and has no effect.\n')
    expect(x11.stdout.toString()).toBe('works\n')
  })

  test('connection refused, and a name that is none', async () => {
    const refused = await runProgram(process.execPath, [tssh, '-F', 'none', '-p', '1', '127.0.0.1', 'true'])
    expect(refused).toMatchObject({
      status: 255,
      stderr: 'tssh: connect to host 127.0.0.1 port 1: Connection refused\n',
    })
    const unknown = await runProgram(process.execPath, [tssh, '-F', 'none', 'no-such-host.invalid', 'true'])
    expect(unknown.status).toBe(255)
    expect(unknown.stderr).toContain('tssh: Could not resolve hostname no-such-host.invalid: ')
  })

  test('-v shows the facts that ssh shows', async () => {
    const same = ['-v', '-o', 'Ciphers=aes128-ctr', '-o', 'MACs=hmac-sha2-256', '-o', 'KexAlgorithms=curve25519-sha256']
    const ours = await go([...same, '-o', 'IdentitiesOnly=yes'], ['exit 5'])
    const [, ...rest] = args(...same, '-o', 'IdentitiesOnly=yes')
    const theirs = await runProgram('ssh', [...rest, 'exit 5'])
    expect([ours.status, theirs.status]).toEqual([5, 5])
    const facts = [
      ...[
        'Connecting to ',
        'Connection established',
        'Remote protocol version',
        'Authenticating to ',
        'kex: ',
        'expecting ',
      ],
      ...['SSH2_MSG_', 'Server host key: ', "Host '", 'Found key in ', 'resetting ', 'Will attempt key: '],
      ...['Offering public key: ', 'Server accepts key: ', 'Authentications that can continue', 'Next authentication'],
      ...['Requesting no-more-sessions', 'Entering interactive session', 'Sending command: ', 'Exit status '],
    ]
    const shown = ({ stderr }: Ran): Set<string> =>
      new Set(
        stderr
          .split(/\r?\n/)
          // Newer ones name the function that resets.
          .map(line => line.replace(/^debug1: (\w+: )?(?=resetting )/, 'debug1: '))
          .filter(line => facts.some(fact => line.startsWith(`debug1: ${fact}`))),
      )
    expect(shown(theirs).size).toBeGreaterThan(20)
    expect(shown(ours)).toEqual(shown(theirs))
  })

  test('why it failed is not said with -q, and said in the file of -E alone', async () => {
    const file = join(peer.folder, 'failure-log')
    const nowhere = ['-F', 'none', '-p', '1', '127.0.0.1', 'true']
    const quiet = await runProgram(process.execPath, [tssh, '-q', ...nowhere])
    expect(quiet).toMatchObject({ status: 255, stderr: '' })
    const logged = await runProgram(process.execPath, [tssh, '-E', file, ...nowhere])
    expect(logged).toMatchObject({ status: 255, stderr: '' })
    expect(readFileSync(file, 'utf8')).toBe('tssh: connect to host 127.0.0.1 port 1: Connection refused\n')
    const unknown = await runProgram(process.execPath, [
      ...[
        tssh,
        '-q',
        '-F',
        'none',
        '-p',
        String(peer.port),
        '-o',
        'UserKnownHostsFile=/dev/null',
        '-o',
        'BatchMode=yes',
      ],
      ...['-o', 'GlobalKnownHostsFile=none', '127.0.0.1', 'true'],
    ])
    expect(unknown).toMatchObject({ status: 255, stderr: '' })
  })

  test.each([
    ['-4', '::1'],
    ['-6', '127.0.0.1'],
  ])('%s does not go with the address %s', async (flag, address) => {
    const ran = await runProgram(process.execPath, [tssh, '-F', 'none', flag, '-p', String(peer.port), address, 'true'])
    expect(ran).toMatchObject({
      status: 255,
      stderr: `tssh: Could not resolve hostname ${address}: Address family for hostname not supported\n`,
    })
  })

  test('a forced terminal without one of our own has no size', async () => {
    const ran = await go(['-tt'], ['stty size'])
    expect(ran.stdout.toString()).toBe('0 0\r\n')
  })

  test('-N ended by SIGTERM is a success', async () => {
    const child = spawn(process.execPath, args('-v', '-N'), { stdio: ['ignore', 'ignore', 'pipe'] })
    let log = ''
    const ready = new Promise<void>(resolve => {
      child.stderr.on('data', (data: Buffer) => {
        log += data.toString()
        if (log.includes('Authenticated to')) resolve()
      })
    })
    const status = new Promise(resolve => child.once('exit', code => resolve(code)))
    await Promise.race([ready, status])
    // The signal handlers come right after that line.
    await new Promise(resolve => setTimeout(resolve, 500))
    child.kill('SIGTERM')
    expect(await status).toBe(0)
  })

  test('the library runs a command', async () => {
    const completed = await run(
      {
        host: '127.0.0.1',
        port: peer.port,
        user: peer.user,
        identityFiles: [peer.identity],
        configFile: 'none',
        options: [`UserKnownHostsFile ${peer.knownHosts}`, 'StrictHostKeyChecking yes', 'IdentityAgent none'],
      },
      'cat; exit 3',
      { input: 'through the library' },
    )
    expect(completed.status).toBe(3)
    expect(completed.stdout.toString()).toBe('through the library')
  })
})
