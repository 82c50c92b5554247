import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { runProgram } from '../support/listening.ts'
import { haveProgram } from '../support/programs.ts'
import { type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** Certificates made by ssh-keygen, shown by ssh, judged by our tsshd. */

describe.skipIf(!haveProgram('ssh') || !haveProgram('ssh-keygen'))('certificates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-certificates-'))
  chmodSync(folder, 0o755)
  const path = (name: string): string => join(folder, name)
  const { username: user } = userInfo()
  const servers: RunningTsshd[] = []
  const serve = async (...config: string[]): Promise<RunningTsshd> => {
    const server = await startTsshd(config)
    servers.push(server)
    return server
  }
  afterAll(async () => {
    for (const server of servers) await server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const keygen = (...args: string[]): void => {
    execFileSync('ssh-keygen', ['-q', ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const makeKey = (name: string, type = 'ed25519', ...more: string[]): string => {
    keygen('-t', type, ...more, '-N', '', '-C', name, '-f', path(name))
    return path(name)
  }
  makeKey('ca')
  makeKey('stranger')
  let count = 0
  /** A new key with a certificate; what it shows is the certificate alone. */
  const certify = (args: readonly string[], { ca = 'ca', type = 'ed25519', bits = '' } = {}): string => {
    const key = makeKey(`user${count++}`, type, ...(bits ? ['-b', bits] : []))
    keygen('-s', path(ca), '-I', 'the id', ...args, `${key}.pub`)
    return key
  }
  async function login(server: RunningTsshd, key: string, ...command: string[]): Promise<string> {
    const args = server.sshArgs().map(arg => (arg === server.identity ? key : arg))
    const { stdout } = await runProgram('ssh', [...args, ...(command.length > 0 ? command : ['echo in'])])
    return stdout.toString()
  }
  const letsIn = async (server: RunningTsshd, key: string): Promise<boolean> => (await login(server, key)) === 'in\n'

  describe('of a trusted authority', () => {
    let server: RunningTsshd
    beforeAll(async () => {
      writeFileSync(path('krl'), '')
      keygen('-k', '-f', path('krl'))
      server = await serve(
        'AuthorizedKeysFile none',
        `TrustedUserCAKeys ${path('ca.pub')}`,
        `RevokedKeys ${path('krl')} ${path('revoked')}`,
        'LogLevel VERBOSE',
      )
      writeFileSync(path('revoked'), '# nothing yet\n')
    })

    it.each([
      ['ed25519', ''],
      ['ecdsa', '256'],
      ['ecdsa', '384'],
      ['ecdsa', '521'],
      ['rsa', '2048'],
    ])('let a key of type %s %s in', async (type, bits) => {
      expect(await letsIn(server, certify(['-n', user, '-z', '17'], { type, bits }))).toBe(true)
      expect(server.log()).toMatch(
        new RegExp(
          `Accepted publickey for ${user} from 127.0.0.1 port \\d+ ssh2: ${type.toUpperCase()}-CERT SHA256:\\S+ ID the id \\(serial 17\\) CA ED25519 SHA256:`,
        ),
      )
    })

    it.each([
      ['another principal', ['-n', 'somebody']],
      ['an end that has passed', ['-n', user, '-V', '20200101:20200102']],
      ['a beginning to come', ['-n', user, '-V', '20990101:20990102']],
      ['a network that is not the client’s', ['-n', user, '-O', 'source-address=10.0.0.0/8']],
      ['a critical option that we do not know', ['-n', user, '-O', 'critical:unheard@of=x']],
    ])('with %s lets nobody in', async (_, args) => {
      const before = server.log().length
      expect(await letsIn(server, certify(args))).toBe(false)
      expect(server.log().slice(before)).toContain('Refusing certificate ID "the id"')
    })

    it('of another authority let nobody in', async () => {
      expect(await letsIn(server, certify(['-n', user], { ca: 'stranger' }))).toBe(false)
    })

    it('are obeyed: the command, the network, and what is not permitted', async () => {
      const forced = certify(['-n', user, '-O', 'force-command=echo forced $SSH_ORIGINAL_COMMAND'])
      expect(await login(server, forced, 'asked')).toBe('forced asked\n')
      expect(await letsIn(server, certify(['-n', user, '-O', 'source-address=127.0.0.0/8,10.0.0.0/8']))).toBe(true)
      const bare = certify(['-n', user, '-O', 'clear'])
      expect(await login(server, bare, '-tt', 'tty')).not.toContain('/dev/pts')
      const withPty = certify(['-n', user, '-O', 'clear', '-O', 'permit-pty'])
      expect(await login(server, withPty, '-tt', 'tty')).toContain('/dev/pts')
    })

    it('signed with SHA-1 let nobody in', async () => {
      makeKey('rsa-ca', 'rsa', '-b', '2048')
      const authorities = readFileSync(path('ca.pub'))
      writeFileSync(path('ca.pub'), Buffer.concat([authorities, readFileSync(path('rsa-ca.pub'))]))
      expect(await letsIn(server, certify(['-n', user], { ca: 'rsa-ca' }))).toBe(true)
      expect(await letsIn(server, certify(['-n', user, '-t', 'ssh-rsa'], { ca: 'rsa-ca' }))).toBe(false)
      expect(server.log()).toContain('certificate signature algorithm ssh-rsa')
      writeFileSync(path('ca.pub'), authorities)
    })

    it('that are revoked let nobody in: by a list of keys or a KRL, and none when it cannot be read', async () => {
      const key = certify(['-n', user, '-z', '99'])
      expect(await letsIn(server, key)).toBe(true)
      copyFileSync(`${key}.pub`, path('revoked'))
      expect(await letsIn(server, key)).toBe(false)
      expect(server.log()).toContain('revoked by file')
      copyFileSync(path('ca.pub'), path('revoked'))
      expect(await letsIn(server, key)).toBe(false)
      writeFileSync(path('revoked'), 'no key\n')
      expect(await letsIn(server, key)).toBe(false)
      writeFileSync(path('revoked'), '')
      writeFileSync(path('serials'), 'serial: 98-100\n')
      keygen('-k', '-f', path('krl'), '-s', path('ca.pub'), path('serials'))
      expect(await letsIn(server, key)).toBe(false)
      expect(await letsIn(server, certify(['-n', user, '-z', '101']))).toBe(true)
      rmSync(path('revoked'))
      expect(await letsIn(server, certify(['-n', user]))).toBe(false)
      writeFileSync(path('revoked'), '')
    })
  })

  describe('with principals', () => {
    it('of a file, with options before them', async () => {
      const server = await serve(
        'AuthorizedKeysFile none',
        `TrustedUserCAKeys ${path('ca.pub')}`,
        `AuthorizedPrincipalsFile ${folder}/principals-%u`,
      )
      const file = path(`principals-${user}`)
      writeFileSync(
        file,
        '# who may\nsomebody # else\ncommand="echo forced" alice\nfrom="10.0.0.1" bob\nrestrict carol\n',
      )
      expect(await login(server, certify(['-n', 'alice']), 'x')).toBe('forced\n')
      expect(await letsIn(server, certify(['-n', 'somebody']))).toBe(true)
      expect(await letsIn(server, certify(['-n', 'bob']))).toBe(false)
      expect(await login(server, certify(['-n', 'carol']), '-tt', 'tty')).not.toContain('/dev/pts')
      // The user's own name counts no longer.
      expect(await letsIn(server, certify(['-n', user]))).toBe(false)
      expect(server.log()).toContain('Certificate does not contain an authorized principal')
    })

    it('of a command, which is told about the certificate', async () => {
      const server = await serve(
        'AuthorizedKeysFile none',
        `TrustedUserCAKeys ${path('ca.pub')}`,
        'AuthorizedPrincipalsCommand /bin/echo %i-%s-%u-%t',
        `AuthorizedPrincipalsCommandUser ${user}`,
      )
      const name = `the id-5-${user}-ssh-ed25519-cert-v01@openssh.com`
      // Its output is a line of options and a name: the last word counts.
      writeFileSync(path('unused'), name)
      expect(await letsIn(server, certify(['-n', name.replace('the id', 'id'), '-z', '5']))).toBe(false)
      const key = makeKey('by-command')
      keygen('-s', path('ca'), '-I', 'id', '-n', name.replace('the id', 'id'), '-z', '5', `${key}.pub`)
      expect(await letsIn(server, key)).toBe(true)
    })

    it('on the line of an authority in authorized_keys', async () => {
      const server = await serve()
      const authority = readFileSync(path('ca.pub'), 'utf8')
      const put = (options: string): void => writeFileSync(server.authorizedKeys, `${options} ${authority}`)
      put('cert-authority,principals="alice,bob"')
      expect(await letsIn(server, certify(['-n', 'bob']))).toBe(true)
      expect(await letsIn(server, certify(['-n', user]))).toBe(false)
      put('cert-authority')
      expect(await letsIn(server, certify(['-n', user]))).toBe(true)
      put('cert-authority,command="echo line"')
      expect(await login(server, certify(['-n', user]), 'x')).toBe('line\n')
      expect(await login(server, certify(['-n', user, '-O', 'force-command=other']), 'x')).toBe('')
    })
  })

  it('keys of a command, which must be safe to run and end well', async () => {
    makeKey('by-keys-command')
    const server = await serve(
      'AuthorizedKeysFile none',
      `AuthorizedKeysCommand /bin/cat ${folder}/keys-%u-%t`,
      `AuthorizedKeysCommandUser ${user}`,
    )
    const key = path('by-keys-command')
    const file = path(`keys-${user}-ssh-ed25519`)
    expect(await letsIn(server, key)).toBe(false)
    expect(server.log()).toContain('AuthorizedKeysCommand /bin/cat failed, status 1')
    writeFileSync(file, `command="echo told" ${readFileSync(`${key}.pub`)}`)
    expect(await login(server, key, 'x')).toBe('told\n')

    writeFileSync(path('script'), `#!/bin/sh\ncat ${file}\n`, { mode: 0o777 })
    chmodSync(path('script'), 0o777)
    const unsafe = await serve(
      'AuthorizedKeysFile none',
      `AuthorizedKeysCommand ${path('script')}`,
      `AuthorizedKeysCommandUser ${user}`,
    )
    expect(await letsIn(unsafe, key)).toBe(false)
    expect(unsafe.log()).toContain('Unsafe AuthorizedKeysCommand')
  })

  it('of the host prove it to ssh, which knows the authority alone', async () => {
    const host = generateKey('ed25519')
    writeFileSync(path('certified_host'), formatOpensshV1(host), { mode: 0o600 })
    execFileSync('sh', ['-c', `ssh-keygen -y -f ${path('certified_host')} > ${path('certified_host.pub')}`])
    keygen('-s', path('ca'), '-I', 'host', '-h', '-n', '127.0.0.1', path('certified_host.pub'))
    const server = await serve(
      `HostKey ${path('certified_host')}`,
      `HostCertificate ${path('certified_host-cert.pub')}`,
    )
    writeFileSync(server.knownHosts, `@cert-authority * ${readFileSync(path('ca.pub'))}`)
    const proved = await server.ssh('-v', 'echo in')
    expect(proved.stdout.toString()).toBe('in\n')
    expect(proved.stderr).toContain('ssh-ed25519-cert-v01@openssh.com')
    writeFileSync(server.knownHosts, `@cert-authority * ${readFileSync(path('stranger.pub'))}`)
    expect((await server.ssh('echo in')).status).toBe(255)
  })

  it('RSA keys below RequiredRSASize let nobody in', async () => {
    const server = await serve('RequiredRSASize 3072')
    const [small, large] = [makeKey('rsa2048', 'rsa', '-b', '2048'), makeKey('rsa3072', 'rsa', '-b', '3072')]
    writeFileSync(server.authorizedKeys, `${readFileSync(`${small}.pub`)}${readFileSync(`${large}.pub`)}`)
    expect(await letsIn(server, small)).toBe(false)
    expect(await letsIn(server, large)).toBe(true)
  })
})
