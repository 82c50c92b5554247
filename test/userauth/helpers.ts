/** User authentication over transports of plain messages: no keys and no bytes in between. */

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { DisconnectError, ProtocolError, SshError } from '../../lib/errors.ts'
import { type PublicKey, parsePublicKey } from '../../lib/keys/public-key.ts'
import type { Signer } from '../../lib/keys/signer.ts'
import type { Log } from '../../lib/log.ts'
import { ServiceAccept, ServiceRequest } from '../../lib/transport/messages.ts'
import type { NegotiatedAlgorithms, Transport } from '../../lib/transport/transport.ts'
import type { ServerAuthentication, ServerAuthenticationOptions } from '../../lib/userauth/authority.ts'
import { type ClientAuthentication, createClientAuthenticator } from '../../lib/userauth/client.ts'
import type { Credentials } from '../../lib/userauth/credentials.ts'
import * as messages from '../../lib/userauth/messages.ts'
import { createServerAuthenticator } from '../../lib/userauth/server.ts'
import type { AnyMessage, Message } from '../../lib/wire/message.ts'
import { encode, Writer } from '../../lib/wire/writer.ts'

export const sessionId = Buffer.from('the hash of the first key exchange')
export const hostKey = encode(writer => writer.text('ssh-ed25519').string(Buffer.alloc(32, 9)))

interface Half {
  receive(number: number, payload: Buffer): void | Promise<void>
  closed(error: SshError): void
}

export class MessageTransport implements Transport {
  readonly role: 'client' | 'server'
  phase: Transport['phase'] = 'open'
  readonly sessionId = sessionId
  readonly negotiated: NegotiatedAlgorithms = {
    kex: 'none',
    hostKey: 'ssh-ed25519',
    clientToServer: { cipher: 'none', mac: 'none', compression: 'none' },
    serverToClient: { cipher: 'none', mac: 'none', compression: 'none' },
    strict: true,
  }
  readonly peerIdentification = 'SSH-2.0-peer'
  readonly ourIdentification = 'SSH-2.0-tssh_0'
  readonly hostKey = hostKey
  readonly peerExtensions = new Map<string, Buffer>()
  readonly writable = true
  readonly statistics = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0, rekeys: 0 }
  /** How often `authenticated` was called. */
  authenticatedCount = 0
  /** Why it ended. */
  end: SshError | undefined
  readonly traced: string[] = []
  readonly #writer = new Writer()
  readonly #out: (payload: Buffer) => void
  readonly #half: () => Half
  readonly #inbox: Buffer[] = []
  #busy = false

  constructor(role: 'client' | 'server', half: () => Half, out: (payload: Buffer) => void) {
    this.role = role
    this.#half = half
    this.#out = out
  }

  send<T>(message: Message<T>, value: T): void {
    message.write(this.begin(), value)
    this.commit()
  }
  begin(): Writer {
    return this.#writer.reset()
  }
  commit(): void {
    if (this.phase === 'open') this.#out(this.#writer.copy())
  }

  /** What the real pump does: one message at a time, none while a handler works. */
  async deliver(payload: Buffer): Promise<void> {
    this.#inbox.push(payload)
    if (this.#busy) return
    this.#busy = true
    while (this.#inbox.length > 0 && this.phase === 'open') {
      const next = this.#inbox.shift()!
      await Promise.resolve()
      try {
        await this.#half().receive(next[0]!, next)
      } catch (error) {
        this.fail(error instanceof SshError ? error : new ProtocolError('malformed-message', String(error)))
      }
    }
    this.#busy = false
  }

  /** Messages that wait for their turn. */
  get held(): number {
    return this.#inbox.length
  }

  fail(error: SshError): void {
    if (this.phase === 'closed') return
    this.phase = 'closed'
    this.end = error
    this.#half().closed(error)
  }
  disconnect(reason: number, description: string): void {
    this.fail(new DisconnectError('by-us', reason, description))
  }
  authenticated(): void {
    this.authenticatedCount++
  }
  trace(direction: 'in' | 'out', message: AnyMessage, value: unknown): void {
    this.traced.push(`${direction} ${message.describe(value)}`)
  }
  unimplemented(): void {}
  receive(): undefined {}
  ended(): void {}
  outputDrained(): void {}
  rekey(): void {}
}

/** A log that keeps its lines. */
export function keptLog(): Log & { readonly lines: string[] } {
  const lines: string[] = []
  const keep = (line: string): void => void lines.push(line)
  return { lines, error: keep, info: keep, verbose: keep, debug1: keep, debug2: keep, debug3: keep }
}

/** One authenticator of ours whose peer is the test itself. */
export interface Scripted<Result> {
  readonly transport: MessageTransport
  readonly result: Promise<Result>
  readonly log: ReturnType<typeof keptLog>
  /** Sends a message as the peer; returns at once. */
  send<T>(message: Message<T>, value: T): void
  sendPayload(payload: Buffer): void
  /** The next message of ours, which must be this one. */
  next<T>(message: Message<T>): Promise<T>
  /** The whole payload of our next message. */
  nextPayload(): Promise<Buffer>
  /** Messages of ours that nobody took yet. */
  readonly unread: number
}

function scripted<Result>(
  role: 'client' | 'server',
  make: (log: Log) => Half & { run(transport: Transport): Promise<Result> },
): Scripted<Result> {
  const log = keptLog()
  const half = make(log)
  const outbox: Buffer[] = []
  let wake: (() => void) | undefined
  const transport = new MessageTransport(
    role,
    () => half,
    payload => {
      outbox.push(payload)
      wake?.()
    },
  )
  const result = half.run(transport)
  result.catch(() => {})
  const nextPayload = async (): Promise<Buffer> => {
    while (outbox.length === 0) {
      if (transport.end) throw transport.end
      const settled = Promise.race([
        new Promise<void>(resolve => (wake = resolve)),
        result.then(
          () => {},
          () => {},
        ),
      ])
      await settled
      if (outbox.length === 0 && !transport.end) throw new Error('nothing was sent and nothing will be')
    }
    return outbox.shift()!
  }
  return {
    transport,
    result,
    log,
    send(message, value) {
      const writer = new Writer()
      message.write(writer, value)
      void transport.deliver(writer.copy())
    },
    sendPayload: payload => void transport.deliver(payload),
    async next(message) {
      const payload = await nextPayload()
      if (payload[0] !== message.number) throw new Error(`expected ${message.name}, got number ${payload[0]}`)
      return message.read(payload)
    },
    nextPayload,
    get unread() {
      return outbox.length
    },
  }
}

export interface ScriptedServer extends Scripted<ServerAuthentication> {
  request(method: string, write?: (writer: Writer) => unknown, user?: string, service?: string): void
  /** Sends a request that is refused, and takes the answer. */
  refused(method: string, write?: (writer: Writer) => unknown): Promise<{ methods: string[]; partialSuccess: boolean }>
}

/** A server's authenticator; the test is the client. The service was asked for already unless `raw`. */
export async function serverOf(
  options: Partial<ServerAuthenticationOptions>,
  { raw = false } = {},
): Promise<ScriptedServer> {
  const server = scripted('server', log =>
    createServerAuthenticator({ authority: {}, signatureAlgorithms: ['ssh-ed25519'], ...options }, log),
  )
  const request: ScriptedServer['request'] = (method, write = () => {}, user = 'alice', service = 'ssh-connection') =>
    server.send(messages.UserauthRequest, { user, service, method, data: encode(write) })
  if (!raw) {
    server.send(ServiceRequest, { service: 'ssh-userauth' })
    await server.next(ServiceAccept)
  }
  return Object.assign(server, {
    request,
    async refused(method: string, write?: (writer: Writer) => unknown) {
      request(method, write)
      return server.next(messages.UserauthFailure)
    },
  })
}

export interface ScriptedClient extends Scripted<ClientAuthentication> {
  /** The next request, which must be of this method; its user and service were checked. */
  request(method: string): Promise<Buffer>
  fail(methods: string[], partialSuccess?: boolean): void
}

/** A client's authenticator; the test is the server. Its `none` was refused already with `methods`, if there are any. */
export async function clientOf(credentials: Partial<Credentials>, methods: string[] = []): Promise<ScriptedClient> {
  const client = scripted('client', log =>
    createClientAuthenticator({ user: 'alice', methods: ['publickey', 'password'], ...credentials }, log),
  )
  const scriptedClient = Object.assign(client, {
    async request(method: string) {
      const request = await client.next(messages.UserauthRequest)
      if (request.user !== (credentials.user ?? 'alice') || request.service !== 'ssh-connection')
        throw new Error(`request for ${request.user}, ${request.service}`)
      if (request.method !== method) throw new Error(`expected method ${method}, got ${request.method}`)
      return request.data
    },
    fail: (left: string[], partialSuccess = false) =>
      client.send(messages.UserauthFailure, { methods: left, partialSuccess }),
  })
  if (methods.length > 0) {
    await client.next(ServiceRequest)
    client.send(ServiceAccept, { service: 'ssh-userauth' })
    await scriptedClient.request('none')
    scriptedClient.fail(methods)
  }
  return scriptedClient
}

/** A client's and a server's authenticator, joined. */
export function joined(
  credentials: Partial<Credentials>,
  options: Partial<ServerAuthenticationOptions>,
  extensions: Readonly<Record<string, string>> = {},
): {
  client: Promise<ClientAuthentication>
  server: Promise<ServerAuthentication>
  clientTransport: MessageTransport
  serverTransport: MessageTransport
} {
  const clientHalf = createClientAuthenticator({ user: 'alice', methods: [], ...credentials })
  const serverHalf = createServerAuthenticator({ authority: {}, signatureAlgorithms: ['ssh-ed25519'], ...options })
  const clientTransport: MessageTransport = new MessageTransport(
    'client',
    () => clientHalf,
    payload => void serverTransport.deliver(payload),
  )
  const serverTransport: MessageTransport = new MessageTransport(
    'server',
    () => serverHalf,
    payload => void clientTransport.deliver(payload),
  )
  for (const [name, value] of Object.entries(extensions)) clientTransport.peerExtensions.set(name, Buffer.from(value))
  const server = serverHalf.run(serverTransport)
  const client = clientHalf.run(clientTransport)
  server.catch(error => clientTransport.fail(error))
  client.catch(error => serverTransport.fail(error))
  return { client, server, clientTransport, serverTransport }
}

/** An Ed25519 key made and used by node:crypto alone. */
export interface RawKey {
  readonly blob: Buffer
  readonly publicKey: PublicKey
  readonly object: KeyObject
  /** An encoded signature under any label. */
  sign(data: Buffer, label?: string): Buffer
  readonly signer: Signer
}

export function rawKey(comment = 'key'): RawKey {
  const { privateKey, publicKey: object } = generateKeyPairSync('ed25519')
  const blob = encode(writer =>
    writer.text('ssh-ed25519').string(object.export({ format: 'der', type: 'spki' }).subarray(-32)),
  )
  const publicKey = parsePublicKey(blob)
  const signData = (data: Buffer, label = 'ssh-ed25519'): Buffer =>
    encode(writer => writer.text(label).string(sign(null, data, privateKey)))
  return {
    blob,
    publicKey,
    object,
    sign: signData,
    signer: {
      publicKey,
      blob,
      comment,
      algorithms: ['ssh-ed25519'],
      sign: async (data, algorithm) => signData(data, algorithm),
    },
  }
}

const uint32 = (value: number): Buffer =>
  Buffer.from([value >>> 24, value >>> 16, value >>> 8, value].map(b => b & 255))
export const sshString = (value: string | Buffer): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([uint32(bytes.length), bytes])
}

/** What a public key signature covers, put together from RFC 4252 §7 and PROTOCOL §3.1. */
export const signedBytes = (fields: {
  session?: Buffer
  user?: string
  method?: string
  algorithm?: string
  blob: Buffer
  host?: Buffer
}): Buffer =>
  Buffer.concat([
    sshString(fields.session ?? sessionId),
    Buffer.from([50]),
    sshString(fields.user ?? 'alice'),
    sshString('ssh-connection'),
    sshString(fields.method ?? (fields.host ? 'publickey-hostbound-v00@openssh.com' : 'publickey')),
    Buffer.from([1]),
    sshString(fields.algorithm ?? 'ssh-ed25519'),
    sshString(fields.blob),
    ...(fields.host ? [sshString(fields.host)] : []),
  ])

/** A small generator with a seed (Park and Miller), so that a failure can be repeated. */
export function dice(seed: number): (limit: number) => number {
  let state = seed
  return limit => {
    state = (state * 48271) % 0x7fffffff
    return state % limit
  }
}
