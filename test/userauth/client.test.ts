import { verify } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { AuthenticationError, ConnectionLostError, ProtocolError } from '../../lib/errors.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { keySigner } from '../../lib/keys/signer.ts'
import { ServiceAccept, ServiceRequest } from '../../lib/transport/messages.ts'
import {
  InfoRequest,
  InfoResponse,
  PasswordChangeRequest,
  PublicKeyOk,
  UserauthBanner,
  UserauthSuccess,
} from '../../lib/userauth/messages.ts'
import { Reader } from '../../lib/wire/reader.ts'
import { clientOf, hostKey, rawKey, signedBytes, sshString } from './helpers.ts'

const hostboundName = 'publickey-hostbound-v00@openssh.com'

describe('the beginning', () => {
  it('asks for the service, then tries none', async () => {
    const client = await clientOf({})
    expect(await client.next(ServiceRequest)).toEqual({ service: 'ssh-userauth' })
    expect(client.unread).toBe(0)
    client.send(ServiceAccept, { service: 'ssh-userauth' })
    expect(await client.nextPayload()).toEqual(
      Buffer.concat([Buffer.from([50]), sshString('alice'), sshString('ssh-connection'), sshString('none')]),
    )
    client.send(UserauthSuccess, {})
    expect(await client.result).toEqual({ method: 'none', path: ['none'] })
    expect(client.transport.authenticatedCount).toBe(1)
  })

  it.each([
    ['success', UserauthSuccess, {}],
    ['a question', InfoRequest, { name: '', instruction: '', language: '', prompts: [] }],
    ['acceptance of a key', PublicKeyOk, { algorithm: 'ssh-ed25519', blob: Buffer.alloc(3) }],
  ] as const)('ends at %s before the service is there', async (_name, message, value) => {
    const client = await clientOf({})
    await client.next(ServiceRequest)
    client.send(message as typeof UserauthSuccess, value)
    await expect(client.result).rejects.toMatchObject({ code: 'unexpected-message' })
    expect(client.transport.authenticatedCount).toBe(0)
  })

  it('ends at a second SERVICE_ACCEPT', async () => {
    const client = await clientOf({ password: async () => 'x' }, ['password'])
    await client.request('password')
    client.send(ServiceAccept, { service: 'ssh-userauth' })
    await expect(client.result).rejects.toBeInstanceOf(ProtocolError)
  })
})

describe('the order of methods', () => {
  it('is the credentials’ own, among those the server takes', async () => {
    const client = await clientOf(
      { methods: ['keyboard-interactive', 'password'], password: async () => 'x', keyboardInteractive: async () => [] },
      ['publickey', 'password', 'keyboard-interactive'],
    )
    await client.request('keyboard-interactive')
    client.fail(['publickey', 'password'])
    await client.request('password')
    client.send(UserauthSuccess, {})
    expect(await client.result).toEqual({ method: 'password', path: ['password'] })
    expect(client.log.lines).toEqual([
      'SSH2_MSG_SERVICE_ACCEPT received',
      'Authentications that can continue: publickey,password,keyboard-interactive',
      'Next authentication method: keyboard-interactive',
      'Authentications that can continue: publickey,password',
      'Next authentication method: password',
      'Authentication succeeded (password).',
    ])
  })

  it('goes on after partial success, with what is left', async () => {
    const key = rawKey()
    const client = await clientOf({ signers: () => [key.signer], password: async () => 'x' }, ['publickey'])
    await client.request('publickey')
    client.send(PublicKeyOk, { algorithm: 'ssh-ed25519', blob: key.blob })
    await client.request('publickey')
    client.fail(['password'], true)
    await client.request('password')
    client.send(UserauthSuccess, {})
    expect(await client.result).toEqual({ method: 'password', path: ['publickey', 'password'] })
  })

  it('names the methods left when it is at its end', async () => {
    const client = await clientOf({ methods: ['publickey'], signers: () => [] }, ['hostbased', 'publickey\u001b[1m'])
    const error = await client.result.catch((reason: AuthenticationError) => reason)
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ code: 'exhausted', methodsLeft: ['hostbased', 'publickey\u001b[1m'] })
    expect((error as AuthenticationError).message).toBe('Permission denied (hostbased,publickey\\033[1m).')
  })

  it('does not try methods that it does not know', async () => {
    const client = await clientOf({ methods: ['hostbased', '__proto__'] }, ['hostbased', '__proto__'])
    await expect(client.result).rejects.toMatchObject({ code: 'exhausted' })
    expect(client.unread).toBe(0)
  })
})

describe('password', () => {
  it('is sent as RFC 4252 says, and asked for with the number of the attempt', async () => {
    const attempts: number[] = []
    const client = await clientOf(
      {
        passwordPrompts: 2,
        async password(attempt) {
          attempts.push(attempt)
          return `pässword ${attempt}`
        },
      },
      ['password'],
    )
    expect(await client.request('password')).toEqual(Buffer.concat([Buffer.from([0]), sshString('pässword 1')]))
    client.fail(['password'])
    expect(await client.request('password')).toEqual(Buffer.concat([Buffer.from([0]), sshString('pässword 2')]))
    client.fail(['password'])
    await expect(client.result).rejects.toMatchObject({ code: 'exhausted', methodsLeft: ['password'] })
    expect(attempts).toEqual([1, 2])
    expect(client.transport.traced.join('\n')).not.toContain('pässword')
  })

  it('is given up without one', async () => {
    const client = await clientOf({ password: async () => undefined }, ['password'])
    await expect(client.result).rejects.toMatchObject({ code: 'exhausted' })
  })

  it('is changed when the server asks, also twice', async () => {
    const prompts: string[] = []
    const client = await clientOf(
      {
        password: async () => 'old',
        async newPassword(prompt) {
          prompts.push(prompt)
          return { old: 'old', new: `new ${prompts.length}` }
        },
      },
      ['password'],
    )
    await client.request('password')
    for (const text of ['Expired\u0007', 'Too short']) {
      client.send(PasswordChangeRequest, { prompt: text, language: '' })
      expect(await client.request('password')).toEqual(
        Buffer.concat([Buffer.from([1]), sshString('old'), sshString(`new ${prompts.length}`)]),
      )
    }
    client.send(UserauthSuccess, {})
    expect(await client.result).toMatchObject({ method: 'password' })
    expect(prompts).toEqual(['Expired\\007', 'Too short'])
  })
})

describe('public key', () => {
  it('asks first, then signs exactly what the RFC says', async () => {
    const key = rawKey('id_test')
    const client = await clientOf({ signers: () => [key.signer] }, ['publickey'])
    expect(await client.request('publickey')).toEqual(
      Buffer.concat([Buffer.from([0]), sshString('ssh-ed25519'), sshString(key.blob)]),
    )
    client.send(PublicKeyOk, { algorithm: 'ssh-ed25519', blob: key.blob })
    const reader = new Reader(await client.request('publickey'))
    expect([reader.boolean(), reader.text(), reader.string().equals(key.blob)]).toEqual([true, 'ssh-ed25519', true])
    const signature = new Reader(reader.string())
    reader.finish()
    expect(signature.text()).toBe('ssh-ed25519')
    expect(verify(null, signedBytes({ blob: key.blob }), key.object, signature.string())).toBe(true)
    client.send(UserauthSuccess, {})
    await client.result
    expect(client.log.lines.filter(line => line.includes('key:'))).toEqual([
      expect.stringMatching(/^Offering public key: id_test ED25519 SHA256:[\w+/]{43}$/),
      expect.stringMatching(/^Server accepts key: id_test ED25519 SHA256:[\w+/]{43}$/),
    ])
  })

  it('binds the signature to the host key when the server can', async () => {
    const key = rawKey()
    const client = await clientOf({ signers: () => [key.signer] })
    client.transport.peerExtensions.set('publickey-hostbound@openssh.com', Buffer.from('0'))
    await client.next(ServiceRequest)
    client.send(ServiceAccept, { service: 'ssh-userauth' })
    await client.request('none')
    client.fail(['publickey'])
    await client.request(hostboundName)
    client.send(PublicKeyOk, { algorithm: 'ssh-ed25519', blob: key.blob })
    const reader = new Reader(await client.request(hostboundName))
    reader.boolean()
    reader.text()
    reader.string()
    expect(reader.string()).toEqual(hostKey)
    const signature = new Reader(reader.string())
    signature.text()
    const covered = signedBytes({ blob: key.blob, host: hostKey })
    expect(verify(null, covered, key.object, signature.string())).toBe(true)
  })

  it('does not use another version of that extension', async () => {
    const client = await clientOf({ signers: () => [rawKey().signer] })
    client.transport.peerExtensions.set('publickey-hostbound@openssh.com', Buffer.from('1'))
    await client.next(ServiceRequest)
    client.send(ServiceAccept, { service: 'ssh-userauth' })
    await client.request('none')
    client.fail(['publickey'])
    await client.request('publickey')
  })

  it('never signs for a key or an algorithm that it did not offer', async () => {
    const [key, other] = [rawKey(), rawKey()]
    let signed = 0
    const signer = {
      ...key.signer,
      sign(data: Buffer, algorithm: string) {
        signed++
        return key.signer.sign(data, algorithm)
      },
    }
    const client = await clientOf({ signers: () => [signer] }, ['publickey'])
    await client.request('publickey')
    client.send(PublicKeyOk, { algorithm: 'ssh-ed25519', blob: other.blob })
    client.send(PublicKeyOk, { algorithm: 'ssh-rsa', blob: key.blob })
    client.fail(['publickey'])
    await expect(client.result).rejects.toMatchObject({ code: 'exhausted' })
    expect([signed, client.unread]).toEqual([0, 0])
  })

  it('signs at once when told to', async () => {
    const key = rawKey()
    const client = await clientOf({ signers: () => [key.signer], signWithoutQuery: true }, ['publickey'])
    expect((await client.request('publickey'))[0]).toBe(1)
  })

  it('offers the next key when one is refused or cannot sign', async () => {
    const [refused, broken, good] = [rawKey('a'), rawKey('b'), rawKey('c')]
    const failing = { ...broken.signer, sign: () => Promise.reject(new Error('token removed')) }
    const client = await clientOf({ signers: () => [refused.signer, failing, good.signer] }, ['publickey'])
    await client.request('publickey')
    client.fail(['publickey'])
    await client.request('publickey')
    client.send(PublicKeyOk, { algorithm: 'ssh-ed25519', blob: broken.blob })
    expect((await client.request('publickey')).includes(good.blob)).toBe(true)
    expect(client.log.lines).toContain('sign_and_send_pubkey: signing failed for ED25519 "b": token removed')
  })

  it.each([
    ['no list', undefined, undefined, 'rsa-sha2-512'],
    ['the server’s list', 'ssh-ed25519,rsa-sha2-256', undefined, 'rsa-sha2-256'],
    ['the user’s list', undefined, ['rsa-sha2-256'], 'rsa-sha2-256'],
    ['both', 'rsa-sha2-512,rsa-sha2-256', ['rsa-sha2-256', 'ssh-ed25519'], 'rsa-sha2-256'],
    ['nothing in common', 'ssh-rsa', undefined, undefined],
  ])('chooses the RSA signature by %s', async (_name, announced, wanted, expected) => {
    const client = await clientOf({
      signers: () => [keySigner(generateKey('rsa', 2048))],
      ...(wanted && { signatureAlgorithms: wanted }),
    })
    if (announced) client.transport.peerExtensions.set('server-sig-algs', Buffer.from(announced))
    await client.next(ServiceRequest)
    client.send(ServiceAccept, { service: 'ssh-userauth' })
    await client.request('none')
    client.fail(['publickey'])
    if (expected === undefined) {
      await expect(client.result).rejects.toMatchObject({ code: 'exhausted' })
      return
    }
    const reader = new Reader(await client.request('publickey'))
    reader.boolean()
    expect(reader.text()).toBe(expected)
  })
})

describe('keyboard-interactive', () => {
  it('answers as many rounds as the server wants, also without questions', async () => {
    const asked: unknown[] = []
    const client = await clientOf(
      {
        methods: ['keyboard-interactive'],
        async keyboardInteractive(name, instruction, prompts) {
          asked.push([name, instruction, prompts])
          return prompts.map(({ text }) => `answer to ${text}`)
        },
      },
      ['keyboard-interactive'],
    )
    expect(await client.request('keyboard-interactive')).toEqual(Buffer.concat([sshString(''), sshString('')]))
    client.send(InfoRequest, {
      name: 'Token\u001b]0;x\u0007',
      instruction: 'Look',
      language: '',
      prompts: [
        { text: 'one', echo: false },
        { text: 'two', echo: true },
      ],
    })
    expect(await client.next(InfoResponse)).toEqual({ responses: ['answer to one', 'answer to two'] })
    client.send(InfoRequest, { name: '', instruction: '', language: '', prompts: [] })
    expect(await client.next(InfoResponse)).toEqual({ responses: [] })
    client.send(InfoRequest, { name: '', instruction: 'Welcome', language: '', prompts: [] })
    expect(await client.next(InfoResponse)).toEqual({ responses: [] })
    client.send(UserauthSuccess, {})
    expect(await client.result).toMatchObject({ method: 'keyboard-interactive' })
    expect(asked).toEqual([
      [
        'Token\\033]0;x\\007',
        'Look',
        [
          { text: 'one', echo: false },
          { text: 'two', echo: true },
        ],
      ],
      ['', 'Welcome', []],
    ])
    expect(client.transport.traced.join('\n')).not.toContain('answer')
  })

  it('takes no more than 64 questions at once', async () => {
    let asked = 0
    const client = await clientOf(
      {
        methods: ['keyboard-interactive'],
        async keyboardInteractive(_name, _instruction, prompts) {
          asked += prompts.length
          return prompts.map(() => '')
        },
      },
      ['keyboard-interactive'],
    )
    await client.request('keyboard-interactive')
    const questions = (count: number) => ({
      name: '',
      instruction: '',
      language: '',
      prompts: Array.from({ length: count }, () => ({ text: '?', echo: true })),
    })
    client.send(InfoRequest, questions(64))
    await client.next(InfoResponse)
    client.send(InfoRequest, questions(65))
    await expect(client.result).rejects.toMatchObject({ code: 'malformed-message' })
    expect(asked).toBe(64)
  })

  it('takes no message with a count beyond it', async () => {
    const client = await clientOf({ methods: ['keyboard-interactive'], keyboardInteractive: async () => [] }, [
      'keyboard-interactive',
    ])
    await client.request('keyboard-interactive')
    const empty = sshString('')
    client.sendPayload(Buffer.concat([Buffer.from([60]), empty, empty, empty, Buffer.from([0xff, 0xff, 0xff, 0xff])]))
    await expect(client.result).rejects.toMatchObject({ code: 'malformed-message' })
  })
})

describe('what a server says besides', () => {
  it('shows banners without what a terminal would obey, and not for ever', async () => {
    const shown: string[] = []
    const client = await clientOf({ password: async () => 'x', banner: text => shown.push(text) }, ['password'])
    await client.request('password')
    for (let i = 0; i < 200; i++) client.send(UserauthBanner, { text: `line ${i}\u001b[2J\u009b\r\n`, language: '' })
    client.send(UserauthSuccess, {})
    await client.result
    expect(shown[0]).toBe('line 0\\033[2J\\302\\233\n')
    expect(shown.length).toBe(64)
  })

  it('holds the pump while a prompt is open, and lets go when the connection ends', async () => {
    let answer: (text: string) => void = () => {}
    const client = await clientOf({ password: () => new Promise(resolve => (answer = resolve)) }, ['password'])
    await expect.poll(() => client.log.lines.at(-1)).toBe('Next authentication method: password')
    client.fail(['password'])
    client.fail(['password'])
    await new Promise(resolve => setImmediate(resolve))
    expect(client.transport.held).toBe(2)
    client.transport.fail(new ConnectionLostError('reset', 'reset'))
    answer('too late')
    await expect(client.result).rejects.toMatchObject({ code: 'reset' })
    expect(client.unread).toBe(0)
  })

  it('hands on what a credential throws, and holds nobody up', async () => {
    const broken = new TypeError('no terminal')
    const client = await clientOf({ password: () => Promise.reject(broken) }, ['password'])
    await expect(client.result).rejects.toBe(broken)
    client.fail([])
    await expect.poll(() => client.transport.held).toBe(0)
  })
})
