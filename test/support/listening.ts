import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sessionHandler } from '../../commands/tsshd/session.ts'
import { formatOpensshV1 } from '../../lib/keys/formats/openssh-v1.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { formatPublicKeyLine } from '../../lib/keys/public-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { type ListenOptions, listen, type SshServer } from '../../src/api/server.ts'
import { createLog } from '../../src/command/stderr-log.ts'
import { ownAccount } from '../../src/net/accounts.ts'

/** A server of ours on loopback, with keys of its own in a temporary folder, which is the user's home too. */
export interface Listening {
  readonly server: SshServer
  readonly folder: string
  readonly user: string
  readonly hostKey: PrivateKey
  /** A private key file that may log in. */
  readonly identity: string
  readonly knownHosts: string
  /** Lines of the server's log. */
  readonly lines: string[]
  close(): Promise<void>
}

export const testPassword = 'correct horse battery staple'

export async function startListening(options: Partial<ListenOptions> = {}): Promise<Listening> {
  const folder = mkdtempSync(join(tmpdir(), 'tssh-listen-'))
  const hostKeys = [
    generateKey('ed25519'),
    generateKey('ecdsa', 256),
    generateKey('ecdsa', 384),
    generateKey('ecdsa', 521),
    generateKey('rsa', 2048),
  ]
  const userKey = generateKey('ed25519', undefined, 'test key')
  // The start-up files of whoever runs the tests stay out of their sessions: one of them may take seconds, or a lock.
  const account = { ...ownAccount(), home: folder }
  const lines: string[] = []
  const server = await listen({
    hostKeys: hostKeys.map(key => keySigner(key)),
    authentication: () => ({
      authority: {
        publicKey: async (user, key) => ({ accepted: user === account.name && key.equals(userKey.publicKey) }),
        password: async (user, password) => ({ accepted: user === account.name && password === testPassword }),
        async keyboardInteractive(user, dialogue) {
          const [first, second] = await dialogue.ask('', 'Two questions', [
            { text: 'Password: ', echo: false },
            { text: 'Colour: ', echo: true },
          ])
          return { accepted: user === account.name && first === testPassword && second === 'blue' }
        },
      },
    }),
    session: (login, peer) =>
      sessionHandler({
        account,
        permissions: login.permissions,
        peer,
        options: {
          acceptEnv: ['LC_*', 'TSSH_*'],
          setEnv: [],
          subsystem: [
            { name: 'echo', command: 'cat', commandLine: 'cat' },
            { name: 'sftp', command: 'internal-sftp', commandLine: 'internal-sftp' },
          ],
          forceCommand: undefined,
          permitTTY: true,
          permitUserEnvironment: false,
          permitUserRC: false,
          printMotd: false,
        },
        log: createLog('QUIET', () => {}),
      }),
    log: { error: line => lines.push(line), info: line => lines.push(line), debug1: line => lines.push(line) },
    ...options,
  })
  const identity = join(folder, 'id_ed25519')
  writeFileSync(identity, formatOpensshV1(userKey), { mode: 0o600 })
  writeFileSync(`${identity}.pub`, `${formatPublicKeyLine(userKey.publicKey, 'test key')}\n`)
  const knownHosts = join(folder, 'known_hosts')
  writeFileSync(
    knownHosts,
    hostKeys.map(({ publicKey }) => `[127.0.0.1]:${server.port} ${formatPublicKeyLine(publicKey)}\n`).join(''),
  )
  return {
    server,
    folder,
    user: account.name,
    hostKey: hostKeys[0]!,
    identity,
    knownHosts,
    lines,
    async close() {
      await server.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export interface Ran {
  readonly status: number | string
  readonly stdout: Buffer
  readonly stderr: string
}

/** Runs a program to its end, with this input. */
export function runProgram(
  file: string,
  args: readonly string[],
  options: { input?: Buffer | string; env?: NodeJS.ProcessEnv; timeout?: number } = {},
): Promise<Ran> {
  return new Promise(resolve => {
    const child = execFile(
      file,
      [...args],
      {
        encoding: 'buffer',
        maxBuffer: 1 << 30,
        timeout: options.timeout ?? 60_000,
        env: { ...process.env, ...options.env },
      },
      (error, stdout, stderr) => {
        resolve({
          status: error ? (error.code ?? error.signal ?? 'unknown') : 0,
          stdout,
          stderr: stderr.toString('utf8'),
        })
      },
    )
    child.stdin?.on('error', () => {})
    child.stdin?.end(options.input ?? '')
  })
}
