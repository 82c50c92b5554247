import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { formatLifetime } from '../../commands/tssh-add/add.ts'
import { readCommandLine } from '../../commands/tssh-add/command-line.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { connectAgent } from '../../src/net/agent-socket.ts'
import { makeKey, ours, type StartedAgent, startAgentProgram } from '../support/agents.ts'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'

test.each([
  [0, '00:00:00'],
  [61, '00:01:01'],
  [86_399, '23:59:59'],
  [86_400, '1d00h00m'],
  [604_799, '6d23h59m'],
  [604_800, '01w0d00h'],
])('%i seconds are %s', (seconds, text) => {
  expect(formatLifetime(seconds)).toBe(text)
})

test.each([
  [['-l', '-L'], '-l flag already specified'],
  [['-x', '-X'], '-x flag already specified'],
  [['-l', '-D'], 'Invalid combination of actions'],
  [['-Q', '-x'], 'Invalid combination of actions'],
  [['-E', 'sha0', '-l'], 'Invalid hash algorithm "sha0"'],
  [['-t', '1y'], 'Invalid lifetime'],
  [['-t', '4294967296'], 'Invalid lifetime'],
])('%j is refused', (args, problem) => {
  expect(() => readCommandLine(args, {})).toThrow(problem)
})

test('-M and -m take a number, as they did in ssh-add, and mean nothing', () => {
  expect(readCommandLine(['-M', '5', '-m', '6', 'file'], {}).operands).toEqual(['file'])
})

const mine = ours('tssh-add')
const agents = ours('tssh-agent')
const theirs = haveProgram('ssh-agent') ? (['ssh-agent'] as const) : undefined

/** Each of ours with the other's: what the words and statuses must be was read off ssh-add 9.2 and 10's sources. */
describe.skipIf(!haveProgram('ssh-keygen')).each([
  ['tssh-agent', agents],
  ['ssh-agent', theirs],
] as const)('with %s', (name, program) => {
  let folder = ''
  let agent: StartedAgent
  const path = (file: string): string => join(folder, file)
  const add = async (args: readonly string[], env: NodeJS.ProcessEnv = {}, input = '') => {
    const ran = await runProgram(mine[0], [...mine.slice(1), ...args], { env: { ...agent.env, ...env }, input })
    return { status: ran.status, stdout: ran.stdout.toString(), stderr: ran.stderr }
  }
  /** Answers every question with the same word. */
  const answering = (word: string) => {
    writeFileSync(path('askpass'), `#!/bin/sh\necho '${word}'\n`, { mode: 0o755 })
    return { SSH_ASKPASS: path('askpass'), SSH_ASKPASS_REQUIRE: 'force' }
  }

  beforeAll(async () => {
    if (!program) return
    folder = mkdtempSync(join(tmpdir(), 'tssh-add-'))
    for (const type of ['ed25519', 'ecdsa', 'rsa']) makeKey(path(type), type)
    makeKey(path('authority'), 'ed25519')
    makeKey(path('locked'), 'ed25519')
    for (const key of ['ecdsa', 'locked']) {
      const days = key === 'ecdsa' ? '+1d' : '20200101:20200102'
      await runProgram('ssh-keygen', [
        '-q',
        '-s',
        path('authority'),
        '-I',
        `id ${key}`,
        '-n',
        'u',
        '-V',
        days,
        path(`${key}.pub`),
      ])
    }
    await runProgram('ssh-keygen', ['-q', '-p', '-a', '1', '-P', '', '-N', 'open sesame', '-f', path('locked')])
    agent = await startAgentProgram(program)
  })
  afterAll(() => {
    agent?.stop()
    rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
  })
  beforeEach(async () => {
    if (agent) await add(['-D', '-q'])
  })

  test.skipIf(!program)('adds, lists, tests and removes', async () => {
    expect(await add(['-l'])).toEqual({ status: 1, stdout: 'The agent has no identities.\n', stderr: '' })
    expect(await add([path('ed25519'), path('rsa')])).toEqual({
      status: 0,
      stdout: '',
      stderr: `Identity added: ${path('ed25519')} (ed25519 key)\nIdentity added: ${path('rsa')} (rsa key)\n`,
    })
    const keys = ['ed25519', 'rsa'].map(type => readFileSync(path(`${type}.pub`), 'utf8'))
    expect((await add(['-L'])).stdout).toBe(keys.join(''))
    const fingerprints = await runProgram('ssh-keygen', ['-l', '-E', 'md5', '-f', path('rsa.pub')])
    expect((await add(['-l', '-E', 'md5'])).stdout).toContain(fingerprints.stdout.toString())
    expect(await add(['-T', path('ed25519.pub'), path('rsa.pub')])).toEqual({ status: 0, stdout: '', stderr: '' })
    const missing = await add(['-T', path('authority.pub')])
    expect([missing.status, missing.stderr]).toEqual([
      1,
      `Agent signature failed for ${path('authority.pub')}: agent refused operation\n`,
    ])
    expect((await add(['-d', path('ed25519')])).stderr).toBe(
      `Identity removed: ${path('ed25519')} ED25519 (ed25519 key)\n`,
    )
    expect((await add(['-d', path('ed25519')])).stderr).toBe(
      `Could not remove identity "${path('ed25519')}": agent refused operation\n`,
    )
    expect((await add(['-d', '-'], {}, keys[1])).stderr).toBe('Identity removed: (stdin) RSA (rsa key)\n')
    expect(await add(['-D'])).toEqual({ status: 0, stdout: '', stderr: 'All identities removed.\n' })
    expect((await add(['-d', path('nothing')])).stdout).toBe(
      `Bad key file ${path('nothing')}: No such file or directory\n`,
    )
  })

  test.skipIf(!program)('certificates come beside their keys and go with them', async () => {
    const both = await add([path('ecdsa')])
    expect(both.stderr).toMatch(
      /^Identity added: .* \(ecdsa key\)\nCertificate added: .*-cert\.pub \(id ecdsa\)\nLifetime set to 1d00h0\dm\n$/,
    )
    expect((await add(['-l'])).stdout).toMatch(/\(ECDSA\)\n.*\(ECDSA-CERT\)\n$/)
    expect((await add(['-T', path('ecdsa-cert.pub')])).status).toBe(0)
    expect((await add(['-d', path('ecdsa')])).stderr).toMatch(
      /^Identity removed: .* ECDSA .*\nIdentity removed: .* ECDSA-CERT /,
    )
    expect((await add(['-q', '-C', path('ecdsa')])).status).toBe(0)
    expect((await add(['-l'])).stdout).toMatch(/^\S+ \S+ ecdsa key \(ECDSA-CERT\)\n$/)
    await add(['-D', '-q'])
    expect((await add(['-q', '-k', path('ecdsa')])).status).toBe(0)
    expect((await add(['-l'])).stdout).toMatch(/^\S+ \S+ ecdsa key \(ECDSA\)\n$/)
  })

  test.skipIf(!program)('passphrases, an expired certificate, and a key on stdin', async () => {
    const opened = await add([path('locked')], answering('open sesame'))
    expect(opened.stderr).toBe(
      `Identity added: ${path('locked')} (ed25519 key)\nCertificate ${path('locked')}-cert.pub has already expired; ignored\n`,
    )
    expect((await add(['-N', '-q', '-C', path('locked')], answering('open sesame'))).status).toBe(0)
    expect((await add([path('locked')], answering(''))).status).toBe(1)
    expect((await add(['-'], {}, readFileSync(path('ed25519'), 'utf8'))).stderr).toBe(
      'Identity added: (stdin) (ed25519 key)\n',
    )
  })

  test.skipIf(!program)('a comment cannot command the terminal, nor add a line', async () => {
    const { client, close } = await connectAgent(agent.socket)
    await client.add(generateKey('ed25519'), 'a\x1b]0;title\x07\nssh-ed25519 AAAA')
    close()
    for (const flag of ['-l', '-L']) {
      const { stdout } = await add([flag])
      expect(stdout).toContain(' a\\033]0;title\\007\\012ssh-ed25519 AAAA')
      expect(stdout.split('\n')).toHaveLength(2)
    }
  })

  test.skipIf(!program)('more on stdin than a key has is refused', async () => {
    const much = await add(['-'], {}, 'x'.repeat(2 * 1024 * 1024))
    expect([much.status, much.stderr]).toEqual([1, '(stdin): File too large\n'])
  })

  test.skipIf(!program)('what cannot be added', async () => {
    expect((await add([path('nothing')])).stderr).toBe(`${path('nothing')}: No such file or directory\n`)
    writeFileSync(path('garbage'), 'garbage\n', { mode: 0o600 })
    expect((await add([path('garbage')])).stderr).toBe(`Error loading key "${path('garbage')}": invalid format\n`)
    copyFileSync(path('ed25519'), path('wide'))
    chmodSync(path('wide'), 0o644)
    const wide = await add([path('wide'), path('rsa')])
    expect([wide.status, wide.stderr]).toEqual([1, expect.stringContaining('UNPROTECTED PRIVATE KEY FILE')])
    expect(wide.stderr).toContain('Identity added: ')
  })

  test.skipIf(!program)('lifetime and confirmation', async () => {
    expect((await add(['-t', '1h30m', '-c', path('ed25519')])).stderr).toBe(
      [
        `Identity added: ${path('ed25519')} (ed25519 key)`,
        'Lifetime set to 01:30:00',
        'The user must confirm each use of the key',
        '',
      ].join('\n'),
    )
    expect((await add(['-T', path('ed25519.pub')])).status, 'nobody to ask').toBe(1)
  })

  test.skipIf(!program)('lock and unlock', async () => {
    await add(['-q', path('ed25519')])
    const [right, wrong] = [answering('sesame'), { ...answering('sesame'), SSH_ASKPASS: path('wrong') }]
    writeFileSync(path('wrong'), '#!/bin/sh\necho wrong\n', { mode: 0o755 })
    expect(await add(['-x'], right)).toEqual({ status: 0, stdout: '', stderr: 'Agent locked.\n' })
    expect((await add(['-l'])).stdout).toBe('The agent has no identities.\n')
    expect(await add(['-X'], wrong)).toEqual({
      status: 1,
      stdout: '',
      stderr: 'Failed to unlock agent: agent refused operation\n',
    })
    expect(await add(['-X'], right)).toEqual({ status: 0, stdout: '', stderr: 'Agent unlocked.\n' })
    expect((await add(['-l'])).status).toBe(0)
  })

  test.skipIf(!program)('tokens', async () => {
    const added = await add(['-s', '/nonexistent.so'], answering('1234'))
    expect([added.status, added.stderr]).toEqual([1, 'Could not add card "/nonexistent.so": agent refused operation\n'])
    const removed = await add(['-e', '/nonexistent.so'])
    expect(removed.stderr).toBe('Could not remove card "/nonexistent.so": agent refused operation\n')
  })

  test.skipIf(!program)('destinations need host keys', async () => {
    const authority = readFileSync(path('authority.pub'), 'utf8')
    writeFileSync(path('hosts'), `alpha,[beta]:2222 ${authority}`)
    const known = ['-H', path('hosts')]
    expect((await add([...known, '-h', 'gamma', path('rsa')])).stderr).toBe(
      'No host keys found for destination "gamma"\n',
    )
    expect((await add([...known, '-h', 'u@alpha>v@[beta]:2222', path('rsa')])).stderr).toBe(
      "Invalid key constraint u@alpha: cannot specify user on 'from' host\n",
    )
    expect((await add([...known, '-h', 'alpha', '-h', 'alpha>v@[beta]:2222', path('rsa')])).status).toBe(0)
    expect((await add(['-T', path('rsa.pub')])).status, 'no login: no signature').toBe(1)
  })

  test.skipIf(!program)('extensions', async () => {
    const queried = await add(['-Q'])
    // Agents before OpenSSH 10.3 cannot say.
    if (name === 'ssh-agent' && queried.status !== 0) {
      const stderr = 'unable to query supported extensions: agent refused operation\n'
      expect(queried).toEqual({ status: 255, stdout: '', stderr })
    } else expect(queried).toMatchObject({ status: 0, stdout: expect.stringMatching(/^session-bind@openssh\.com$/m) })
  })

  test.skipIf(!program)('no agent', async () => {
    expect(await add(['-l'], { SSH_AUTH_SOCK: '' })).toEqual({
      status: 2,
      stdout: '',
      stderr: 'Could not open a connection to your authentication agent.\n',
    })
    expect((await add(['-l'], { SSH_AUTH_SOCK: path('nothing') })).stderr).toBe(
      'Error connecting to agent: No such file or directory\n',
    )
  })
})
