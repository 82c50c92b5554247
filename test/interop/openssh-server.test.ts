import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allAlgorithms } from '../../lib/algorithms/index.ts'
import { run } from '../../src/index.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

describe.skipIf(!haveProgram('sshd'))('tssh logs in to sshd', () => {
  let peer: RunningSshd
  beforeAll(async () => {
    peer = await startSshd()
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

  test('keys are exchanged again every megabyte under load', { timeout: 60_000 }, async () => {
    const input = randomBytes(16 * 1024 * 1024)
    const ran = await go(['-v', '-o', 'RekeyLimit=1M'], ['cat'], { input })
    expect(sha256(ran.stdout)).toBe(sha256(input))
    expect(ran.stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length).toBeGreaterThan(10)
  })

  test.each(allAlgorithms.cipher.map(({ name }) => name))('cipher %s', async name => {
    const ran = await go(['-v', '-c', name], ['echo works'])
    expect(ran.stdout.toString()).toBe('works\n')
    expect(ran.stderr).toContain(`kex: server->client cipher: ${name} `)
  })

  test.each(allAlgorithms.mac.map(({ name }) => name))('MAC %s', async name => {
    const ran = await go(['-c', 'aes256-ctr', '-m', name], ['echo works'])
    expect(ran.stdout.toString()).toBe('works\n')
  })

  test('every key exchange that both know', async () => {
    const theirs = execFileSync('ssh', ['-Q', 'kex'], { encoding: 'utf8' }).split('\n')
    const both = allAlgorithms.kex.map(({ name }) => name).filter(name => theirs.includes(name))
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
    const jump = await go(['-o', 'ProxyJump=elsewhere'], ['true'])
    expect(jump).toMatchObject({ status: 255, stderr: 'tssh: ProxyJump is not supported by this release.\n' })
    const agent = await go(['-o', 'ForwardAgent=yes'], ['echo works'])
    expect(agent.stderr).toBe('Warning: ForwardAgent is not supported by this release and has no effect.\n')
    expect(agent.stdout.toString()).toBe('works\n')
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
