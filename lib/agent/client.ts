import { AgentError, KeyError } from '../errors.ts'
import { type Certificate, parseKeyOrCertificate } from '../keys/certificate.ts'
import type { PrivateKey } from '../keys/private-key.ts'
import type { PublicKey } from '../keys/public-key.ts'
import { certifiedSigner, type Signer } from '../keys/signer.ts'
import { Reader } from '../wire/reader.ts'
import { Writer } from '../wire/writer.ts'
import { isConstrained, type KeyConstraints, type TokenConstraints, writeConstraints } from './constraints.ts'
import { FrameReader } from './frames.ts'
import { agentMessage, extensionName, keyLimit, rsaFlags, secretRoom } from './messages.ts'

/** A key that an agent holds. */
export interface AgentKey {
  readonly publicKey: PublicKey
  /** When the agent holds the key together with a certificate; the plain key may be listed beside it. */
  readonly certificate?: Certificate
  /** What the agent knows it by: the certificate's blob, else the key's. */
  readonly blob: Buffer
  readonly comment: string
}

/** A host that the agent will be used for, with the proof that it is this one (PROTOCOL.agent §1). */
export interface SessionBinding {
  /** The blob of its key or certificate. */
  readonly hostKey: Buffer
  readonly sessionId: Buffer
  /** The host's signature of the session identifier, from the first key exchange. */
  readonly signature: Buffer
  /** Whether the agent is forwarded to the host, rather than used to log in there. */
  readonly forwarding: boolean
}

/** Speaks to an agent over a byte stream: requests are answered in order. */
export class AgentClient {
  readonly #write: (bytes: Buffer) => void
  readonly #waiting: { resolve(reply: Reader): void; reject(error: AgentError): void }[] = []
  readonly #frames = new FrameReader()
  #ended: AgentError | undefined

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write
  }

  /** Whether the agent owes an answer. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0
  }

  /** Bytes from the agent, which must not change any more. */
  receive(chunk: Buffer): void {
    try {
      this.#frames.push(chunk)
      for (let reply = this.#frames.next(); reply; reply = this.#frames.next())
        this.#waiting.shift()?.resolve(new Reader(reply))
    } catch (cause) {
      this.end(new AgentError('malformed', 'the agent sent a message of impossible length', { cause }))
    }
  }

  /** The stream ended. */
  end(error: AgentError = new AgentError('unreachable', 'the agent closed the connection')): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended)
  }

  /** The keys it holds, those of kinds that we do not know left out. @throws AgentError */
  async list(): Promise<AgentKey[]> {
    const reply = await this.#ask(agentMessage.requestIdentities, agentMessage.identitiesAnswer)
    return asAgentError(() => {
      const count = reply.uint32()
      if (count > keyLimit) throw new AgentError('malformed', `the agent lists ${count} keys`)
      const keys: AgentKey[] = []
      for (let i = 0; i < count; i++) {
        const [blob, comment] = [reply.string(), reply.text()]
        const known = knownKey(blob)
        if (!known) continue
        const { key: publicKey, certificate } = known
        keys.push({
          publicKey,
          ...(certificate && { certificate }),
          blob: certificate?.blob ?? publicKey.blob,
          comment,
        })
      }
      return keys
    })
  }

  /** An encoded signature. @throws AgentError */
  async sign(blob: Buffer, data: Buffer, algorithm: string): Promise<Buffer> {
    const reply = await this.#ask(agentMessage.signRequest, agentMessage.signResponse, writer =>
      writer
        .string(blob)
        .string(data)
        .uint32(rsaFlags[algorithm] ?? 0),
    )
    return asAgentError(() => reply.string())
  }

  /** The agent's keys as Signers. @throws AgentError */
  async signers(): Promise<Signer[]> {
    return (await this.list()).map(({ publicKey, certificate, blob, comment }) => {
      const signer: Signer = {
        publicKey,
        algorithms: publicKey.algorithms,
        blob: publicKey.blob,
        comment,
        sign: (data, algorithm) => this.sign(blob, data, algorithm),
      }
      return certificate ? certifiedSigner(signer, certificate) : signer
    })
  }

  /** Gives a key to the agent, under a certificate when there is one. @throws AgentError */
  add(key: PrivateKey, comment: string, constraints: KeyConstraints = {}, certificate?: Certificate): Promise<void> {
    const number = isConstrained(constraints) ? agentMessage.addIdentityConstrained : agentMessage.addIdentity
    const write = (writer: Writer): void => {
      writer.text(certificate?.type ?? key.family.type)
      if (certificate) writer.string(certificate.blob)
      key.family.writePrivate(writer, key.numbers, certificate !== undefined)
      writer.text(comment)
      writeConstraints(writer, constraints)
    }
    return this.#tell(number, write, 'secret')
  }

  /** Takes a key, or a certificate with its key, from the agent. @throws AgentError */
  remove(blob: Buffer): Promise<void> {
    return this.#tell(agentMessage.removeIdentity, writer => writer.string(blob))
  }

  /** @throws AgentError */
  removeAll(): Promise<void> {
    return this.#tell(agentMessage.removeAllIdentities)
  }

  /** @throws AgentError `refused` when it is locked already */
  lock(passphrase: string): Promise<void> {
    return this.#tell(agentMessage.lock, writer => writer.text(passphrase), 'secret')
  }

  /** @throws AgentError `refused` for a wrong passphrase, perhaps after a while */
  unlock(passphrase: string): Promise<void> {
    return this.#tell(agentMessage.unlock, writer => writer.text(passphrase), 'secret')
  }

  /** Has the agent load the keys of a PKCS#11 library. @throws AgentError */
  addToken(provider: string, pin: string, constraints: TokenConstraints = {}): Promise<void> {
    const number = isConstrained(constraints) ? agentMessage.addTokenConstrained : agentMessage.addToken
    return this.#tell(number, writer => writeConstraints(writer.text(provider).text(pin), constraints), 'secret')
  }

  /** @throws AgentError */
  removeToken(provider: string): Promise<void> {
    return this.#tell(agentMessage.removeToken, writer => writer.text(provider).text(''))
  }

  /** Tells the agent which host this connection is for. @throws AgentError when it does not know or believe it */
  bindSession({ hostKey, sessionId, signature, forwarding }: SessionBinding): Promise<void> {
    return this.#tell(agentMessage.extension, writer =>
      writer.text(extensionName.sessionBind).string(hostKey).string(sessionId).string(signature).boolean(forwarding),
    )
  }

  /** The extensions that it knows. @throws AgentError when it does not know this one either */
  async extensions(): Promise<string[]> {
    const reply = await this.#ask(agentMessage.extension, agentMessage.extensionResponse, writer =>
      writer.text(extensionName.query),
    )
    return asAgentError(() => {
      const names: string[] = []
      if (reply.text() !== extensionName.query) throw new AgentError('malformed', 'the agent answered something else')
      while (reply.remaining > 0) names.push(reply.text())
      return names
    })
  }

  async #tell(number: number, write?: (writer: Writer) => unknown, content?: 'secret'): Promise<void> {
    await this.#ask(number, agentMessage.success, write, content)
  }

  async #ask(
    number: number,
    answer: number,
    write: (writer: Writer) => unknown = () => {},
    content: 'plain' | 'secret' = 'plain',
  ): Promise<Reader> {
    if (this.#ended) throw this.#ended
    // What is secret must not leave a copy behind where the buffer had to grow.
    const writer = new Writer(content === 'secret' ? secretRoom : undefined)
    write(writer.uint32(0).byte(number))
    const message = writer.view()
    message.writeUInt32BE(message.length - 4, 0)
    const answered = new Promise<Reader>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#write(message)
    })
    // Once there is an answer, the message was read whole.
    const reply = await (content === 'secret' ? answered.finally(() => message.fill(0)) : answered)
    // An untyped SUCCESS is no answer to a question.
    if (asAgentError(() => reply.byte()) !== answer) throw new AgentError('refused', 'agent refused operation')
    return reply
  }
}

function knownKey(blob: Buffer): { key: PublicKey; certificate?: Certificate } | undefined {
  try {
    return parseKeyOrCertificate(blob)
  } catch (error) {
    if (error instanceof KeyError) return undefined
    throw error
  }
}

function asAgentError<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof AgentError) throw error
    throw new AgentError('malformed', 'the agent sent a malformed message', { cause: error })
  }
}
