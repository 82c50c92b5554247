import { afterEach, describe, expect, it, vi } from 'vitest'
import { DisconnectError, ProtocolError, SshError } from '../../lib/errors.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { ServiceAccept, ServiceRequest } from '../../lib/transport/messages.ts'
import type { Authority, Verdict } from '../../lib/userauth/authority.ts'
import {
  InfoRequest,
  InfoResponse,
  PasswordChangeRequest,
  PublicKeyOk,
  UserauthBanner,
  UserauthFailure,
  UserauthSuccess,
} from '../../lib/userauth/messages.ts'
import type { Writer } from '../../lib/wire/writer.ts'
import { dice, hostKey, rawKey, type ScriptedServer, serverOf, signedBytes, sshString } from './helpers.ts'

const hostboundName = 'publickey-hostbound-v00@openssh.com'
const yes: Verdict = { accepted: true }
const no: Verdict = { accepted: false }

const password = (secret: string) => (writer: Writer) => writer.boolean(false).text(secret)
const secretAuthority: Authority = { password: async (_, secret) => (secret === 'secret' ? yes : no) }
const query =
  (blob: Buffer, algorithm = 'ssh-ed25519') =>
  (writer: Writer) =>
    writer.boolean(false).text(algorithm).string(blob)
const signed =
  (blob: Buffer, signature: Buffer, algorithm = 'ssh-ed25519', host?: Buffer) =>
  (writer: Writer) => {
    writer.boolean(true).text(algorithm).string(blob)
    if (host) writer.string(host)
    writer.string(signature)
  }

afterEach(() => vi.useRealTimers())

describe('the service', () => {
  it('has to be asked for first', async () => {
    const server = await serverOf({ authority: secretAuthority }, { raw: true })
    server.request('password', password('secret'))
    await expect(server.result).rejects.toMatchObject({ code: 'unexpected-message' })
    expect(server.transport.authenticatedCount).toBe(0)
  })

  it('is ssh-userauth and nothing else', async () => {
    const server = await serverOf({ authority: secretAuthority }, { raw: true })
    server.send(ServiceRequest, { service: 'ssh-connection' })
    await expect(server.result).rejects.toBeInstanceOf(SshError)
    expect(server.transport.end).toMatchObject({ reason: 7, message: 'bad service request ssh-connection' })
    expect(server.unread).toBe(0)
  })

  it('may be asked for before every attempt, as some clients do', async () => {
    const server = await serverOf({ authority: secretAuthority })
    await server.refused('password', password('wrong'))
    server.send(ServiceRequest, { service: 'ssh-userauth' })
    await server.next(ServiceAccept)
    server.request('password', password('secret'))
    await server.next(UserauthSuccess)
    expect(await server.result).toMatchObject({ user: 'alice', method: 'password' })
  })

  it('is not asked for without end', async () => {
    const server = await serverOf({ authority: secretAuthority })
    for (let i = 0; i < 1100; i++) server.send(ServiceRequest, { service: 'ssh-userauth' })
    await expect(server.result).rejects.toMatchObject({ code: 'too-many-attempts' })
  })

  it.each([
    ['SUCCESS', UserauthSuccess.number],
    ['FAILURE', UserauthFailure.number],
    ['SERVICE_ACCEPT', ServiceAccept.number],
    ['PK_OK', PublicKeyOk.number],
    ['an answer that nobody asked for', InfoResponse.number],
  ])('a client that sends %s is thrown out', async (_name, number) => {
    const server = await serverOf({ authority: secretAuthority })
    server.sendPayload(Buffer.from([number, 0, 0, 0, 0]))
    await expect(server.result).rejects.toMatchObject({ code: 'unexpected-message' })
    expect(server.transport.authenticatedCount).toBe(0)
  })
})

describe('attempts', () => {
  it('begin with none, which is free once and tells the methods', async () => {
    const server = await serverOf({
      authority: { ...secretAuthority, publicKey: async () => no, keyboardInteractive: async () => no },
      maxAttempts: 2,
    })
    const expected = { methods: ['publickey', 'password', 'keyboard-interactive'], partialSuccess: false }
    expect(await server.refused('none')).toEqual(expected)
    expect(await server.refused('none')).toEqual(expected)
    server.request('none')
    await expect(server.result).rejects.toMatchObject({ code: 'too-many-attempts' })
  })

  it.each<[string, (server: ScriptedServer) => void]>([
    ['wrong passwords', server => server.request('password', password('wrong'))],
    ['methods that nobody knows', server => server.request('__proto__')],
    ['methods that are off', server => server.request('keyboard-interactive', writer => writer.text('').text(''))],
    ['keys that are refused', server => server.request('publickey', query(rawKey().blob))],
  ])('end after six %s', async (_name, attempt) => {
    const server = await serverOf({ authority: { ...secretAuthority, publicKey: async () => no } })
    await server.refused('none')
    for (let i = 0; i < 5; i++) {
      attempt(server)
      await server.next(UserauthFailure)
    }
    attempt(server)
    await expect(server.result).rejects.toMatchObject({ code: 'too-many-attempts' })
    expect(server.transport.end).toBeInstanceOf(DisconnectError)
    expect(server.transport.end).toMatchObject({ reason: 2, message: 'Too many authentication failures' })
    expect(server.unread).toBe(0)
  })

  it('are bounded too when they are queries for keys that may log in', async () => {
    const key = rawKey()
    const server = await serverOf({ authority: { publicKey: async () => yes } })
    for (let i = 0; i < 1100; i++) server.request('publickey', query(key.blob))
    await expect(server.result).rejects.toMatchObject({ code: 'too-many-attempts' })
    expect(server.unread).toBeLessThanOrEqual(1024)
  })

  it('are all for one user and one service', async () => {
    for (const [user, service] of [
      ['bob', 'ssh-connection'],
      ['alice', 'ssh-userauth'],
    ] as const) {
      const server = await serverOf({ authority: secretAuthority })
      await server.refused('none')
      server.request('password', password('secret'), user, service)
      await expect(server.result).rejects.toThrow('Change of username or service not allowed')
      expect(server.transport.authenticatedCount).toBe(0)
    }
  })

  it('are announced to the authority once', async () => {
    const begun: string[] = []
    const server = await serverOf({ authority: { ...secretAuthority, begin: user => void begun.push(user) } })
    await server.refused('none')
    await server.refused('password', password('wrong'))
    expect(begun).toEqual(['alice'])
  })

  it('end when the authority refuses to begin', async () => {
    const authority = { ...secretAuthority, begin: () => Promise.reject(new Error('no')) }
    const server = await serverOf({ authority })
    server.request('none')
    await expect(server.result).rejects.toBeInstanceOf(SshError)
    expect(server.transport.phase).toBe('closed')
  })

  it('keep strange user names away from the log, and refuse impossible ones', async () => {
    const users: string[] = []
    const options = { authority: { ...secretAuthority, begin: (user: string) => void users.push(user) } }
    for (const user of ['__proto__', '-oProxyCommand', '../x', 'a\nAccepted password for root', '\u001b[2J']) {
      const server = await serverOf(options)
      server.request('password', password('x'), user)
      await server.next(UserauthFailure)
      expect(users.pop()).toBe(user)
      expect(server.log.lines.join('')).not.toMatch(/[\n\u001b]/)
    }
    for (const user of ['a\0b', 'x'.repeat(200_000)]) {
      const server = await serverOf(options)
      server.request('none', undefined, user)
      await expect(server.result).rejects.toMatchObject({ code: 'malformed-message' })
      expect(users).toEqual([])
    }
  })

  it('with none succeed only when the authority says so', async () => {
    const server = await serverOf({ authority: { none: async user => (user === 'alice' ? yes : no) } })
    server.request('none')
    await server.next(UserauthSuccess)
    expect(await server.result).toEqual({ user: 'alice', method: 'none', permissions: {} })
  })

  it('show the banner before the first answer', async () => {
    const server = await serverOf({ authority: secretAuthority, banner: 'Beware\n' })
    server.request('none')
    expect(await server.next(UserauthBanner)).toEqual({ text: 'Beware\n', language: '' })
    await server.next(UserauthFailure)
  })
})

describe('how long a refusal takes', () => {
  /** Milliseconds until the answer, when the method needs `work` of them. */
  async function refusal(work: number, method = 'password'): Promise<number> {
    const server = await serverOf({
      authority: {
        async password() {
          await new Promise(resolve => setTimeout(resolve, work))
          return no
        },
      },
    })
    vi.useFakeTimers()
    const started = Date.now()
    server.request(method, password('x'))
    for (let spent = 0; server.unread === 0 && spent < 20_000; spent++) await vi.advanceTimersByTimeAsync(1)
    const spent = Date.now() - started
    vi.useRealTimers()
    return spent
  }

  it.each([
    ['at once', 0, 10],
    ['within the minimum', 7, 10],
    ['a little longer', 11, 20],
    ['with a slow hash', 65, 80],
    ['for a user whose check is slower', 79, 80],
  ])('does not tell that the method refused %s', async (_name, work, expected) => {
    expect(await refusal(work)).toBe(expected)
  })

  it('is the same for methods that there are not', async () => {
    expect(await refusal(0, 'gssapi-with-mic')).toBe(10)
  })

  it('is not drawn out when it was very slow', async () => {
    expect(await refusal(5100)).toBe(5100)
  })
})

describe('password', () => {
  it('logs in', async () => {
    const server = await serverOf({
      authority: { password: async () => ({ accepted: true, permissions: { pty: false } }) },
    })
    server.request('password', password('secret'))
    await server.next(UserauthSuccess)
    expect(await server.result).toEqual({ user: 'alice', method: 'password', permissions: { pty: false } })
    expect(server.transport.authenticatedCount).toBe(1)
    expect(server.transport.traced.join('\n')).not.toContain(Buffer.from('secret').toString('hex'))
  })

  it.each(['x\0', 'x'.repeat(1025), 'x'.repeat(200_000)])('of a strange kind is not even asked about', async secret => {
    let asked = 0
    const server = await serverOf({
      authority: {
        async password() {
          asked++
          return yes
        },
      },
    })
    await server.refused('password', password(secret))
    expect(asked).toBe(0)
  })

  it('is changed when the authority wants it', async () => {
    const server = await serverOf({
      authority: {
        password: async () => ({ changeRequired: 'Choose another' }),
        changePassword: async (_, old, fresh) => (old === 'old' && fresh === 'new' ? yes : no),
      },
    })
    server.request('password', password('old'))
    expect(await server.next(PasswordChangeRequest)).toEqual({ prompt: 'Choose another', language: '' })
    await server.refused('password', writer => writer.boolean(true).text('old').text('bad'))
    server.request('password', writer => writer.boolean(true).text('old').text('new'))
    await server.next(UserauthSuccess)
  })

  it('cannot be changed where nobody changes it', async () => {
    const server = await serverOf({ authority: { password: async () => yes } })
    await server.refused('password', writer => writer.boolean(true).text('old').text('new'))
  })
})

describe('public key', () => {
  const only = (blob: Buffer, verdict: Verdict = yes): Authority => ({
    publicKey: async (_, key) => (key.blob.equals(blob) ? verdict : no),
  })

  it('answers a query, and lets in who signs', async () => {
    const key = rawKey()
    const server = await serverOf({ authority: only(key.blob) })
    server.request('publickey', query(key.blob))
    expect(await server.next(PublicKeyOk)).toEqual({ algorithm: 'ssh-ed25519', blob: key.blob })
    expect(server.transport.authenticatedCount).toBe(0)
    server.request('publickey', signed(key.blob, key.sign(signedBytes({ blob: key.blob }))))
    await server.next(UserauthSuccess)
    const login = await server.result
    expect(login).toMatchObject({ user: 'alice', method: 'publickey' })
    expect(login.publicKey?.blob).toEqual(key.blob)
  })

  it('takes the form that is bound to the host key', async () => {
    const key = rawKey()
    const server = await serverOf({ authority: only(key.blob) })
    const signature = key.sign(signedBytes({ blob: key.blob, host: hostKey }))
    server.request(hostboundName, signed(key.blob, signature, 'ssh-ed25519', hostKey))
    await server.next(UserauthSuccess)
    expect(await server.result).toMatchObject({ method: 'publickey' })
  })

  const key = rawKey()
  const other = rawKey()
  const anotherHost = rawKey().blob
  const otherCurve = generateKey('ecdsa', 384).publicKey
  it.each<[string, string, (writer: Writer) => unknown]>([
    [
      'another session',
      'publickey',
      signed(key.blob, key.sign(signedBytes({ session: Buffer.alloc(32), blob: key.blob }))),
    ],
    ['another user', 'publickey', signed(key.blob, key.sign(signedBytes({ user: 'bob', blob: key.blob })))],
    ['another key', 'publickey', signed(key.blob, key.sign(signedBytes({ blob: other.blob })))],
    ['another method', 'publickey', signed(key.blob, key.sign(signedBytes({ blob: key.blob, method: hostboundName })))],
    [
      'another algorithm',
      'publickey',
      signed(key.blob, key.sign(signedBytes({ blob: key.blob, algorithm: 'ssh-rsa' }))),
    ],
    [
      'another host',
      hostboundName,
      signed(key.blob, key.sign(signedBytes({ blob: key.blob, host: anotherHost })), 'ssh-ed25519', anotherHost),
    ],
  ])('refuses a signature over %s', async (_name, method, write) => {
    const server = await serverOf({ authority: only(key.blob) })
    await server.refused(method, write)
    expect(server.transport.authenticatedCount).toBe(0)
  })

  it.each([
    ['by another key', other.sign(signedBytes({ blob: key.blob }))],
    ['under another label', key.sign(signedBytes({ blob: key.blob }), 'ssh-ed448')],
    ['cut off', key.sign(signedBytes({ blob: key.blob })).subarray(0, -1)],
    ['with bytes after it', Buffer.concat([key.sign(signedBytes({ blob: key.blob })), Buffer.alloc(1)])],
    ['of nothing', Buffer.alloc(0)],
  ])('refuses a signature %s', async (_name, signature) => {
    const server = await serverOf({ authority: only(key.blob) })
    await server.refused('publickey', signed(key.blob, signature))
    expect(server.transport.authenticatedCount).toBe(0)
  })

  it('believes only the key that signed, not the one last asked about', async () => {
    const permitted = { accepted: true, permissions: { forceCommand: 'backup' } } as const
    const server = await serverOf({ authority: only(key.blob, permitted) })
    server.request('publickey', query(key.blob))
    await server.next(PublicKeyOk)
    await server.refused('publickey', signed(other.blob, other.sign(signedBytes({ blob: other.blob }))))
    await server.refused('publickey', query(other.blob))
    server.request('publickey', signed(key.blob, key.sign(signedBytes({ blob: key.blob }))))
    await server.next(UserauthSuccess)
    const login = await server.result
    expect(login.permissions).toEqual({ forceCommand: 'backup' })
    expect(login.publicKey?.blob).toEqual(key.blob)
  })

  it('asks the authority again before it verifies', async () => {
    let asked = 0
    const authority = { publicKey: async () => (++asked === 1 ? yes : no) }
    const server = await serverOf({ authority })
    server.request('publickey', query(key.blob))
    await server.next(PublicKeyOk)
    await server.refused('publickey', signed(key.blob, key.sign(signedBytes({ blob: key.blob }))))
    expect(asked).toBe(2)
  })

  it.each([
    ['an algorithm that is not allowed', 'ssh-rsa', key.blob],
    ['a certificate’s algorithm', 'ssh-ed25519-cert-v01@openssh.com', key.blob],
    ['another type than the key’s', 'rsa-sha2-512', key.blob],
    ['another curve than those allowed', 'ecdsa-sha2-nistp384', otherCurve.blob],
    ['another curve than the key’s', 'ecdsa-sha2-nistp256', otherCurve.blob],
    ['a blob that is no key', 'ssh-ed25519', Buffer.from('nonsense')],
    ['a key with bytes after it', 'ssh-ed25519', Buffer.concat([key.blob, Buffer.alloc(1)])],
    ['a key of 31 bytes', 'ssh-ed25519', Buffer.concat([sshString('ssh-ed25519'), sshString(Buffer.alloc(31))])],
  ])('does not bother the authority with %s', async (_name, algorithm, blob) => {
    let asked = 0
    const server = await serverOf({
      authority: {
        async publicKey() {
          asked++
          return yes
        },
      },
      signatureAlgorithms: ['ssh-ed25519', 'rsa-sha2-512', 'ecdsa-sha2-nistp256', 'ssh-ed25519-cert-v01@openssh.com'],
    })
    await server.refused('publickey', query(blob, algorithm))
    expect(asked).toBe(0)
  })

  it('wants the very RSA signature that was announced', async () => {
    const rsa = generateKey('rsa', 2048)
    const { blob } = rsa.publicKey
    const options = { authority: only(blob), signatureAlgorithms: ['rsa-sha2-512', 'rsa-sha2-256'] }
    const data = signedBytes({ blob, algorithm: 'rsa-sha2-512' })
    const server = await serverOf(options)
    for (const label of ['ssh-rsa', 'rsa-sha2-256']) {
      await server.refused('publickey', signed(blob, rsa.sign(data, label), 'rsa-sha2-512'))
    }
    server.request('publickey', signed(blob, rsa.sign(data, 'rsa-sha2-512'), 'rsa-sha2-512'))
    await server.next(UserauthSuccess)
  })
})

describe('keyboard-interactive', () => {
  const begin = (server: ScriptedServer): void =>
    server.request('keyboard-interactive', writer => writer.text('').text('pam'))
  const twoRounds: Authority = {
    async keyboardInteractive(_user, dialogue, submethods) {
      const [first] = await dialogue.ask('Login', `by ${submethods}`, [{ text: 'Password: ', echo: false }])
      await dialogue.ask('', '', [])
      const [code] = await dialogue.ask('', '', [{ text: 'Code: ', echo: true }])
      return first === 'secret' && code === '42' ? yes : no
    },
  }

  it('asks in rounds', async () => {
    const server = await serverOf({ authority: twoRounds })
    begin(server)
    expect(await server.next(InfoRequest)).toEqual({
      name: 'Login',
      instruction: 'by pam',
      language: '',
      prompts: [{ text: 'Password: ', echo: false }],
    })
    server.send(InfoResponse, { responses: ['secret'] })
    expect((await server.next(InfoRequest)).prompts).toEqual([])
    server.send(InfoResponse, { responses: [] })
    await server.next(InfoRequest)
    server.send(InfoResponse, { responses: ['42'] })
    await server.next(UserauthSuccess)
    expect(await server.result).toMatchObject({ method: 'keyboard-interactive' })
    expect(server.transport.traced.join('\n')).not.toMatch(/secret"|42/)
  })

  it.each([[[]], [['secret', 'more']]])('refuses the wrong number of answers: %j', async responses => {
    const server = await serverOf({ authority: twoRounds })
    begin(server)
    await server.next(InfoRequest)
    server.send(InfoResponse, { responses })
    await server.next(UserauthFailure)
  })

  it('counts a dialogue that the client left, and does not answer it', async () => {
    const server = await serverOf({ authority: { ...twoRounds, ...secretAuthority }, maxAttempts: 3 })
    for (let i = 0; i < 2; i++) {
      begin(server)
      await server.next(InfoRequest)
    }
    server.request('password', password('secret'))
    await server.next(UserauthSuccess)

    const greedy = await serverOf({ authority: twoRounds, maxAttempts: 3 })
    for (let i = 0; i < 4; i++) begin(greedy)
    await expect(greedy.result).rejects.toMatchObject({ code: 'too-many-attempts' })
  })

  it('ends a dialogue without end', async () => {
    const server = await serverOf({
      authority: {
        async keyboardInteractive(_user, dialogue) {
          for (;;) await dialogue.ask('', '', [])
        },
      },
    })
    begin(server)
    let rounds = 0
    for (; ; rounds++) {
      const payload = await server.nextPayload()
      if (payload[0] !== InfoRequest.number) {
        expect(payload[0]).toBe(UserauthFailure.number)
        break
      }
      server.send(InfoResponse, { responses: [] })
    }
    expect(rounds).toBe(64)
  })

  it('takes no message with a count beyond it', async () => {
    const server = await serverOf({ authority: twoRounds })
    begin(server)
    await server.next(InfoRequest)
    server.sendPayload(Buffer.from([61, 0xff, 0xff, 0xff, 0xff]))
    await expect(server.result).rejects.toMatchObject({ code: 'malformed-message' })
  })
})

describe('several methods', () => {
  const key = rawKey()
  const sign = (server: ScriptedServer, { blob, sign: signData } = key): void =>
    server.request('publickey', signed(blob, signData(signedBytes({ blob }))))

  it('are offered and wanted in the order of a list', async () => {
    const server = await serverOf({
      authority: { ...secretAuthority, publicKey: async () => yes },
      requiredMethods: [['publickey', 'password']],
    })
    expect(await server.refused('none')).toEqual({ methods: ['publickey'], partialSuccess: false })
    await server.refused('password', password('secret'))
    sign(server)
    expect(await server.next(UserauthFailure)).toEqual({ methods: ['password'], partialSuccess: true })
    expect(server.transport.authenticatedCount).toBe(0)
    server.request('password', password('secret'))
    await server.next(UserauthSuccess)
    const login = await server.result
    expect(login).toMatchObject({ method: 'password' })
    expect(login.publicKey?.blob).toEqual(key.blob)
  })

  it('keep the restrictions of each', async () => {
    const server = await serverOf({
      authority: {
        publicKey: async () => ({ accepted: true, permissions: { forceCommand: 'backup', pty: false } }),
        password: async () => ({ accepted: true, permissions: { portForwarding: false } }),
      },
      requiredMethods: [['publickey', 'password']],
    })
    sign(server)
    await server.next(UserauthFailure)
    server.request('password', password('secret'))
    await server.next(UserauthSuccess)
    expect((await server.result).permissions).toEqual({ forceCommand: 'backup', pty: false, portForwarding: false })
  })

  it('want two keys to be two, and commands not to contradict each other', async () => {
    const [second, third] = [rawKey(), rawKey()]
    const server = await serverOf({
      authority: {
        publicKey: async (_, { blob }) => ({
          accepted: true,
          permissions: { forceCommand: blob.equals(second.blob) ? 'other' : 'backup' },
        }),
      },
      requiredMethods: [['publickey', 'publickey']],
    })
    sign(server)
    await server.next(UserauthFailure)
    sign(server)
    expect(await server.next(UserauthFailure)).toEqual({ methods: ['publickey'], partialSuccess: false })
    sign(server, second)
    expect(await server.next(UserauthFailure)).toEqual({ methods: ['publickey'], partialSuccess: false })
    sign(server, third)
    await server.next(UserauthSuccess)
    expect((await server.result).permissions).toEqual({ forceCommand: 'backup' })
  })

  it('do not count partial success as a failure', async () => {
    const server = await serverOf({
      authority: { ...secretAuthority, publicKey: async () => yes },
      requiredMethods: [['publickey', 'password']],
      maxAttempts: 1,
    })
    sign(server)
    await server.next(UserauthFailure)
    server.request('password', password('secret'))
    await server.next(UserauthSuccess)
  })

  it('that nobody can offer let nobody in', async () => {
    const server = await serverOf({ authority: secretAuthority, requiredMethods: [['publickey', 'password']] })
    server.request('none')
    await expect(server.result).rejects.toBeInstanceOf(SshError)
    expect(server.transport.end).toMatchObject({ reason: 2, message: 'no authentication methods enabled' })
  })

  it('may depend on the user, who is told nothing before the name is known', async () => {
    const attempts: string[] = []
    const server = await serverOf({
      authority: {},
      forUser: async user => ({
        authority: { ...secretAuthority, publicKey: async () => yes },
        requiredMethods: [['publickey', 'password']],
        banner: `for ${user}`,
        attempted: ({ method, outcome }) => attempts.push(`${method} ${outcome}`),
      }),
    })
    server.request('none')
    expect((await server.next(UserauthBanner)).text).toMatch(/^for ./)
    expect(await server.next(UserauthFailure)).toEqual({ methods: ['publickey'], partialSuccess: false })
    sign(server)
    expect(await server.next(UserauthFailure)).toEqual({ methods: ['password'], partialSuccess: true })
    server.request('password', password('secret'))
    await server.next(UserauthSuccess)
    expect(attempts).toEqual(['publickey partial', 'password accepted'])
  })

  it('are not replaced by none', async () => {
    const server = await serverOf({
      authority: { ...secretAuthority, none: async () => yes },
      requiredMethods: [['password']],
    })
    expect(await server.refused('none')).toEqual({ methods: ['password'], partialSuccess: false })
    expect(server.transport.authenticatedCount).toBe(0)
  })
})

describe('malformed requests', () => {
  it.each<[string, string, Buffer]>([
    ['a password without its text', 'password', Buffer.from([0])],
    ['a password that is longer than the message', 'password', Buffer.from([0, 0xff, 0xff, 0xff, 0xff])],
    ['a password with bytes after it', 'password', Buffer.concat([Buffer.from([0]), sshString('x'), Buffer.alloc(1)])],
    ['a key without its blob', 'publickey', Buffer.concat([Buffer.from([0]), sshString('ssh-ed25519')])],
    [
      'a host-bound key without a host',
      hostboundName,
      Buffer.concat([Buffer.from([0]), sshString('x'), sshString('y')]),
    ],
    ['a dialogue without submethods', 'keyboard-interactive', sshString('')],
  ])('end the connection: %s', async (_name, method, data) => {
    const server = await serverOf({
      authority: { ...secretAuthority, publicKey: async () => yes, keyboardInteractive: async () => yes },
    })
    server.request(method, writer => writer.bytes(data))
    await expect(server.result).rejects.toMatchObject({ code: 'malformed-message' })
    expect(server.transport.end).toBeInstanceOf(ProtocolError)
  })

  it('whatever they are, end in an SshError or a refusal and never in a login', async () => {
    const key = rawKey()
    const templates: Buffer[] = []
    const requestOf = (method: string, data: Buffer): Buffer =>
      Buffer.concat([Buffer.from([50]), sshString('alice'), sshString('ssh-connection'), sshString(method), data])
    const flag = (value: number): Buffer => Buffer.from([value])
    templates.push(
      requestOf('none', Buffer.alloc(0)),
      requestOf('password', Buffer.concat([flag(0), sshString('wrong')])),
      requestOf('password', Buffer.concat([flag(1), sshString('old'), sshString('new')])),
      requestOf('publickey', Buffer.concat([flag(0), sshString('ssh-ed25519'), sshString(key.blob)])),
      requestOf(
        'publickey',
        Buffer.concat([
          flag(1),
          sshString('ssh-ed25519'),
          sshString(key.blob),
          sshString(key.sign(signedBytes({ blob: key.blob, session: Buffer.alloc(3) }))),
        ]),
      ),
      requestOf('keyboard-interactive', Buffer.concat([sshString(''), sshString('')])),
      Buffer.concat([flag(61), Buffer.from([0, 0, 0, 1]), sshString('answer')]),
    )
    for (let seed = 1; seed <= 120; seed++) {
      const roll = dice(seed)
      const server = await serverOf({
        authority: {
          password: async () => no,
          changePassword: async () => no,
          publicKey: async () => yes,
          async keyboardInteractive(_user, dialogue) {
            await dialogue.ask('', '', [{ text: 'x', echo: false }])
            return no
          },
        },
        maxAttempts: 4,
      })
      for (let i = 0; i < 6; i++) {
        const payload = Buffer.from(templates[roll(templates.length)]!)
        for (let changes = roll(3); changes > 0; changes--) payload[1 + roll(payload.length - 1)] = roll(256)
        server.sendPayload(roll(4) === 0 ? payload.subarray(0, 1 + roll(payload.length)) : payload)
      }
      // A client that goes away in the end: whatever still waits is let go.
      await expect
        .poll(() => server.transport.held === 0 || server.transport.phase === 'closed', { interval: 5 })
        .toBe(true)
      server.transport.fail(new ProtocolError('unexpected-message', 'end of the test'))
      await expect(server.result, `seed ${seed}`).rejects.toBeInstanceOf(SshError)
      expect(server.transport.authenticatedCount, `seed ${seed}`).toBe(0)
    }
  })
})
