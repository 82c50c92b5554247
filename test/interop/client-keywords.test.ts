import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sshKeywords } from '../../src/openssh/ssh-config.ts'
import { type Ran, runProgram, startListening } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { freePort, type RunningSshd, startSshd } from '../support/sshd.ts'

/**
 * Every keyword of ssh_config(5) makes a difference: each row here runs ssh and tssh with and without a setting, and
 * what changes for one changes for the other. What other tests show is named with its file, what waits with its reason.
 */

const tssh = fileURLToPath(new URL('../../bin/tssh.js', import.meta.url))

type Property = keyof typeof sshKeywords

interface Row {
  readonly keywords: readonly Property[]
  /** Lines of configuration about them. */
  readonly with: readonly string[]
  /** What both runs have in common. */
  readonly options?: readonly string[]
  readonly command?: string
  readonly input?: string
  readonly env?: NodeJS.ProcessEnv
  /** What of a run is compared. Default: status and output. */
  readonly seen?: (ran: Ran) => unknown
  /** Without -v. */
  readonly quiet?: true
  /** Not in Debian's ssh: what is seen must be this. */
  readonly newer?: unknown
}

const lines = (pattern: RegExp) => (ran: Ran) =>
  ran.stderr.split(/\r?\n/).flatMap(line => {
    const match = pattern.exec(line)
    return match ? [match[0]] : []
  })
const statusAnd = (pattern: RegExp) => (ran: Ran) => [ran.status, ...lines(pattern)(ran)]
const status = ({ status }: Ran): unknown => status

const prompts = ['PubkeyAuthentication=no']
const questions = lines(/Permission denied, please try again|Permission denied \(.*/)
const strict = 'StrictHostKeyChecking=yes'
const rows: readonly Row[] = [
  {
    keywords: ['ciphers', 'macs', 'kexAlgorithms', 'hostKeyAlgorithms', 'compression', 'fingerprintHash'],
    with: [
      ...['Ciphers=aes192-ctr', 'MACs=hmac-sha2-512', 'KexAlgorithms=ecdh-sha2-nistp384'],
      ...['HostKeyAlgorithms=rsa-sha2-256', 'Compression=yes', 'FingerprintHash=md5'],
    ],
    seen: lines(
      /algorithm: (ecdh|rsa).*|client->server cipher: aes192-ctr MAC: hmac-sha2-512 compression: zlib@.*|Server host key: ssh-rsa MD5/,
    ),
  },
  {
    keywords: ['sendEnv', 'setEnv'],
    with: ['SendEnv=TSSH_S*', 'SetEnv=TSSH_SET=value'],
    command: 'echo "$TSSH_SENT $TSSH_SET"',
    env: { TSSH_SENT: 'sent' },
  },
  { keywords: ['addressFamily'], with: ['AddressFamily=inet6'], seen: status },
  { keywords: ['batchMode'], with: ['BatchMode=yes'], options: prompts, seen: questions },
  { keywords: ['bindAddress'], with: ['BindAddress=127.0.0.9'], command: 'echo $SSH_CLIENT | cut -d " " -f 1' },
  { keywords: ['bindInterface'], with: ['BindInterface=nowhere'], seen: status },
  {
    keywords: ['caSignatureAlgorithms'],
    with: ['CASignatureAlgorithms=rsa-sha2-256'],
    options: ['UserKnownHostsFile=FOLDER/certified', strict],
    seen: status,
  },
  {
    keywords: ['clearAllForwardings'],
    with: ['ClearAllForwardings=yes'],
    options: ['LocalForward=FREE 127.0.0.1:PEER'],
    seen: lines(/Local connections to .* forwarded to .*/),
  },
  {
    keywords: ['connectionAttempts'],
    with: ['ConnectionAttempts=2'],
    options: ['Port=CLOSED'],
    seen: lines(/connect to address .* port/),
  },
  {
    keywords: ['dynamicForward'],
    with: ['DynamicForward=127.0.0.1:FREE'],
    options: ['PermitLocalCommand=yes', 'LocalCommand=grep -c ":$(printf %%04X FREE) .* 0A " /proc/net/tcp'],
  },
  {
    keywords: ['identitiesOnly'],
    with: ['IdentitiesOnly=no'],
    options: ['IdentityAgent=FOLDER/agent', 'IdentityFile=FOLDER/ca', 'BatchMode=yes'],
    seen: status,
  },
  {
    keywords: ['localForward'],
    with: ['LocalForward=127.0.0.1:FREE 127.0.0.1:PEER'],
    options: ['PermitLocalCommand=yes', 'LocalCommand=grep -c ":$(printf %%04X FREE) .* 0A " /proc/net/tcp'],
  },
  {
    keywords: ['logLevel'],
    with: ['LogLevel=QUIET'],
    options: ['Port=CLOSED'],
    quiet: true,
    seen: lines(/connect to host/),
  },
  { keywords: ['numberOfPasswordPrompts'], with: ['NumberOfPasswordPrompts=1'], options: prompts, seen: questions },
  { keywords: ['passwordAuthentication'], with: ['PasswordAuthentication=no'], options: prompts, seen: questions },
  {
    keywords: ['pubkeyAcceptedAlgorithms'],
    with: ['PubkeyAcceptedAlgorithms=rsa-sha2-256'],
    options: ['BatchMode=yes'],
    seen: statusAnd(/Permission denied.*/),
  },
  {
    keywords: ['remoteForward'],
    with: ['RemoteForward=127.0.0.1:FREE 127.0.0.1:PEER'],
    command: 'grep -c ":$(printf %04X FREE) .* 0A " /proc/net/tcp',
  },
  { keywords: ['requestTTY'], with: ['RequestTTY=force'], command: 'test -t 0; echo $?' },
  {
    keywords: ['requiredRSASize'],
    with: ['RequiredRSASize=4096'],
    options: ['IdentityFile=FOLDER/rsa', 'BatchMode=yes'],
    seen: status,
  },
  {
    keywords: ['sessionType'],
    with: ['SessionType=subsystem'],
    command: 'none-such',
    seen: statusAnd(/subsystem request failed/),
  },
  {
    keywords: ['remoteCommand'],
    with: ['RemoteCommand=echo remote'],
    options: ['RequestTTY=no'],
    command: '',
    input: 'exit 3\n',
  },
  { keywords: ['stdinNull'], with: ['StdinNull=yes'], command: 'cat', input: 'some input' },
  {
    keywords: ['streamLocalBindMask'],
    with: ['StreamLocalBindMask=0117'],
    options: [
      'LocalForward=FOLDER/PROGRAM.sock 127.0.0.1:PEER',
      'StreamLocalBindUnlink=yes',
      'PermitLocalCommand=yes',
      'LocalCommand=stat -c %%a FOLDER/PROGRAM.sock',
    ],
  },
  {
    keywords: ['strictHostKeyChecking'],
    with: ['StrictHostKeyChecking=accept-new'],
    options: ['UserKnownHostsFile=FOLDER/PROGRAM.known'],
    seen: statusAnd(/Permanently added .*|Host key verification failed/),
  },
  {
    keywords: ['hashKnownHosts'],
    with: ['HashKnownHosts=yes'],
    options: [
      'StrictHostKeyChecking=accept-new',
      'UserKnownHostsFile=FOLDER/PROGRAM.hashed',
      'PermitLocalCommand=yes',
      'LocalCommand=cut -c 1 FOLDER/PROGRAM.hashed; rm FOLDER/PROGRAM.hashed',
    ],
  },
  {
    keywords: ['visualHostKey'],
    with: ['VisualHostKey=yes'],
    options: ['HostKeyAlgorithms=rsa-sha2-256'],
    seen: lines(/^[+|].*/),
  },
  // Newer than 9.2, or about places in another source.
  {
    keywords: ['logVerbose'],
    with: ['LogVerbose=*'],
    quiet: true,
    seen: ({ stderr }) => stderr.includes('debug3: '),
    newer: true,
  },
  {
    keywords: ['warnWeakCrypto'],
    with: ['WarnWeakCrypto=no'],
    options: [],
    seen: lines(/WARNING/),
    newer: [],
  },
  {
    keywords: ['channelTimeout'],
    with: ['ChannelTimeout=session:command=1'],
    command: 'sleep 20; echo late',
    newer: [255, ''],
  },
  {
    keywords: ['refuseConnection'],
    with: ['RefuseConnection="not today"'],
    seen: statusAnd(/not today/),
    newer: [255, 'not today'],
  },
]

/** Shown by other tests: a word of it stands in the file. */
const elsewhere: Readonly<Partial<Record<Property, readonly [file: string, words: string]>>> = {
  user: ['openssh/ssh-config.test.ts', 'User'],
  hostName: ['interop/client-options.test.ts', 'HostName'],
  port: ['openssh/ssh-g.test.ts', 'Port'],
  canonicalizeFallbackLocal: ['interop/canonicalize.test.ts', 'CanonicalizeFallbackLocal'],
  canonicalizeHostname: ['interop/canonicalize.test.ts', 'CanonicalizeHostname'],
  canonicalizeMaxDots: ['interop/canonicalize.test.ts', 'CanonicalizeMaxDots'],
  canonicalDomains: ['interop/canonicalize.test.ts', 'CanonicalDomains'],
  canonicalizePermittedCNAMEs: ['interop/canonicalize.test.ts', 'CanonicalizePermittedCNAMEs'],
  verifyHostKeyDNS: ['interop/dns.test.ts', 'VerifyHostKeyDNS=yes'],
  checkHostIP: ['hostkeys/verifier.test.ts', 'checkHostIP'],
  noHostAuthenticationForLocalhost: ['hostkeys/verifier.test.ts', 'noHostAuthenticationForLocalhost'],
  hostKeyAlias: ['interop/client-options.test.ts', 'HostKeyAlias'],
  knownHostsCommand: ['interop/client-options.test.ts', 'KnownHostsCommand='],
  revokedHostKeys: ['interop/client-options.test.ts', 'RevokedHostKeys='],
  updateHostKeys: ['interop/client-options.test.ts', 'UpdateHostKeys=yes'],
  userKnownHostsFile: ['interop/client-options.test.ts', 'UserKnownHostsFile='],
  globalKnownHostsFile: ['hostkeys/verifier.test.ts', 'globalKnownHostsFiles'],
  exitOnForwardFailure: ['interop/client-forwards.test.ts', 'ExitOnForwardFailure'],
  gatewayPorts: ['interop/forwarding.test.ts', 'GatewayPorts'],
  permitRemoteOpen: ['interop/client-forwards.test.ts', 'PermitRemoteOpen'],
  streamLocalBindUnlink: ['interop/forwarding.test.ts', 'StreamLocalBindUnlink'],
  forwardAgent: ['interop/forwarding.test.ts', "'-A'"],
  identityFile: ['interop/client-options.test.ts', 'IdentityFile'],
  identityAgent: ['interop/client-options.test.ts', 'IdentityAgent='],
  certificateFile: ['interop/client-options.test.ts', 'CertificateFile='],
  addKeysToAgent: ['interop/client-options.test.ts', 'AddKeysToAgent=yes'],
  permitLocalCommand: ['interop/client-options.test.ts', 'PermitLocalCommand=yes'],
  localCommand: ['interop/client-options.test.ts', 'LocalCommand='],
  proxyCommand: ['interop/client-options.test.ts', 'ProxyCommand='],
  proxyJump: ['interop/client-options.test.ts', "'-J'"],
  connectTimeout: ['interop/client-options.test.ts', 'ConnectTimeout=1'],
  serverAliveInterval: ['interop/client-options.test.ts', 'ServerAliveInterval=1'],
  serverAliveCountMax: ['interop/client-options.test.ts', 'ServerAliveCountMax=1'],
  forkAfterAuthentication: ['interop/client-options.test.ts', "'-f'"],
  rekeyLimit: ['interop/openssh-server.test.ts', 'RekeyLimit'],
  escapeChar: ['commands/tssh-terminal.test.ts', 'escapes'],
  enableEscapeCommandline: ['interop/escapes.test.ts', 'EnableEscapeCommandline=yes'],
  obscureKeystrokeTiming: ['commands/tssh-terminal.test.ts', 'keystroke timing'],
  preferredAuthentications: ['commands/tssh-terminal.test.ts', 'PreferredAuthentications'],
  pubkeyAuthentication: ['interop/client-keywords.test.ts', 'PubkeyAuthentication=no'],
  ignoreUnknown: ['openssh/ssh-g.test.ts', 'IgnoreUnknown'],
  tag: ['openssh/ssh-config.test.ts', 'tagged'],
  syslogFacility: ['interop/syslog.test.ts', 'SyslogFacility=LOCAL3'],
}

/** By tests of their own below. */
const shownHere: readonly Property[] = [
  ...(['versionAddendum', 'tcpKeepAlive', 'ipQoS', 'kbdInteractiveAuthentication', 'kbdInteractiveDevices'] as const),
]

/** Their feature is not there: a value that needs it is warned of or refused. */
const waiting: readonly Property[] = [
  ...(['forwardX11', 'forwardX11Trusted', 'forwardX11Timeout', 'xAuthLocation'] as const),
  ...(['controlMaster', 'controlPath', 'controlPersist', 'proxyUseFdpass'] as const),
  ...(['gssapiAuthentication', 'gssapiDelegateCredentials'] as const),
  ...(['hostbasedAuthentication', 'hostbasedAcceptedAlgorithms', 'enableSSHKeysign'] as const),
  ...(['tunnel', 'tunnelDevice', 'pkcs11Provider', 'securityKeyProvider'] as const),
]

test('each keyword has its evidence', () => {
  const shown = rows.flatMap(row => row.keywords)
  const named = [...shown, ...shownHere, ...Object.keys(elsewhere), ...waiting]
  expect(named.toSorted()).toEqual(Object.keys(sshKeywords).toSorted())
  for (const [file, words] of Object.values(elsewhere))
    expect(readFileSync(fileURLToPath(new URL(`../${file}`, import.meta.url)), 'utf8'), file).toContain(words)
})

describe.skipIf(!haveProgram('sshd'))('keywords of ssh_config', () => {
  let peer: RunningSshd
  let folder = ''
  let closedPort = 0
  let agent = 0
  const path = (name: string): string => join(folder, name)

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'tssh-keywords-'))
    closedPort = await freePort()
    const keygen = (...args: string[]): void => void execFileSync('ssh-keygen', ['-q', ...args])
    for (const name of ['ca', 'host', 'rsa'])
      keygen('-t', name === 'rsa' ? 'rsa' : 'ed25519', '-N', '', '-f', path(name))
    keygen('-s', path('ca'), '-h', '-I', 'host', '-n', '127.0.0.1', path('host.pub'))
    peer = await startSshd([
      'AcceptEnv TSSH_*',
      `Subsystem sftp sh -c 'env > ${folder}/sftp-environment; exec /usr/lib/openssh/sftp-server'`,
      'PasswordAuthentication yes',
      `HostKey ${path('host')}`,
      `HostCertificate ${path('host-cert.pub')}`,
    ])
    appendFileSync(join(peer.folder, 'authorized_keys'), readFileSync(path('rsa.pub')))
    const name = `[127.0.0.1]:${peer.port}`
    appendFileSync(peer.knownHosts, `${name} ${readFileSync(path('host.pub'), 'utf8')}`)
    const started = execFileSync('ssh-agent', ['-a', path('agent')], { encoding: 'utf8' })
    agent = Number(/SSH_AGENT_PID=(\d+)/.exec(started)?.[1])
    execFileSync('ssh-add', ['-q', path('rsa')], {
      env: { ...process.env, SSH_AUTH_SOCK: path('agent') },
      stdio: 'ignore',
    })
    writeFileSync(path('certified'), `@cert-authority * ${readFileSync(path('ca.pub'), 'utf8')}`)
    writeFileSync(path('empty'), '')
    writeFileSync(path('asked'), '')
    writeFileSync(path('askpass'), `#!/bin/sh\necho "$1" >> "$ASKED"\necho wrong\n`, { mode: 0o755 })
  })
  afterAll(() => {
    peer?.close()
    if (agent) process.kill(agent)
    rmSync(folder, { recursive: true, force: true })
  })

  const run = async (program: 'ssh' | 'tssh', row: Row, more: readonly string[]): Promise<Ran> => {
    const { command = 'true', input, env, options = [], quiet } = row
    const port = await freePort()
    const filled = (text: string): string =>
      text
        .replaceAll('FOLDER', folder)
        .replaceAll('PROGRAM', program)
        .replaceAll('FREE', String(port))
        .replaceAll('CLOSED', String(closedPort))
        .replaceAll('PEER', String(peer.port))
    const own = [...more, ...options].map(filled)
    const all = [
      ...own,
      ...['IdentityAgent=none', 'GlobalKnownHostsFile=none', 'IdentitiesOnly=yes', `Port=${peer.port}`],
      ...[`UserKnownHostsFile=${peer.knownHosts}`, 'BatchMode=no'],
      ...(own.some(option => option.startsWith('IdentityFile')) ? [] : [`IdentityFile=${peer.identity}`]),
    ]
    const flags = ['-F', 'none', ...all.flatMap(option => ['-o', option]), ...(quiet ? [] : ['-v'])]
    const args = [...flags, '127.0.0.1', ...(command === '' ? [] : [filled(command)])]
    const ran = await runProgram(
      program === 'ssh' ? 'ssh' : process.execPath,
      program === 'ssh' ? args : [tssh, ...args],
      {
        ...(input !== undefined && { input }),
        env: { SSH_ASKPASS: path('askpass'), SSH_ASKPASS_REQUIRE: 'force', ASKED: path('asked'), ...env },
        timeout: 60_000,
      },
    )
    return { ...ran, stderr: ran.stderr.replaceAll(String(port), 'FREE') }
  }
  /** Runs without a setting, by what else they have. */
  const without = new Map<string, Promise<Ran>>()
  const runWithout = (program: 'ssh' | 'tssh', row: Row): Promise<Ran> => {
    const { command, input, env, options, quiet } = row
    const key = JSON.stringify([program, command, input, env, options, quiet])
    const known = without.get(key) ?? run(program, row, [])
    without.set(key, known)
    return known
  }

  const usual = ({ status, stdout }: Ran): unknown => [status, stdout.toString().replaceAll('\r\n', '\n')]

  test.concurrent.each(rows)('$keywords', { timeout: 90_000 }, async row => {
    const seen = row.seen ?? usual
    if (row.newer !== undefined) {
      expect(seen(await run('tssh', row, row.with))).toEqual(row.newer)
      return
    }
    const [theirs, ours] = await Promise.all([run('ssh', row, row.with), run('tssh', row, row.with)])
    const [theirsWithout, oursWithout] = await Promise.all([runWithout('ssh', row), runWithout('tssh', row)])
    expect(seen(ours), `${ours.stderr}\n---\n${theirs.stderr}`).toEqual(seen(theirs))
    expect(seen(oursWithout), `${oursWithout.stderr}\n---\n${theirsWithout.stderr}`).toEqual(seen(theirsWithout))
    expect(seen(ours)).not.toEqual(seen(oursWithout))
  })

  test('VersionAddendum is part of the first line', async () => {
    let heard = ''
    const server = createServer(socket => {
      socket.once('data', data => {
        heard = data.toString()
        socket.destroy()
      })
    })
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const options = ['-F', 'none', '-p', String(port), '-o', 'VersionAddendum=more words']
    await runProgram(process.execPath, [tssh, ...options, '127.0.0.1', 'true'])
    server.close()
    expect(heard).toMatch(/^SSH-2\.0-tssh_\S+ more words\r\n/)
  })

  test.skipIf(!haveProgram('strace'))('TCPKeepAlive and IPQoS reach the socket', { timeout: 90_000 }, async () => {
    const calls = async (name: string, ...argv: string[]): Promise<string> => {
      const options = [
        'TCPKeepAlive=no',
        'IPQoS=af21 cs1',
        'IdentityAgent=none',
        `UserKnownHostsFile=${peer.knownHosts}`,
      ]
      const flags = ['-F', 'none', '-p', String(peer.port), '-i', peer.identity, ...options.flatMap(o => ['-o', o])]
      const trace = ['-f', '-e', 'trace=setsockopt', '-o', path(`${name}.trace`)]
      await runProgram('strace', [...trace, ...argv, ...flags, '127.0.0.1', 'sleep 1'], { timeout: 60_000 })
      return readFileSync(path(`${name}.trace`), 'utf8')
    }
    for (const [name, ...argv] of [
      ['ssh', 'ssh'],
      ['tssh', process.execPath, tssh],
    ] as const) {
      const trace = await calls(name, ...argv)
      expect(trace, name).not.toMatch(/SO_KEEPALIVE, \[1\]/)
      // cs1 is 0x20.
      expect(trace, name).toMatch(/IP_TOS, \[(32|0x20)\]/)
    }
  })

  test('KbdInteractiveDevices are told, and KbdInteractiveAuthentication no asks nothing', {
    timeout: 90_000,
  }, async () => {
    const told: string[] = []
    const server = await startListening({
      authentication: () => ({
        authority: {
          async keyboardInteractive(_user, dialogue, submethods) {
            told.push(submethods)
            await dialogue.ask('', '', [{ text: 'Word: ', echo: false }])
            return { accepted: true }
          },
        },
      }),
    })
    try {
      const attempt = (argv: readonly string[], ...more: string[]): Promise<Ran> => {
        const options = ['IdentityAgent=none', `UserKnownHostsFile=${server.knownHosts}`, ...more].flatMap(o => [
          '-o',
          o,
        ])
        const [file = '', ...args] = argv
        return runProgram(
          file,
          [...args, '-F', 'none', '-p', String(server.server.port), ...options, '127.0.0.1', 'true'],
          {
            env: { SSH_ASKPASS: path('askpass'), SSH_ASKPASS_REQUIRE: 'force', ASKED: path('asked') },
          },
        )
      }
      for (const argv of [['ssh'], [process.execPath, tssh]]) {
        told.length = 0
        expect((await attempt(argv, 'KbdInteractiveDevices=pam,skey')).status, argv[0]).toBe(0)
        expect(told, argv[0]).toEqual(['pam,skey'])
        expect((await attempt(argv, 'KbdInteractiveAuthentication=no')).status, argv[0]).toBe(255)
        expect(told, argv[0]).toEqual(['pam,skey'])
      }
    } finally {
      await server.close()
    }
  })

  test('a changed host key that is accepted gets no secrets and no forwards', { timeout: 90_000 }, async () => {
    const stranger = readFileSync(path('ca.pub'), 'utf8')
    writeFileSync(path('changed'), `[127.0.0.1]:${peer.port} ${stranger}`)
    writeFileSync(path('revoked'), `@revoked [127.0.0.1]:${peer.port} ${readFileSync(path('host.pub'), 'utf8')}`)
    const wanted = [
      'ForwardAgent=yes',
      'ForwardX11=yes',
      'LocalForward=FREE 127.0.0.1:PEER',
      'RemoteForward=FREE 127.0.0.1:PEER',
    ]
    const base = ['StrictHostKeyChecking=no', 'HostKeyAlgorithms=ssh-ed25519', 'UpdateHostKeys=yes']
    const disabled = lines(/.* (is )?disabled (to|because|due) .*/)
    const shown = ({ status, stdout, stderr }: Ran) => [status, stdout.toString(), disabled({ status, stdout, stderr })]
    for (const [file, ...more] of [
      ['changed', ...wanted],
      ['revoked'],
      ['changed', ...wanted, 'ExitOnForwardFailure=yes'],
      ['changed', 'PasswordAuthentication=no', 'KbdInteractiveAuthentication=no', 'ExitOnForwardFailure=yes'],
      // Nothing is left that could log in, and nobody is asked.
      ['changed', 'PubkeyAuthentication=no'],
    ] as const) {
      const row: Row = {
        keywords: [],
        with: [],
        options: [`UserKnownHostsFile=FOLDER/${file}`, ...base, ...more],
        command: 'test -z "$SSH_AUTH_SOCK" && echo in || echo agent',
        quiet: true,
        env: { SSH_AUTH_SOCK: path('agent'), DISPLAY: ':9' },
      }
      writeFileSync(path('asked'), '')
      const [theirs, ours] = await Promise.all([run('ssh', row, []), run('tssh', row, [])])
      expect(shown(ours), `${file} ${more.join(' ')}\n${ours.stderr}\n---\n${theirs.stderr}`).toEqual(shown(theirs))
      expect(readFileSync(path('asked'), 'utf8')).toBe('')
    }
  })

  test('what a session is given, tsftp gives its session too: variables and, when asked to, the agent', {
    timeout: 90_000,
  }, async () => {
    const tsftp = fileURLToPath(new URL('../../bin/tsftp.js', import.meta.url))
    const options = ['SendEnv=TSSH_S*', 'SetEnv=TSSH_SET=value', `UserKnownHostsFile=${peer.knownHosts}`].flatMap(o => [
      '-o',
      o,
    ])
    const flags = ['-F', 'none', '-b', '-', '-P', String(peer.port), '-i', peer.identity, ...options]
    const env = { TSSH_SENT: 'sent', SSH_AUTH_SOCK: path('agent') }
    const given = async (file: string, ...args: string[]): Promise<string[]> => {
      rmSync(path('sftp-environment'), { force: true })
      const ran = await runProgram(file, [...args, '127.0.0.1'], { env, input: 'pwd\n', timeout: 60_000 })
      expect(ran.status, ran.stderr).toBe(0)
      const names = readFileSync(path('sftp-environment'), 'utf8').split('\n')
      return names
        .filter(line => /^(TSSH_|SSH_AUTH_SOCK)/.test(line))
        .map(line => line.replace(/SOCK=.*/, 'SOCK'))
        .toSorted()
    }
    for (const more of [[], ['-A']]) {
      const theirs = await given('sftp', ...more, ...flags)
      expect(theirs).toEqual([...(more.length > 0 ? ['SSH_AUTH_SOCK'] : []), 'TSSH_SENT=sent', 'TSSH_SET=value'])
      expect(await given(process.execPath, tsftp, ...more, ...flags)).toEqual(theirs)
    }
  })
})
