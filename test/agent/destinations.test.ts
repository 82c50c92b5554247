import { describe, expect, test } from 'vitest'
import type { AgentClient } from '../../lib/agent/client.ts'
import type { DestinationConstraint, HostKeySpec } from '../../lib/agent/destinations.ts'
import { issueCertificate } from '../../lib/keys/certificate-issue.ts'
import { generateKey, type PrivateKey } from '../../lib/keys/private-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { encode } from '../../lib/wire/writer.ts'
import { startAgent } from './helpers.ts'

const hosts = { alpha: generateKey('ed25519'), beta: generateKey('ecdsa', 256), other: generateKey('ed25519') }
type Host = keyof typeof hosts

const specOf = (key: PrivateKey): HostKeySpec => ({ key: key.publicKey, isAuthority: false })
const hop = (host: Host | '', user = '') => ({ user, host, keys: host === '' ? [] : [specOf(hosts[host])] })
const step = (from: Host | '', to: Host, user = ''): DestinationConstraint => ({ from: hop(from), to: hop(to, user) })

let sessions = 0
/** Binds a connection to a host as ssh does; returns the session's identifier. */
async function bind(client: AgentClient, host: PrivateKey, forwarding: boolean, hostBlob = host.publicKey.blob) {
  const sessionId = Buffer.from(`session ${++sessions}`)
  const signature = host.sign(sessionId, host.publicKey.algorithms[0]!)
  await client.bindSession({ hostKey: hostBlob, sessionId, signature, forwarding })
  return sessionId
}

interface Login {
  readonly sessionId: Buffer
  readonly user?: string
  readonly hostKey?: Buffer | undefined
  readonly method?: string
}

/** What ssh has signed to log in. */
const loginRequest = (key: PrivateKey, { sessionId, user = 'me', hostKey, method }: Login): Buffer =>
  encode(writer => {
    writer.string(sessionId).byte(50).text(user).text('ssh-connection')
    writer.text(method ?? (hostKey ? 'publickey-hostbound-v00@openssh.com' : 'publickey'))
    writer.boolean(true).text('ssh-ed25519').string(key.publicKey.blob)
    if (hostKey) writer.string(hostKey)
  })

async function constrained(...destinations: DestinationConstraint[]) {
  const agent = startAgent()
  const key = generateKey('ed25519')
  await agent.connect().add(key, 'key', { destinations })
  const mayLogIn = (client: AgentClient, login: Login): Promise<boolean> =>
    client.sign(key.publicKey.blob, loginRequest(key, login), 'ssh-ed25519').then(
      () => true,
      () => false,
    )
  const isListed = async (client: AgentClient): Promise<boolean> => (await client.list()).length > 0
  return { agent, key, mayLogIn, isListed }
}

describe('one hop', () => {
  test('only to the host named, and only for a login', async () => {
    const { agent, key, mayLogIn, isListed } = await constrained(step('', 'alpha'))
    const client = agent.connect()
    expect(await isListed(client), 'to local tools').toBe(true)
    expect(await mayLogIn(client, { sessionId: Buffer.from('x') }), 'unbound').toBe(false)
    const sessionId = await bind(client, hosts.alpha, false)
    expect(await isListed(client)).toBe(true)
    expect(await mayLogIn(client, { sessionId })).toBe(true)
    expect(await mayLogIn(client, { sessionId, hostKey: hosts.alpha.publicKey.blob })).toBe(true)
    expect(await mayLogIn(client, { sessionId, hostKey: hosts.beta.publicKey.blob })).toBe(false)
    expect(await mayLogIn(client, { sessionId: Buffer.from('another session') })).toBe(false)
    expect(await mayLogIn(client, { sessionId, method: 'hostbased' })).toBe(false)
    await expect(client.sign(key.publicKey.blob, Buffer.from('anything'), 'ssh-ed25519')).rejects.toThrow('refused')

    const elsewhere = agent.connect()
    const otherSession = await bind(elsewhere, hosts.other, false)
    expect(await isListed(elsewhere)).toBe(false)
    expect(await mayLogIn(elsewhere, { sessionId: otherSession })).toBe(false)
    await expect(elsewhere.remove(key.publicKey.blob)).rejects.toThrow('refused')
    await expect(elsewhere.add(key, 'free again')).rejects.toThrow('refused')
  })

  test('a pattern of users', async () => {
    const { agent, mayLogIn } = await constrained(step('', 'alpha', 'dep*'))
    const client = agent.connect()
    const sessionId = await bind(client, hosts.alpha, false)
    expect(await mayLogIn(client, { sessionId, user: 'deploy' })).toBe(true)
    expect(await mayLogIn(client, { sessionId, user: 'root' })).toBe(false)
  })

  test('a host that shows a certificate', async () => {
    const authority = generateKey('ed25519')
    const to = { user: '', host: 'alpha', keys: [{ key: authority.publicKey, isAuthority: true }] }
    const { agent, mayLogIn } = await constrained({ from: hop(''), to })
    const certify = (principals: string[], signer = authority) =>
      issueCertificate({ publicKey: hosts.alpha.publicKey, kind: 'host', keyId: 'h', principals }, keySigner(signer))
    for (const [certificate, expected] of [
      [await certify(['alpha']), true],
      [await certify(['beta']), false],
      [await certify(['alpha'], generateKey('ed25519')), false],
    ] as const) {
      const client = agent.connect()
      const sessionId = await bind(client, hosts.alpha, false, certificate.blob)
      expect(await mayLogIn(client, { sessionId, hostKey: certificate.blob })).toBe(expected)
    }
    const client = agent.connect()
    const sessionId = await bind(client, authority, false)
    expect(await mayLogIn(client, { sessionId }), "the authority's own key is no host key").toBe(false)
  })
})

describe('forwarded', () => {
  test('each hop must be allowed, and requests beyond the first name their host', async () => {
    const { agent, mayLogIn, isListed } = await constrained(step('', 'alpha'), step('alpha', 'beta', 'deploy'))
    const client = agent.connect()
    await bind(client, hosts.alpha, true)
    expect(await isListed(client)).toBe(true)
    const sessionId = await bind(client, hosts.beta, false)
    const hostKey = hosts.beta.publicKey.blob
    expect(await mayLogIn(client, { sessionId, hostKey, user: 'deploy' })).toBe(true)
    expect(await mayLogIn(client, { sessionId, hostKey, user: 'root' })).toBe(false)
    expect(await mayLogIn(client, { sessionId, user: 'deploy' }), 'no host named').toBe(false)

    const skipping = agent.connect()
    const direct = await bind(skipping, hosts.beta, false)
    expect(await mayLogIn(skipping, { sessionId: direct, hostKey, user: 'deploy' })).toBe(false)

    const wrongWay = agent.connect()
    await bind(wrongWay, hosts.other, true)
    const through = await bind(wrongWay, hosts.beta, false)
    expect(await mayLogIn(wrongWay, { sessionId: through, hostKey, user: 'deploy' })).toBe(false)
  })

  test('a key that leads to a host but no further is hidden from it', async () => {
    const { agent, isListed } = await constrained(step('', 'alpha'))
    const client = agent.connect()
    await bind(client, hosts.alpha, true)
    expect(await isListed(client)).toBe(false)
  })

  test('no signature on a hop that forwards, no hop after one that logged in', async () => {
    const { agent, mayLogIn } = await constrained(step('', 'alpha'), step('alpha', 'beta'))
    const forwarding = agent.connect()
    const sessionId = await bind(forwarding, hosts.alpha, true)
    expect(await mayLogIn(forwarding, { sessionId })).toBe(false)
    const bound = agent.connect()
    await bind(bound, hosts.alpha, false)
    await expect(bind(bound, hosts.beta, false)).rejects.toThrow('refused')
  })
})

describe('bindings', () => {
  test('a false proof binds nothing, and takes trust away', async () => {
    const { agent, isListed } = await constrained(step('', 'alpha'))
    const client = agent.connect()
    const sessionId = Buffer.from('session')
    const signature = hosts.other.sign(sessionId, 'ssh-ed25519')
    const forged = { hostKey: hosts.alpha.publicKey.blob, sessionId, signature, forwarding: false }
    await expect(client.bindSession(forged)).rejects.toThrow('refused')
    expect(client.raw.received.at(-1)).toEqual(Buffer.from([0, 0, 0, 1, 28]))
    expect(await isListed(client)).toBe(false)
  })

  test('the same binding may come again; another host under the same session may not; 16 are kept', async () => {
    const client = startAgent().connect()
    const sessionId = Buffer.from('one')
    const binding = (host: PrivateKey, id = sessionId) => ({
      hostKey: host.publicKey.blob,
      sessionId: id,
      signature: host.sign(id, 'ssh-ed25519'),
      forwarding: true,
    })
    await client.bindSession(binding(hosts.alpha))
    await client.bindSession(binding(hosts.alpha))
    await expect(client.bindSession(binding(hosts.other))).rejects.toThrow('refused')
    for (let i = 1; i < 16; i++) await client.bindSession(binding(hosts.alpha, Buffer.from(`id ${i}`)))
    await expect(client.bindSession(binding(hosts.alpha, Buffer.from('id 16')))).rejects.toThrow('refused')
  })

  test('bindings are taken while locked', async () => {
    const { agent, isListed } = await constrained(step('', 'alpha'))
    const [client, keeper] = [agent.connect(), agent.connect()]
    await keeper.lock('x')
    await bind(client, hosts.other, true)
    await keeper.unlock('x')
    expect(await isListed(client)).toBe(false)
  })

  test('constraints that say nothing, or more than is known, are refused', async () => {
    const client = startAgent().connect()
    const key = generateKey('ed25519')
    const bad: DestinationConstraint[] = [
      { from: hop(''), to: { user: 'u', host: '', keys: [] } },
      { from: hop(''), to: { user: '', host: 'alpha', keys: [] } },
      { from: { user: '', host: 'alpha', keys: [] }, to: hop('beta') },
      { from: { ...hop('alpha'), user: 'u' }, to: hop('beta') },
      { from: hop(''), to: { ...hop('alpha'), user: 'u'.repeat(257) } },
    ]
    for (const destination of bad) {
      await expect(client.add(key, '', { destinations: [destination] })).rejects.toThrow('refused')
    }
  })
})
