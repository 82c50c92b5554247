import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allSignatureAlgorithms, defaultSignatureAlgorithms, isX509Algorithm } from '../../lib/keys/algorithms.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { parseX509Line } from '../../lib/keys/x509/text.ts'
import { connect } from '../../src/index.ts'
import { type AsyncsshClient, startAsyncsshClient } from '../support/asyncssh.ts'
import { makeX509, startX509Server, x509Kinds } from '../support/asyncssh-x509.ts'
import { havePythonModule } from '../support/programs.ts'
import { type RunningTsshd, startTsshd } from '../support/tsshd.ts'

/** X.509 certificates (RFC 6187) made, shown and judged by AsyncSSH. */
describe.skipIf(!havePythonModule('asyncssh') || !havePythonModule('OpenSSL'))('X.509 certificates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-x509-'))
  const path = (name: string): string => join(folder, name)
  chmodSync(folder, 0o755)
  const { username: user } = userInfo()
  const host = '127.0.0.1'
  let root = ''
  beforeAll(async () => {
    await makeX509(folder, user, host)
    root = readFileSync(path('root'), 'utf8')
    for (const kind of x509Kinds) chmodSync(path(kind), 0o600)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const algorithms = [
    ...x509Kinds.map(kind => ({ algorithm: `x509v3-${kind}`, kind })),
    { algorithm: 'x509v3-rsa2048-sha256', kind: 'ssh-rsa' },
  ]

  it('are tried under every name there is', () => {
    const names = algorithms.map(({ algorithm }) => algorithm)
    expect(new Set(names)).toEqual(new Set(allSignatureAlgorithms.filter(isX509Algorithm)))
    expect(defaultSignatureAlgorithms.filter(isX509Algorithm)).toEqual([])
  })

  interface Attempt {
    readonly port: number
    readonly algorithm: string
    readonly kind: string
    /** The one line of known_hosts. */
    readonly known?: string
    readonly more?: readonly string[]
  }
  /** What went wrong, or else what the command said. */
  async function login({ port, algorithm, kind, known, more = [] }: Attempt): Promise<string> {
    writeFileSync(path('known_hosts'), known ?? `@cert-authority [${host}]:${port} ${root}`)
    try {
      const client = await connect({
        host,
        port,
        user,
        identityFiles: [path(kind)],
        configFile: 'none',
        options: [
          ...more,
          `HostKeyAlgorithms ${algorithm}`,
          `PubkeyAcceptedAlgorithms ${algorithm}`,
          `UserKnownHostsFile ${path('known_hosts')}`,
          'GlobalKnownHostsFile none',
          'StrictHostKeyChecking yes',
          'IdentityAgent none',
        ],
      })
      try {
        expect(client.algorithms.hostKey).toBe(algorithm)
        return (await client.run('echo works')).stdout.toString()
      } finally {
        await client.close()
      }
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  describe('our client at an asyncssh server', () => {
    let server: { readonly port: number; close(): void }
    beforeAll(async () => {
      server = await startX509Server(folder, root)
    })
    afterAll(() => server.close())

    it.each(algorithms)('shows and takes $algorithm', async ({ algorithm, kind }) => {
      expect(await login({ port: server.port, algorithm, kind })).toBe('works\n')
    })

    it('takes a host by its subject, its authority, or under its name without the port; not by others', async () => {
      const { port } = server
      const at = (known: string) => login({ port, algorithm: 'x509v3-ssh-ed25519', kind: 'ssh-ed25519', known })
      const name = `[${host}]:${port}`
      const subject = (pattern: string): string => `${name} ${root}${name} x509v3-ssh-rsa subject=${pattern}\n`
      for (const known of [`${host} ${root}`, subject('O=Example,CN=host'), subject('O=Example,*')])
        expect(await at(known), known).toBe('works\n')
      const others = [
        subject('O=Example,CN=other'),
        `elsewhere ${root}`,
        `${name} x509v3-ssh-rsa subject=O=Example,*\n`,
      ]
      for (const known of [...others, `${name} ${root}@revoked * ${root}`])
        expect(await at(known), known).toMatch(/^Host key verification failed/)
      const revoked = await at(`${name} ${root}@revoked * x509v3-ssh-rsa subject=O=Example,CN=middle\n`)
      expect(revoked).toContain(`ED25519 host key for ${name} was revoked`)
    })
  })

  describe('our tsshd and an asyncssh client', () => {
    let server: RunningTsshd
    let client: AsyncsshClient
    beforeAll(async () => {
      writeFileSync(path('trusted'), '')
      writeFileSync(path('revoked'), '')
      server = await startTsshd([
        ...x509Kinds.flatMap(kind => [`HostKey ${path(kind)}`, `HostCertificate ${path(`${kind}.host`)}`]),
        'HostKeyAlgorithms +x509v3-*',
        'PubkeyAcceptedAlgorithms +x509v3-*',
        `TrustedUserCAKeys ${path('trusted')}`,
        `RevokedKeys ${path('revoked')}`,
      ])
      client = startAsyncsshClient()
    })
    afterAll(async () => {
      client.close()
      await server.close()
    })

    async function attempt(algorithm: string, kind: string) {
      writeFileSync(path('known_hosts'), `[${host}]:${server.port} ${root}`)
      return client.run({
        port: server.port,
        username: user,
        client_keys: [path(kind)],
        known_hosts: path('known_hosts'),
        server_host_key_algs: [algorithm],
        signature_algs: [algorithm],
      })
    }
    /** Whether authorized_keys with these lines, or this list of authorities, lets a user in. */
    async function letsIn(lines: string, trusted = ''): Promise<boolean> {
      writeFileSync(server.authorizedKeys, lines)
      writeFileSync(path('trusted'), trusted)
      return (await attempt('x509v3-ssh-ed25519', 'ssh-ed25519')).output === 'works\n'
    }
    const own = (): string => {
      const pem = readFileSync(path('ssh-ed25519-cert.pub'), 'utf8').split('-----END')[0]!
      return `x509v3-ssh-ed25519 ${pem.split('\n').slice(1).join('')}\n`
    }

    it.each(algorithms)('take and show $algorithm', async ({ algorithm, kind }) => {
      writeFileSync(server.authorizedKeys, `cert-authority ${root}`)
      const { output, error } = await attempt(algorithm, kind)
      expect(error).toBeUndefined()
      expect(output).toBe('works\n')
      expect(server.log()).toMatch(
        /Accepted publickey for .* ssh2: \w+-CERT SHA256:\S+ "O=Example,CN=user" \(serial \d+\)/,
      )
    })

    it('by the lines of authorized_keys', async () => {
      expect(await letsIn(own())).toBe(true)
      expect(await letsIn(`subject="O=Example,*" ${own()}`)).toBe(true)
      expect(await letsIn(`cert-authority,principals="nobody,${user}" ${root}`)).toBe(true)
      expect(await letsIn(`cert-authority,subject="O=Example,CN=user" ${root}`)).toBe(true)
      expect(await letsIn('')).toBe(false)
      expect(await letsIn(root)).toBe(false)
      expect(await letsIn(`cert-authority ${own()}`)).toBe(false)
      expect(await letsIn(`cert-authority,principals="nobody" ${root}`)).toBe(false)
      expect(await letsIn(`cert-authority,subject="O=Example,CN=other" ${root}`)).toBe(false)
      expect(await letsIn(`from="10.0.0.1",cert-authority ${root}`)).toBe(false)
      expect(await letsIn(`subject="O=Example" ${own()}`)).toBe(false)
    })

    it('by the authorities that the server trusts', async () => {
      expect(await letsIn('', root)).toBe(true)
      expect(await letsIn('x509v3-ssh-rsa subject=O=Example,CN=user\n', root)).toBe(true)
      expect(await letsIn('x509v3-ssh-rsa subject=O=Example,CN=user\n')).toBe(false)
    })

    it('unless one of the keys is revoked', async () => {
      for (const certificate of [own(), root]) {
        const key = parseX509Line(certificate).publicKey
        writeFileSync(path('revoked'), `${formatPublicKeyLine(key)}\n`)
        expect(await letsIn(`cert-authority ${root}`)).toBe(false)
        expect(server.log()).toContain(`revoked by file ${path('revoked')}`)
      }
      writeFileSync(path('revoked'), '')
      expect(await letsIn(`cert-authority ${root}`)).toBe(true)
    })

    it('where the algorithms are asked for; no other server or client has them', async () => {
      const other = await startTsshd([`HostCertificate ${path('ssh-ed25519.host')}`, `HostKey ${path('ssh-ed25519')}`])
      try {
        const message = await login({ port: other.port, algorithm: 'x509v3-ssh-ed25519', kind: 'ssh-ed25519' })
        expect(message).toContain('no matching host key type found')
      } finally {
        await other.close()
      }
    })
  })
})
