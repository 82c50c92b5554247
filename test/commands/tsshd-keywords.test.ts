import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sshdKeywords } from '../../src/openssh/sshd-config.ts'
import { haveProgram } from '../support/programs.ts'
import { canAddUsers } from '../support/root-tsshd.ts'
import { startSshd } from '../support/sshd.ts'
import { type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/**
 * Every keyword of sshd_config(5) makes a difference. Here are those that no other test shows with a real client; the
 * others are named with their file, and what waits with its reason.
 */

type Property = keyof typeof sshdKeywords

const shownHere: readonly Property[] = [
  ...(['ciphers', 'macs', 'compression', 'fingerprintHash', 'moduliFile', 'pubkeyAcceptedAlgorithms'] as const),
  ...(['useDNS', 'clientAliveInterval', 'clientAliveCountMax', 'printMotd', 'kbdInteractiveAuthentication'] as const),
  ...(['hostKeyAgent', 'tcpKeepAlive', 'ipQoS'] as const),
]

const files: Readonly<Record<string, readonly Property[]>> = {
  'commands/tsshd.test.ts': [
    ...([
      'port',
      'addressFamily',
      'listenAddress',
      'maxAuthTries',
      'maxSessions',
      'loginGraceTime',
      'pidFile',
    ] as const),
    ...([
      'permitRootLogin',
      'pubkeyAuthentication',
      'passwordAuthentication',
      'permitTTY',
      'banner',
      'hostKey',
    ] as const),
    ...(['acceptEnv', 'forceCommand', 'allowUsers', 'permitEmptyPasswords'] as const),
  ],
  'commands/tsshd-root.test.ts': [
    ...(['usePAM', 'pamServiceName', 'unusedConnectionTimeout', 'permitUserRC', 'exposeAuthInfo'] as const),
    ...(['refuseConnection', 'chrootDirectory', 'versionAddendum', 'denyUsers', 'allowGroups', 'denyGroups'] as const),
    ...(['authenticationMethods', 'channelTimeout', 'subsystem', 'permitUserEnvironment', 'setEnv'] as const),
    ...(['perSourcePenalties', 'strictModes'] as const),
  ],
  'commands/tsshd-rules.test.ts': [
    ...(['maxStartups', 'perSourceMaxStartups', 'perSourceNetBlockSize', 'perSourcePenaltyExemptList'] as const),
    'logLevel',
  ],
  'commands/tsshd-forwarding.test.ts': [
    ...(['allowTcpForwarding', 'allowAgentForwarding', 'disableForwarding', 'allowStreamLocalForwarding'] as const),
    ...(['streamLocalBindMask', 'streamLocalBindUnlink', 'gatewayPorts', 'permitOpen', 'permitListen'] as const),
  ],
  'commands/tsshd-keys.test.ts': [
    ...(['authorizedKeysFile', 'authorizedKeysCommand', 'authorizedKeysCommandUser', 'pubkeyAuthOptions'] as const),
  ],
  'interop/certificates.test.ts': [
    ...(['trustedUserCAKeys', 'authorizedPrincipalsFile', 'authorizedPrincipalsCommand', 'revokedKeys'] as const),
    ...(['authorizedPrincipalsCommandUser', 'hostCertificate', 'requiredRSASize'] as const),
  ],
  'interop/openssh-client.test.ts': ['kexAlgorithms', 'hostKeyAlgorithms', 'rekeyLimit'],
  'userauth/certificates.test.ts': ['caSignatureAlgorithms'],
  'interop/syslog.test.ts': ['syslogFacility'],
  'interop/rc-files.test.ts': ['printLastLog'],
}
/** Under which word another file has a keyword, where that is not its name. */
const words: Readonly<Partial<Record<Property, string>>> = { caSignatureAlgorithms: 'authorityAlgorithms' }

/** Their feature is not there: a value that needs it is warned of, stops the server, or is read for the sake of old files. */
const waiting: readonly Property[] = [
  ...(['x11Forwarding', 'x11DisplayOffset', 'x11UseLocalhost', 'xAuthLocation', 'permitTunnel'] as const),
  ...(['gssapiAuthentication', 'gssapiCleanupCredentials', 'gssapiDelegateCredentials'] as const),
  ...(['gssapiStrictAcceptorCheck', 'hostbasedAuthentication', 'hostbasedAcceptedAlgorithms'] as const),
  ...(['hostbasedUsesNameFromPacketOnly', 'ignoreRhosts', 'ignoreUserKnownHosts'] as const),
  ...(['securityKeyProvider', 'sshdAuthPath', 'sshdSessionPath', 'rDomain', 'logVerbose'] as const),
]

test('each keyword has its evidence', () => {
  const named = [...shownHere, ...Object.values(files).flat(), ...waiting]
  expect(named.toSorted()).toEqual(Object.keys(sshdKeywords).toSorted())
  for (const [file, properties] of Object.entries(files)) {
    const text = readFileSync(fileURLToPath(new URL(`../${file}`, import.meta.url)), 'utf8').toLowerCase()
    for (const property of properties) {
      const word = (words[property] ?? sshdKeywords[property].name).toLowerCase()
      expect(text.includes(word), `${property} in ${file}`).toBe(true)
    }
  }
})

describe.runIf(canAddUsers)('keywords of sshd_config', { timeout: 90_000 }, () => {
  const servers: RunningTsshd[] = []
  const serve = async (...config: string[]): Promise<RunningTsshd> => {
    const server = await startTsshd(config)
    servers.push(server)
    return server
  }
  let usual: RunningTsshd
  beforeAll(async () => {
    usual = await serve('KexAlgorithms +diffie-hellman-group-exchange-sha256')
  })
  afterAll(async () => {
    for (const server of servers) await server.close()
  })

  test('Ciphers, Macs, Compression, FingerprintHash, ModuliFile', async () => {
    const moduli = readFileSync('/etc/ssh/moduli', 'utf8').split('\n')
    const small = join(usual.folder, 'moduli')
    writeFileSync(small, moduli.filter(line => / 2047 /.test(line)).join('\n'))
    const other = await serve(
      ...['Ciphers aes192-ctr', 'Macs hmac-sha2-512', 'Compression no', 'FingerprintHash md5', `ModuliFile ${small}`],
      'KexAlgorithms diffie-hellman-group-exchange-sha256',
    )
    const gex = ['-o', 'KexAlgorithms=diffie-hellman-group-exchange-sha256', '-o', 'Compression=yes', '-vv']
    const [before, after] = [await usual.ssh(...gex, 'true'), await other.ssh(...gex, 'true')]
    expect([before.status, after.status], before.stderr).toEqual([0, 0])
    const agreed = 'server->client cipher: aes192-ctr MAC: hmac-sha2-512 compression: none'
    expect(before.stderr).not.toContain(agreed)
    expect(before.stderr).toContain('compression: zlib@openssh.com')
    expect(after.stderr).toContain(agreed)
    expect(before.stderr).not.toMatch(/bits set: \d+\/2048/)
    expect(after.stderr).toMatch(/bits set: \d+\/2048/)
    expect(usual.log()).toMatch(/Accepted publickey .* SHA256:/)
    expect(other.log()).toMatch(/Accepted publickey .* MD5:/)
  })

  test('HostKeyAgent: an agent signs, also when keys are exchanged again', async () => {
    const file = join(usual.folder, 'agent_host_key')
    const socket = join(usual.folder, 'agent')
    execFileSync('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', file])
    const started = execFileSync('ssh-agent', ['-a', socket], { encoding: 'utf8' })
    try {
      execFileSync('ssh-add', ['-q', file], { env: { ...process.env, SSH_AUTH_SOCK: socket }, stdio: 'ignore' })
      rmSync(file)
      const other = await serve(`HostKeyAgent ${socket}`, `HostKey ${file}.pub`)
      appendFileSync(other.knownHosts, `[127.0.0.1]:${other.port} ${readFileSync(`${file}.pub`, 'utf8')}`)
      const flags = ['-o', 'HostKeyAlgorithms=ecdsa-sha2-nistp256', '-o', 'RekeyLimit=200K', '-v']
      // More than a window: what fits in one may be there, and the session over, before new keys are.
      const ran = await other.ssh(...flags, 'head -c 5000000 /dev/zero | cat')
      expect(ran.status, ran.stderr).toBe(0)
      expect(ran.stdout.length).toBe(5_000_000)
      expect(ran.stderr.match(/Server host key: ecdsa-sha2-nistp256/g)?.length).toBeGreaterThan(1)
    } finally {
      process.kill(Number(/SSH_AGENT_PID=(\d+)/.exec(started)?.[1]))
    }
  })

  test('RequiredRSASize counts for host keys too', async () => {
    const file = join(usual.folder, 'small_host_key')
    execFileSync('ssh-keygen', ['-q', '-t', 'rsa', '-b', '2048', '-N', '', '-f', file])
    const other = await serve('RequiredRSASize 3072', `HostKey ${file}`)
    expect(other.log()).toContain(`Host key ${file}: Invalid key length`)
    const offered = await other.ssh('-o', 'HostKeyAlgorithms=rsa-sha2-512', 'true')
    expect(offered.stderr).toContain('no matching host key type found')
  })

  test('PubkeyAcceptedAlgorithms', async () => {
    const other = await serve('PubkeyAcceptedAlgorithms rsa-sha2-512')
    expect((await other.ssh('true')).status).toBe(255)
    expect((await usual.ssh('true')).status).toBe(0)
  })

  test('UseDNS: names count where they are looked up', async () => {
    const other = await serve('UseDNS yes')
    usual.authorize('from="localhost"')
    other.authorize('from="localhost"')
    expect((await other.ssh('true')).status).toBe(0)
    expect((await usual.ssh('true')).status).toBe(255)
    usual.authorize('from="127.0.0.1"')
  })

  test('KbdInteractiveAuthentication', async () => {
    const offered = async (server: RunningTsshd): Promise<string | undefined> =>
      /Authentications that can continue: (.*)/.exec(
        (await server.ssh('-v', '-o', 'PubkeyAuthentication=no', 'true')).stderr,
      )?.[1]
    expect((await offered(await serve('UsePAM yes')))?.trim().split(',')).toContain('keyboard-interactive')
    const without = await offered(await serve('UsePAM yes', 'KbdInteractiveAuthentication no'))
    expect(without?.trim().split(',')).not.toContain('keyboard-interactive')
  })

  test.runIf(existsSync('/etc/motd') && readFileSync('/etc/motd', 'utf8').trim() !== '')('PrintMotd', async () => {
    const [line = ''] = readFileSync('/etc/motd', 'utf8').trim().split('\n')
    const other = await serve('PrintMotd no')
    const shown = (server: RunningTsshd): Promise<string> =>
      new Promise(resolve => {
        const child = spawn('ssh', server.sshArgs('-tt'), { stdio: ['pipe', 'pipe', 'ignore'] })
        let output = ''
        child.stdout.on('data', (data: Buffer) => (output += data.toString()))
        child.once('exit', () => resolve(output))
        child.stdin.end('exit\n')
      })
    expect(await shown(usual)).toContain(line)
    expect(await shown(other)).not.toContain(line)
  })

  test.runIf(haveProgram('ss') && haveProgram('sshd'))('TCPKeepAlive and IPQoS reach the socket', async () => {
    const rules = ['TCPKeepAlive no', 'IPQoS af21 cs1']
    const [theirs, ours] = [await startSshd(rules), await serve(...rules)]
    /** What the kernel says of a session's connection, once it says what is looked for. */
    const socketOf = async ({ port, identity }: { port: number; identity: string }, wanted: RegExp) => {
      const options = ['IdentityAgent=none', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null']
      const flags = ['-F', 'none', '-p', String(port), '-i', identity, ...options.flatMap(option => ['-o', option])]
      const child = spawn('ssh', [...flags, '127.0.0.1', 'cat'], { stdio: ['pipe', 'ignore', 'ignore'] })
      const filter = ['state', 'established', `sport = :${port}`]
      const look = () => execFileSync('ss', ['-Htno', '--tos', ...filter], { encoding: 'utf8' })
      try {
        let shown = ''
        for (let tries = 0; tries < 400 && !wanted.test(shown); tries++) {
          await new Promise(resolve => setTimeout(resolve, 50))
          shown = look()
        }
        return shown
      } finally {
        child.kill('SIGKILL')
      }
    }
    try {
      for (const server of [theirs, ours]) {
        // cs1
        const shown = await socketOf(server, /tos:0x20/)
        expect(shown).toContain('tos:0x20')
        expect(shown).not.toContain('keepalive')
      }
      expect(await socketOf(usual, /keepalive/)).toContain('timer:(keepalive')
    } finally {
      theirs.close()
    }
  })

  test.runIf(haveProgram('ssh'))(
    'ClientAliveInterval and ClientAliveCountMax: a client that stands still is given up',
    async () => {
      const other = await serve('ClientAliveInterval 1', 'ClientAliveCountMax 1')
      const child = spawn('ssh', [...other.sshArgs(), 'sleep 60'], { stdio: 'ignore' })
      const logged = async (pattern: RegExp): Promise<void> => {
        for (let tries = 0; tries < 600 && !pattern.test(other.log()); tries++)
          await new Promise(resolve => setTimeout(resolve, 50))
        expect(other.log()).toMatch(pattern)
      }
      try {
        await logged(/Accepted publickey/)
        child.kill('SIGSTOP')
        await logged(/Timeout, client not responding/)
      } finally {
        child.kill('SIGKILL')
      }
    },
  )
})
