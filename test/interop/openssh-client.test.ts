import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defaultServerAlgorithms } from '../../lib/algorithms/index.ts'
import { type Listening, runProgram, startListening, testPassword } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

describe.skipIf(!haveProgram('ssh'))('ssh logs in to our server', () => {
  let peer: Listening
  beforeAll(async () => {
    peer = await startListening()
  })
  afterAll(() => peer.close())

  const sshArgs = (...more: string[]): string[] => [
    '-F',
    'none',
    '-p',
    String(peer.server.port),
    '-l',
    peer.user,
    '-o',
    `UserKnownHostsFile=${peer.knownHosts}`,
    '-o',
    'GlobalKnownHostsFile=/dev/null',
    '-o',
    'StrictHostKeyChecking=yes',
    '-o',
    'IdentityAgent=none',
    '-o',
    'IdentitiesOnly=yes',
    '-o',
    'PKCS11Provider=none',
    ...more,
    '127.0.0.1',
  ]
  const withKey = (...more: string[]): string[] => sshArgs('-i', peer.identity, '-o', 'BatchMode=yes', ...more)

  test('a command with its output, error output and exit status', async () => {
    const ran = await runProgram('ssh', [...withKey(), 'echo out; echo err >&2; exit 7'])
    expect(ran).toMatchObject({ status: 7, stderr: 'err\n' })
    expect(ran.stdout.toString()).toBe('out\n')
  })

  test('a program whose output nobody reads any more ends', async () => {
    // ssh says that nobody reads (eow@openssh.com) only to servers that are called OpenSSH; tssh to all.
    const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))
    const words = [process.execPath, tssh, '-q', ...withKey(), 'yes'].map(word => `'${word}'`).join(' ')
    const ran = await runProgram('/bin/sh', ['-c', `${words} | head -1`])
    expect(ran).toMatchObject({ status: 0, stderr: '' })
    expect(ran.stdout.toString()).toBe('y\n')
  })

  test('100 MB both ways, intact', { timeout: 60_000 }, async () => {
    const input = randomBytes(100 * 1024 * 1024)
    const ran = await runProgram('ssh', [...withKey(), 'cat'], { input })
    expect(ran.status).toBe(0)
    expect(sha256(ran.stdout)).toBe(sha256(input))
  })

  test('keys are exchanged again every megabyte under load', { timeout: 60_000 }, async () => {
    const input = randomBytes(16 * 1024 * 1024)
    const ran = await runProgram('ssh', [...withKey('-v', '-o', 'RekeyLimit=1M'), 'cat'], { input })
    expect(ran.status).toBe(0)
    expect(sha256(ran.stdout)).toBe(sha256(input))
    expect(ran.stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length).toBeGreaterThan(10)
  })

  test.each(defaultServerAlgorithms.cipher.map(({ name }) => name))('cipher %s', async name => {
    const ran = await runProgram('ssh', [...withKey('-c', name), 'echo works'])
    expect(ran.stderr).toBe('')
    expect(ran.stdout.toString()).toBe('works\n')
  })

  test.each(defaultServerAlgorithms.mac.map(({ name }) => name))('MAC %s', async name => {
    const ran = await runProgram('ssh', [...withKey('-c', 'aes128-ctr', '-m', name), 'echo works'])
    expect(ran.stdout.toString()).toBe('works\n')
  })

  // This ssh may be older than some methods.
  const known = async (): Promise<string> => (await runProgram('ssh', ['-Q', 'kex'])).stdout.toString()
  test('every key exchange by default that ssh knows', async () => {
    const theirs = (await known()).split('\n')
    const both = defaultServerAlgorithms.kex.map(({ name }) => name).filter(name => theirs.includes(name))
    expect(both.length).toBeGreaterThanOrEqual(5)
    for (const name of both) {
      const ran = await runProgram('ssh', [...withKey('-o', `KexAlgorithms=${name}`), 'echo works'])
      expect(`${name}: ${ran.stdout}${ran.stderr}`).toBe(`${name}: works\n`)
    }
  })

  test.each([
    'ssh-ed25519',
    'ecdsa-sha2-nistp256',
    'ecdsa-sha2-nistp384',
    'ecdsa-sha2-nistp521',
    'rsa-sha2-256',
    'rsa-sha2-512',
  ])('host key %s', async name => {
    const ran = await runProgram('ssh', [...withKey('-o', `HostKeyAlgorithms=${name}`), 'echo works'])
    expect(ran.stdout.toString()).toBe('works\n')
  })

  const askpass = (answer: string): NodeJS.ProcessEnv => {
    const script = join(peer.folder, `askpass-${answer.length}`)
    writeFileSync(script, `#!/bin/sh\ncase "$1" in *Colour*) echo blue;; *) echo '${answer}';; esac\n`, { mode: 0o700 })
    return { SSH_ASKPASS: script, SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0' }
  }

  test.each(['password', 'keyboard-interactive'])('login by %s', async method => {
    const args = sshArgs('-o', `PreferredAuthentications=${method}`, '-o', 'PubkeyAuthentication=no')
    const ran = await runProgram('ssh', [...args, 'echo works'], { env: askpass(testPassword) })
    expect(ran.stdout.toString()).toBe('works\n')
  })

  test('a wrong password is refused', async () => {
    const args = sshArgs('-o', 'PreferredAuthentications=password', '-o', 'PubkeyAuthentication=no')
    const ran = await runProgram('ssh', [...args, 'echo works'], { env: askpass('wrong') })
    expect(ran.status).toBe(255)
    expect(ran.stderr).toContain('Permission denied (publickey,password,keyboard-interactive).')
    expect(ran.stdout.length).toBe(0)
  })

  test('a shell on a terminal, with its size and modes', async () => {
    const ran = await runProgram('ssh', [...withKey('-tt'), 'stty size; tty; echo $TERM'], {
      env: { TERM: 'xterm-color' },
    })
    expect(ran.status).toBe(0)
    expect(ran.stdout.toString()).toMatch(/\/dev\/pts\/\d+\r\nxterm-color\r\n$/)
  })

  test('environment, subsystem, and a program ended by a signal', async () => {
    const env = await runProgram('ssh', [
      ...withKey('-o', 'SetEnv=TSSH_TEST=value'),
      'echo "$TSSH_TEST|$USER|$SSH_CONNECTION"',
    ])
    expect(env.stdout.toString()).toMatch(/^value\|\S+\|127\.0\.0\.1 \d+ 127\.0\.0\.1 \d+\n$/)
    const subsystem = await runProgram('ssh', [...withKey('-s'), 'echo'], { input: 'through' })
    expect(subsystem.stdout.toString()).toBe('through')
    const killed = await runProgram('ssh', [...withKey(), 'kill -TERM $$'])
    expect(killed.status).toBe(255)
  })

  test('fifty sessions on one connection', { timeout: 60_000 }, async () => {
    const many = await startListening({ maxSessions: 100 })
    const control = join(many.folder, 'control')
    const base = [
      '-F',
      'none',
      '-p',
      String(many.server.port),
      '-i',
      many.identity,
      '-o',
      'IdentityAgent=none',
      '-o',
      `UserKnownHostsFile=${many.knownHosts}`,
      '-o',
      `ControlPath=${control}`,
    ]
    const master = await runProgram('ssh', [
      ...base,
      '-o',
      'ControlMaster=yes',
      '-o',
      'ControlPersist=30',
      '-fN',
      `${many.user}@127.0.0.1`,
    ])
    expect(master.status).toBe(0)
    const runs = await Promise.all(
      Array.from({ length: 50 }, (_, i) => runProgram('ssh', [...base, '127.0.0.1', `sleep 0.5; echo ${i}`])),
    )
    expect(runs.map(({ stdout }) => stdout.toString())).toEqual(Array.from({ length: 50 }, (_, i) => `${i}\n`))
    expect(many.server.connections).toBe(1)
    await runProgram('ssh', [...base, '-O', 'exit', '127.0.0.1'])
    await many.close()
  })
})
