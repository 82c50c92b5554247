import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectAgent } from '../../src/net/agent-socket.ts'
import { makeKey, ours, type StartedAgent, startAgentProgram } from '../support/agents.ts'
import { type Ran, runProgram } from '../support/listening.ts'
import { haveProgram, havePythonModule } from '../support/programs.ts'
import { type RunningSshd, startSshd } from '../support/sshd.ts'

const haveOpenssh = ['ssh', 'sshd', 'ssh-add', 'ssh-agent', 'ssh-keygen'].every(haveProgram)
const adders = [
  ['ssh-add', ['ssh-add']],
  ['tssh-add', ours('tssh-add')],
] as const

let folder = ''
const path = (name: string): string => join(folder, name)
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tssh-agents-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }))

const output = ({ status, stdout, stderr }: Ran): string =>
  `${status} ${stdout.toString().trim()} ${stderr.trim()}`.trim()

describe.skipIf(!haveOpenssh)('our agent', () => {
  let agent: StartedAgent
  beforeAll(async () => {
    agent = await startAgentProgram(ours('tssh-agent'))
    for (const type of ['ed25519', 'ecdsa', 'rsa']) makeKey(path(type), type)
  })
  afterAll(() => agent?.stop())
  const run = (program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, input = '') =>
    runProgram(program, args, { env: { ...agent.env, ...env }, input })

  test('ssh-add adds, lists, tests, locks and removes', async () => {
    const files = ['ed25519', 'ecdsa', 'rsa'].map(path)
    const publics = files.map(file => `${file}.pub`)
    expect((await run('ssh-add', ['-q', ...files])).status).toBe(0)
    const listed = await run('ssh-add', ['-L'])
    expect(listed.stdout.toString()).toBe(publics.map(file => readFileSync(file, 'utf8')).join(''))
    expect(output(await run('ssh-add', ['-T', ...publics]))).toBe('0')
    writeFileSync(path('askpass'), '#!/bin/sh\necho sesame\n', { mode: 0o755 })
    const answers = { SSH_ASKPASS: path('askpass'), SSH_ASKPASS_REQUIRE: 'force' }
    expect(output(await run('ssh-add', ['-x'], answers))).toBe('0  Agent locked.')
    expect((await run('ssh-add', ['-l'])).status).toBe(1)
    expect(output(await run('ssh-add', ['-X'], answers))).toBe('0  Agent unlocked.')
    expect(output(await run('ssh-add', ['-T', ...publics]))).toBe('0')
    expect((await run('ssh-add', ['-d', path('rsa')])).status).toBe(0)
    expect((await run('ssh-add', ['-D'])).status).toBe(0)
    expect((await run('ssh-add', ['-l'])).stdout.toString()).toBe('The agent has no identities.\n')
  })

  test('ssh-keygen has it sign certificates and files', async () => {
    await run('ssh-add', ['-q', path('rsa'), path('ed25519')])
    const certify = ['-q', '-U', '-s', path('rsa.pub'), '-I', 'id', '-n', 'u', path('ecdsa.pub')]
    expect((await run('ssh-keygen', certify)).status).toBe(0)
    expect((await run('ssh-keygen', ['-L', '-f', path('ecdsa-cert.pub')])).stdout.toString()).toContain('rsa-sha2-512')
    const signed = await run('ssh-keygen', ['-Y', 'sign', '-q', '-f', path('ed25519.pub'), '-n', 'file'], {}, 'text')
    writeFileSync(path('sig'), signed.stdout)
    const checked = await run('ssh-keygen', ['-Y', 'check-novalidate', '-n', 'file', '-s', path('sig')], {}, 'text')
    expect(checked.status).toBe(0)
    await run('ssh-add', ['-q', path('ecdsa')])
    expect(output(await run('ssh-add', ['-T', path('ecdsa-cert.pub')]))).toBe('0')
    await run('ssh-add', ['-D', '-q'])
  })

  test.skipIf(!haveProgram('git'))('git signs commits and tags with it, and git checks them', async () => {
    await run('ssh-add', ['-q', path('ed25519')])
    const repository = path('repository')
    writeFileSync(path('allowed'), `who@example.org ${readFileSync(path('ed25519.pub'), 'utf8')}`)
    const settings = {
      'gpg.format': 'ssh',
      'user.signingkey': path('ed25519.pub'),
      'user.name': 'Who',
      'user.email': 'who@example.org',
      'gpg.ssh.allowedSignersFile': path('allowed'),
    }
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const git = (...args: string[]) => run('git', ['-C', repository, ...options, ...args])
    expect((await run('git', ['init', '-q', repository])).status).toBe(0)
    expect(output(await git('commit', '-q', '-S', '--allow-empty', '-m', 'Signed'))).toBe('0')
    expect((await git('verify-commit', 'HEAD')).stderr).toContain(
      'Good "git" signature for who@example.org with ED25519',
    )
    expect(output(await git('tag', '-s', '-m', 'Signed', 'v1'))).toBe('0')
    expect((await git('verify-tag', 'v1')).stderr).toContain('Good "git" signature')
    await run('ssh-add', ['-D', '-q'])
  })

  test('asks the user through askpass before it signs', async () => {
    writeFileSync(
      path('confirm'),
      `#!/bin/sh\nprintf '%s|' "$1" "$SSH_ASKPASS_PROMPT" >> '${path('asked')}'\n[ ! -e '${path('no')}' ]\n`,
      {
        mode: 0o755,
      },
    )
    const asking = await startAgentProgram(ours('tssh-agent'), [], {
      SSH_ASKPASS: path('confirm'),
      SSH_ASKPASS_REQUIRE: 'force',
    })
    try {
      await runProgram('ssh-add', ['-q', '-c', path('ed25519')], { env: asking.env })
      const sign = () => runProgram('ssh-add', ['-T', path('ed25519.pub')], { env: asking.env })
      expect((await sign()).status).toBe(0)
      expect(readFileSync(path('asked'), 'utf8')).toMatch(
        /^Allow use of key ed25519 key\?\nKey fingerprint SHA256:\S{43}\.\|confirm\|$/,
      )
      writeFileSync(path('no'), '')
      expect((await sign()).status).toBe(1)
    } finally {
      asking.stop()
    }
  })

  test.skipIf(!havePythonModule('paramiko'))('paramiko has it sign', async () => {
    await run('ssh-add', ['-q', path('ed25519'), path('rsa')])
    const script = [
      'import base64, paramiko',
      'for key in paramiko.Agent().get_keys():',
      '    rsa = key.get_name() == "ssh-rsa"',
      '    signature = key.sign_ssh_data(b"data", "rsa-sha2-256" if rsa else None)',
      '    plain = paramiko.RSAKey if rsa else paramiko.Ed25519Key',
      '    print(key.get_name(), plain(data=key.asbytes()).verify_ssh_sig(b"data", paramiko.Message(signature)))',
    ].join('\n')
    const ran = await run('/usr/bin/python3', ['-W', 'ignore', '-c', script])
    expect(ran.stdout.toString()).toBe('ssh-ed25519 True\nssh-rsa True\n')
    await run('ssh-add', ['-D', '-q'])
  })

  test.skipIf(!havePythonModule('asyncssh'))('asyncssh adds, locks, lists and signs', async () => {
    const script = [
      'import asyncio, asyncssh',
      'async def main():',
      '    async with asyncssh.connect_agent() as agent:',
      '        await agent.add_keys([asyncssh.generate_private_key("ssh-ed25519", comment="c")], lifetime=100)',
      '        await agent.lock("pass"); print(len(await agent.get_keys()))',
      '        await agent.unlock("pass")',
      '        for pair in await agent.get_keys():',
      '            key = asyncssh.import_public_key(b"ssh-ed25519 " + __import__("base64").b64encode(pair.public_data))',
      '            print(pair.get_comment(), key.verify(b"data", await pair.sign_async(b"data")))',
      'asyncio.run(main())',
    ].join('\n')
    const ran = await run('/usr/bin/python3', ['-W', 'ignore', '-c', script])
    expect(ran.stdout.toString(), ran.stderr).toBe('0\nc True\n')
    await run('ssh-add', ['-D', '-q'])
  })

  test('many connections at once, each with its own answers', async () => {
    await run('ssh-add', ['-q', path('ed25519'), path('ecdsa')])
    const connections = await Promise.all(Array.from({ length: 8 }, () => connectAgent(agent.socket)))
    await Promise.all(
      connections.map(async ({ client }, i) => {
        const signers = await client.signers()
        for (let n = 0; n < 25; n++) {
          const signer = signers[(i + n) % signers.length]!
          const data = Buffer.from(`connection ${i}, message ${n}`)
          expect(signer.publicKey.verify(data, await signer.sign(data, signer.algorithms[0]!))).toBe(true)
        }
      }),
    )
    for (const { close } of connections) close()
    await run('ssh-add', ['-D', '-q'])
  })
})

describe.skipIf(!haveProgram('gpg-agent') || !haveOpenssh)('gpg-agent', () => {
  test('serves tssh-add', async () => {
    const home = mkdtempSync(join(tmpdir(), 'tssh-gpg-'))
    // It asks for a passphrase of its own for each key.
    const pinentry = [
      '#!/bin/sh',
      'echo "OK ready"',
      'while read -r command rest; do',
      '  case $command in GETPIN) echo "D secret";; BYE) echo OK; exit;; esac',
      '  echo OK',
      'done',
    ]
    writeFileSync(join(home, 'pinentry'), `${pinentry.join('\n')}\n`, { mode: 0o755 })
    const env = { GNUPGHOME: home, SSH_AUTH_SOCK: join(home, 'S.gpg-agent.ssh') }
    const daemon = `gpg-agent --daemon --enable-ssh-support --pinentry-program '${home}/pinentry' > '${home}/log' 2>&1`
    expect((await runProgram('/bin/sh', ['-c', daemon], { env })).status).toBe(0)
    try {
      const [program, ...first] = ours('tssh-add')
      const add = (...args: string[]) => runProgram(program, [...first, ...args], { env })
      const files = ['ed25519', 'rsa'].map(type => makeKey(join(home, type), type))
      const publics = files.map(file => `${file}.pub`)
      expect((await add('-q', ...files)).status).toBe(0)
      expect((await add('-L')).stdout.toString()).toBe(publics.map(file => readFileSync(file, 'utf8')).join(''))
      expect(output(await add('-T', ...publics))).toBe('0')
      expect((await add('-q', '-d', ...files)).status).toBe(0)
    } finally {
      await runProgram('gpgconf', ['--kill', 'gpg-agent'], { env })
      rmSync(home, { recursive: true, force: true, maxRetries: 20 })
    }
  })
})

describe.skipIf(!haveOpenssh)('logins with keys of an agent', () => {
  let servers: { first: RunningSshd; second: RunningSshd; other: RunningSshd }
  beforeAll(async () => {
    const [first, second, other] = await Promise.all([startSshd(), startSshd(), startSshd()])
    servers = { first, second, other }
    // One key opens all of them.
    for (const { folder: own } of [second, other]) {
      writeFileSync(join(own, 'authorized_keys'), readFileSync(join(first.folder, 'authorized_keys')))
    }
    writeFileSync(
      path('hosts'),
      [first, second, other].map(({ knownHosts }) => readFileSync(knownHosts, 'utf8')).join(''),
    )
  })
  afterAll(() => {
    for (const server of Object.values(servers ?? {})) server.close()
  })

  const options = () => [
    '-F',
    'none',
    '-o',
    `UserKnownHostsFile=${path('hosts')}`,
    '-o',
    'BatchMode=yes',
    '-o',
    'IdentityFile=none',
  ]
  const at = ({ port }: RunningSshd): string => `[127.0.0.1]:${port}`
  const login = (server: RunningSshd): string[] => ['-p', String(server.port), `${server.user}@127.0.0.1`]

  test.each([
    ['tssh', 'ssh-agent', ours('tssh'), ['ssh-agent'] as const],
    ['tssh', 'tssh-agent', ours('tssh'), ours('tssh-agent')],
    ['ssh', 'tssh-agent', ['ssh'] as const, ours('tssh-agent')],
  ] as const)('%s with %s', async (_client, _agent, client, program) => {
    const agent = await startAgentProgram(program)
    try {
      const [first, ...more] = [...client, ...options(), ...login(servers.first), 'echo in']
      const go = () => runProgram(first, more, { env: agent.env })
      expect((await go()).status, 'no key yet').toBe(255)
      await runProgram('ssh-add', ['-q', servers.first.identity], { env: agent.env })
      expect(output(await go())).toBe('0 in')
    } finally {
      agent.stop()
    }
  })

  /** With OpenSSH's own agent first: it is what our agent is held to. */
  test.each([
    ['ssh-agent', 'ssh-add', ['ssh-agent'] as const, adders[0][1]],
    ['ssh-agent', 'tssh-add', ['ssh-agent'] as const, adders[1][1]],
    ['tssh-agent', 'ssh-add', ours('tssh-agent'), adders[0][1]],
    ['tssh-agent', 'tssh-add', ours('tssh-agent'), adders[1][1]],
  ] as const)('destinations: %s, key added by %s', { timeout: 240_000 }, async (_agent, _adder, program, adding) => {
    const [adder, ...first] = adding
    const agent = await startAgentProgram(program)
    const { first: near, second: far, other } = servers
    try {
      const constraints = ['-H', path('hosts'), '-h', at(near), '-h', `${at(near)}>${far.user}@${at(far)}`]
      const added = await runProgram(adder, [...first, '-q', ...constraints, near.identity], { env: agent.env })
      expect(output(added)).toBe('0')
      const ssh = (...args: string[]) => runProgram('ssh', [...options(), ...args], { env: agent.env })
      const inner = (server: RunningSshd, user = server.user): string =>
        ['ssh', ...options(), '-p', server.port, `${user}@127.0.0.1`, 'echo arrived'].join(' ')
      expect(output(await ssh(...login(near), 'echo here')), 'to the first').toBe('0 here')
      expect((await ssh(...login(far), 'echo here')).status, 'past the first').toBe(255)
      expect((await ssh(...login(other), 'echo here')).status, 'elsewhere').toBe(255)
      const [tssh, ...tsshFirst] = [...ours('tssh'), ...options()]
      const byTssh = (server: RunningSshd) =>
        runProgram(tssh, [...tsshFirst, ...login(server), 'echo here'], { env: agent.env })
      expect(output(await byTssh(near)), 'tssh to the first').toBe('0 here')
      expect((await byTssh(far)).status, 'tssh past the first').toBe(255)
      expect(output(await ssh('-A', ...login(near), inner(far))), 'through the first').toBe('0 arrived')
      expect((await ssh('-A', ...login(near), inner(other))).status, 'through the first, elsewhere').toBe(255)
      expect((await ssh('-A', ...login(near), inner(near))).status, 'back to the first').toBe(255)
      expect((await ssh('-A', ...login(near), inner(far, 'nobody'))).status, 'as somebody else').toBe(255)
      const listing = await ssh('-A', ...login(near), 'ssh-add -l')
      expect(listing.status, 'the key is shown where it can go on').toBe(0)
      // On the machine of the agent it is shown, but signs nothing that is not a login.
      expect((await runProgram('ssh-add', ['-T', `${near.identity}.pub`], { env: agent.env })).status).toBe(1)
    } finally {
      agent.stop()
    }
  })
})
