import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { allAlgorithms } from '../../lib/algorithms/index.ts'
import { openClient } from '../../lib/client.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { openServer } from '../../lib/server.ts'
import type { ServerAuthenticationOptions } from '../../lib/userauth/authority.ts'
import type { Credentials } from '../../lib/userauth/credentials.ts'
import { type Chunking, single, straddling, Wire, whole } from '../support/transport-pair.ts'

const hostKey = keySigner(generateKey('ed25519'))
const userKeys = {
  ed25519: keySigner(generateKey('ed25519')),
  ecdsa: keySigner(generateKey('ecdsa')),
  rsa: keySigner(generateKey('rsa', 2048)),
}

/** Both whole engines with real cryptography; nobody waits for their promises. */
function engines(
  credentials: Partial<Credentials>,
  authentication: Partial<ServerAuthenticationOptions>,
  chunking: Chunking = whole,
) {
  const lines: string[] = []
  const toServer = new Wire(chunking, () => server.transport)
  const toClient = new Wire(chunking, () => client.transport)
  const client = openClient({
    transport: { algorithms: allAlgorithms, softwareVersion: 'tssh_0', verifyHostKey() {} },
    credentials: { user: 'alice', methods: ['publickey', 'keyboard-interactive', 'password'], ...credentials },
    log: { error: line => lines.push(line), debug1: line => lines.push(line) },
    output(chunks) {
      toServer.write(chunks)
      return true
    },
  })
  const server = openServer({
    transport: { algorithms: allAlgorithms, softwareVersion: 'tssh_0', hostKeys: [hostKey] },
    authentication: {
      authority: {},
      signatureAlgorithms: ['ssh-ed25519', 'ecdsa-sha2-nistp256', 'rsa-sha2-512', 'rsa-sha2-256'],
      ...authentication,
    },
    connection: () => ({ globalRequests: new Map([['hello', (_payload, reply) => reply(true)]]) }),
    output(chunks) {
      toClient.write(chunks)
      return true
    },
  })
  return { client, server, lines }
}

const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', note))
afterEach(async () => {
  await new Promise(resolve => setTimeout(resolve, 20))
  process.off('unhandledRejection', note)
  expect(unhandled.splice(0)).toEqual([])
})

describe('a login through both engines', () => {
  it.each([
    ['whole', whole],
    ['straddling', straddling],
    ['single bytes', single],
  ] as const)('by a key bound to the host, in chunks that are %s', async (_name, chunking) => {
    const { publicKey } = userKeys.ed25519
    const { client, server, lines } = engines(
      { signers: () => [userKeys.ed25519] },
      { authority: { publicKey: async (_user, key) => ({ accepted: key.equals(publicKey) }) } },
      chunking,
    )
    expect(await client.authentication).toEqual({ method: 'publickey', path: ['publickey'] })
    const { authentication } = await server.login
    expect(authentication.publicKey?.blob).toEqual(publicKey.blob)
    expect(client.transport.peerExtensions.get('publickey-hostbound@openssh.com')?.toString()).toBe('0')
    expect(lines).toContain('Authentication succeeded (publickey).')
    // The connection is there for what follows at once.
    await client.connection.globalRequest('hello')
    client.transport.disconnect(11, 'done')
    expect(await server.closed).toMatchObject({ code: 'by-peer', reason: 11 })
  })

  it.each(['ecdsa', 'rsa'] as const)('by a key of the kind %s', async kind => {
    const signer = userKeys[kind]
    const { client, server } = engines(
      { signers: () => [signer] },
      { authority: { publicKey: async (_user, key) => ({ accepted: key.equals(signer.publicKey) }) } },
    )
    await client.authentication
    expect((await server.login).authentication.method).toBe('publickey')
    client.transport.disconnect(11, 'done')
  })

  it('by questions and answers', async () => {
    const { client, server } = engines(
      { keyboardInteractive: async (_name, _instruction, prompts) => prompts.map(() => 'blue') },
      {
        authority: {
          async keyboardInteractive(_user, dialogue) {
            const [answer] = await dialogue.ask('', '', [{ text: 'Colour?', echo: true }])
            return { accepted: answer === 'blue' }
          },
        },
      },
    )
    expect((await client.authentication).method).toBe('keyboard-interactive')
    expect((await server.login).authentication.method).toBe('keyboard-interactive')
    client.transport.disconnect(11, 'done')
  })

  it('by two methods keeps what the first forbids', async () => {
    const { client, server } = engines(
      { signers: () => [userKeys.ed25519], password: async () => 'secret' },
      {
        authority: {
          publicKey: async () => ({ accepted: true, permissions: { pty: false } }),
          password: async (_user, password) => ({ accepted: password === 'secret' }),
        },
        requiredMethods: [['publickey', 'password']],
      },
    )
    expect(await client.authentication).toEqual({ method: 'password', path: ['publickey', 'password'] })
    expect((await server.login).authentication.permissions).toEqual({ pty: false })
    client.transport.disconnect(11, 'done')
  })
})

describe('a login that fails', () => {
  it('ends both engines, with the methods left', async () => {
    const { client, server } = engines(
      { password: async attempt => (attempt === 1 ? 'wrong' : undefined) },
      { authority: { password: async () => ({ accepted: false }) } },
    )
    await expect(client.authentication).rejects.toMatchObject({ code: 'exhausted', methodsLeft: ['password'] })
    expect(await server.closed).toMatchObject({ code: 'by-peer', reason: 14, message: 'Permission denied (password).' })
    await expect(server.login).rejects.toMatchObject({ code: 'by-peer' })
  })

  it('after too many attempts tells the client so', async () => {
    const { client } = engines(
      { password: async () => 'wrong', passwordPrompts: 10 },
      { authority: { password: async () => ({ accepted: false }) }, maxAttempts: 2 },
    )
    expect(await client.closed).toMatchObject({ reason: 2, message: 'Too many authentication failures' })
    await expect(client.authentication).rejects.toMatchObject({ code: 'by-peer', reason: 2 })
  })

  it('because a credential threw, tells the caller why and the server nothing of it', async () => {
    const broken = new Error('/home/alice/.secret is gone')
    const { client, server } = engines(
      { password: () => Promise.reject(broken) },
      { authority: { password: async () => ({ accepted: true }) } },
    )
    await expect(client.authentication).rejects.toBe(broken)
    expect(await server.closed).toMatchObject({ reason: 13, message: 'authentication cancelled' })
  })

  it('leaves no rejection behind when nobody looks', async () => {
    const { client, server } = engines({ password: async () => 'x' }, {})
    client.ended(new Error('cable cut'))
    server.ended()
    await client.closed
    await server.closed
  })
})
