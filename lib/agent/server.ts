import { AgentError, KeyError, messageOf, SshError, sanitize } from '../errors.ts'
import { isCertificateAlgorithm } from '../keys/algorithms.ts'
import { parseCertificate } from '../keys/certificate.ts'
import { findFamily } from '../keys/families/index.ts'
import { PrivateKey } from '../keys/private-key.ts'
import { signingAlgorithms } from '../keys/signer.ts'
import { type Log, silentLog } from '../log.ts'
import type { ByteStream } from '../wire/byte-stream.ts'
import { Reader } from '../wire/reader.ts'
import { encode, type Writer } from '../wire/writer.ts'
import { readConstraints } from './constraints.ts'
import { SessionBindings } from './destinations.ts'
import { FrameReader } from './frames.ts'
import type { HeldKey, Keyring } from './keyring.ts'
import { agentMessage, extensionName, rsaFlags } from './messages.ts'

export interface AgentServerOptions {
  readonly keyring: Keyring
  readonly log?: Log
}

/**
 * Serves an agent's keys to the other end of a byte stream, until it ends. Requests are answered in order, one after the
 * other; a message of impossible length ends the stream, a malformed one is answered as a failure.
 */
export function serveAgent(stream: ByteStream, options: AgentServerOptions): void {
  const session = new AgentSession(options)
  const frames = new FrameReader()
  const chunks: Buffer[] = []
  let state: 'ready' | 'busy' | 'full' | 'closed' = 'ready'
  let ended = false

  const pump = (): void => {
    while (state === 'ready') {
      const request = frames.next()
      if (!request) {
        const chunk = chunks.shift()
        if (!chunk) break
        frames.push(chunk)
        stream.consumed(chunk.length)
        continue
      }
      const reply = session.answer(request)
      if (Buffer.isBuffer(reply)) send(reply)
      else {
        state = 'busy'
        reply.then(late => {
          if (state !== 'busy') return
          state = 'ready'
          send(late)
          pumpSafely()
        })
      }
    }
    if (ended && state === 'ready') stream.close()
  }
  const send = (reply: Buffer): void => {
    if (!stream.write(reply)) state = 'full'
  }
  const pumpSafely = (): void => {
    try {
      pump()
    } catch (error) {
      state = 'closed'
      options.log?.error(`agent connection: ${messageOf(error)}`)
      stream.abort()
    }
  }
  stream.sink = {
    data(chunk) {
      chunks.push(chunk)
      pumpSafely()
    },
    eof() {
      ended = true
      pumpSafely()
    },
    writable() {
      if (state === 'full') state = 'ready'
      pumpSafely()
    },
    closed() {
      state = 'closed'
    },
  }
}

const failure = frame(agentMessage.failure)
const success = frame(agentMessage.success)
const extensionFailure = frame(agentMessage.extensionFailure)

function frame(number: number, write: (writer: Writer) => unknown = () => {}): Buffer {
  const message = encode(writer => write(writer.uint32(0).byte(number)))
  message.writeUInt32BE(message.length - 4, 0)
  return message
}

/** One connection to an agent: what it is bound to, and answers to its requests. */
export class AgentSession {
  readonly #keyring: Keyring
  readonly #log: Log
  readonly #bindings = new SessionBindings()

  constructor({ keyring, log = silentLog }: AgentServerOptions) {
    this.#keyring = keyring
    this.#log = log
  }

  /**
   * The reply to a request, framed; a promise of it when somebody has to be asked or made to wait. Never throws. The
   * request is wiped when it held a secret.
   */
  answer(request: Buffer): Buffer | Promise<Buffer> {
    const reader = new Reader(request)
    try {
      const number = reader.byte()
      this.#log.debug1?.(`request of type ${number}`)
      const reply = this.#keyring.isLocked ? this.#answerLocked(number, reader) : this.#answer(number, reader)
      return Buffer.isBuffer(reply) ? reply : reply.catch(error => this.#failed(error))
    } catch (error) {
      return this.#failed(error)
    }
  }

  #failed(error: unknown): Buffer {
    if (!(error instanceof SshError)) this.#log.error(`internal error: ${messageOf(error)}`)
    else this.#log.info?.(sanitize(error.message, true))
    return failure
  }

  #answerLocked(number: number, reader: Reader): Buffer | Promise<Buffer> {
    switch (number) {
      case agentMessage.unlock:
        return this.#unlock(reader)
      case agentMessage.requestIdentities:
        return this.#identities()
      case agentMessage.extension:
        return this.#extension(reader)
      default:
        if (number === agentMessage.addIdentity || number === agentMessage.addIdentityConstrained) reader.rest().fill(0)
        return failure
    }
  }

  #answer(number: number, reader: Reader): Buffer | Promise<Buffer> {
    switch (number) {
      case agentMessage.signRequest:
        return this.#sign(reader)
      case agentMessage.requestIdentities:
        return this.#identities()
      case agentMessage.addIdentity:
      case agentMessage.addIdentityConstrained:
        return this.#add(reader)
      case agentMessage.removeIdentity:
        return this.#remove(reader.string())
      case agentMessage.removeAllIdentities:
      case agentMessage.removeAllVersion1:
        this.#keyring.removeAll()
        return success
      case agentMessage.lock:
        return this.#lock(reader)
      // An agent that is not locked has nothing to unlock.
      case agentMessage.unlock:
        return failure
      case agentMessage.extension:
        return this.#extension(reader)
      case agentMessage.addToken:
      case agentMessage.addTokenConstrained:
      case agentMessage.removeToken:
        throw new AgentError('refused', 'this agent has no PKCS#11 providers')
      default:
        throw new AgentError('refused', `Unknown message ${number}`)
    }
  }

  #mayShow = ({ destinations }: HeldKey): boolean =>
    destinations.length === 0 || this.#bindings.mayShow(destinations, this.#keyring.wallTime)

  #identities(): Buffer {
    const keys = this.#keyring.list().filter(this.#mayShow)
    return frame(agentMessage.identitiesAnswer, writer => {
      writer.uint32(keys.length)
      for (const { blob, comment } of keys) writer.string(blob).text(comment)
    })
  }

  #sign(reader: Reader): Buffer | Promise<Buffer> {
    const [blob, data, flags] = [reader.string(), reader.string(), reader.uint32()]
    const held = this.#keyring.find(blob)
    if (!held) throw new AgentError('refused', 'key not found')
    const purpose = this.#purpose(held, data)
    const signature = this.#keyring.sign(held, data, algorithmFor(held, flags), purpose)
    const reply = (bytes: Buffer): Buffer => frame(agentMessage.signResponse, writer => writer.string(bytes))
    return Buffer.isBuffer(signature) ? reply(signature) : signature.then(reply)
  }

  /** What a constrained key would sign for. @throws AgentError when its constraints do not permit it */
  #purpose({ destinations, blob }: HeldKey, data: Buffer): string | undefined {
    if (destinations.length === 0) return undefined
    const user = this.#bindings.maySign(destinations, blob, data, this.#keyring.wallTime)
    if (user === undefined) throw new AgentError('refused', 'refusing use of destination-constrained key')
    return `public key authentication request for user "${sanitize(user, true)}" to listed host`
  }

  #add(reader: Reader): Buffer {
    const message = reader.buffer.subarray(reader.offset, reader.end)
    try {
      const { key, certificate } = readPrivate(reader)
      const comment = reader.text()
      try {
        const constraints = readConstraints(reader, 'key')
        if (constraints.securityKeyProvider !== undefined)
          throw new KeyError('not-valid', `Cannot add provider: ${key.family.label} is not an authenticator-hosted key`)
        const held = this.#keyring.find(certificate?.blob ?? key.publicKey.blob)
        if (held && !this.#mayShow(held)) throw new AgentError('refused', 'key is not permitted here')
        this.#keyring.add(key, certificate, comment, constraints)
      } catch (error) {
        key.dispose()
        throw error
      }
      return success
    } finally {
      message.fill(0)
    }
  }

  #remove(blob: Buffer): Buffer {
    const held = this.#keyring.find(blob)
    return held && this.#mayShow(held) && this.#keyring.remove(blob) ? success : failure
  }

  #lock(reader: Reader): Buffer {
    const passphrase = reader.string()
    const locked = this.#keyring.lock(passphrase)
    passphrase.fill(0)
    return locked ? success : failure
  }

  async #unlock(reader: Reader): Promise<Buffer> {
    const passphrase = reader.string()
    const unlocked = await this.#keyring.unlock(passphrase)
    passphrase.fill(0)
    return unlocked ? success : failure
  }

  /** Bindings are taken while locked too: else a locked agent would later serve a remote host as if it were local. */
  #extension(reader: Reader): Buffer {
    const name = reader.text()
    if (name === extensionName.sessionBind) {
      try {
        this.#bindings.bind(reader)
        return success
      } catch (error) {
        if (!(error instanceof SshError)) throw error
        this.#log.info?.(`session bind: ${sanitize(error.message, true)}`)
        return extensionFailure
      }
    }
    if (name !== extensionName.query || this.#keyring.isLocked) return failure
    return frame(agentMessage.extensionResponse, writer =>
      writer.text(extensionName.query).text(extensionName.sessionBind),
    )
  }
}

/** Flags count for RSA keys only; without one they mean SHA-1, as they did before there were flags. */
function algorithmFor({ publicKey }: HeldKey, flags: number): string {
  if (publicKey.type !== 'ssh-rsa') return signingAlgorithms(publicKey)[0] ?? publicKey.type
  return Object.keys(rsaFlags).find(name => flags & rsaFlags[name]!) ?? 'ssh-rsa'
}

/** Reads a private key, with the certificate over it when its type says so. @throws KeyError | ProtocolError */
function readPrivate(reader: Reader) {
  const type = reader.text()
  const certificate = isCertificateAlgorithm(type) ? parseCertificate(reader.string()) : undefined
  const family = findFamily(certificate?.publicKey.type ?? type)
  if (!family || (certificate && certificate.type !== type)) {
    throw new KeyError('unsupported', `unsupported key type ${JSON.stringify(sanitize(type, true))}`)
  }
  const numbers = family.readPrivate(reader, certificate && publicFields(certificate.publicKey.blob))
  if (numbers.kind.startsWith('sk-')) throw new KeyError('unsupported', 'this agent has no security key providers')
  const key = new PrivateKey(numbers)
  if (certificate && !key.publicKey.equals(certificate.publicKey)) {
    key.dispose()
    throw new KeyError('mismatch', 'private key is not the one of its certificate')
  }
  return { key, certificate }
}

/** What follows the type name in a public key blob. */
function publicFields(blob: Buffer): Reader {
  const reader = new Reader(blob)
  reader.string()
  return reader
}
