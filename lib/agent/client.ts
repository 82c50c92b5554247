import { AgentError, KeyError } from '../errors.ts'
import { type PublicKey, parsePublicKey } from '../keys/public-key.ts'
import type { Signer } from '../keys/signer.ts'
import { Reader } from '../wire/reader.ts'
import { encode, type Writer } from '../wire/writer.ts'

/** The agent protocol (draft-ietf-sshm-ssh-agent, OpenSSH's PROTOCOL.agent), the part that a client of keys needs. */

const requestIdentities = 11
const identitiesAnswer = 12
const signRequest = 13
const signResponse = 14

/** Flags of a sign request. */
const rsaFlags: Readonly<Record<string, number>> = { 'rsa-sha2-256': 2, 'rsa-sha2-512': 4 }

/** Longest message of an agent, in bytes; and keys it may list. */
const messageLimit = 256 * 1024
const keyLimit = 2048

export interface AgentKey {
  readonly publicKey: PublicKey
  readonly comment: string
}

/** Speaks to an agent over a byte stream: requests are answered in order. */
export class AgentClient {
  readonly #write: (bytes: Buffer) => void
  readonly #waiting: { resolve(reply: Reader): void; reject(error: AgentError): void }[] = []
  #received = Buffer.alloc(0)
  #ended: AgentError | undefined

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write
  }

  /** Bytes from the agent. */
  receive(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    while (this.#received.length >= 4) {
      const length = this.#received.readUInt32BE(0)
      if (length < 1 || length > messageLimit) {
        this.end(new AgentError('malformed', 'the agent sent a message of impossible length'))
        return
      }
      if (this.#received.length < 4 + length) return
      const reply = new Reader(this.#received, 4, 4 + length)
      this.#received = this.#received.subarray(4 + length)
      this.#waiting.shift()?.resolve(reply)
    }
  }

  /** The stream ended. */
  end(error: AgentError = new AgentError('unreachable', 'the agent closed the connection')): void {
    this.#ended ??= error
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended)
  }

  /** The keys it holds, those of kinds that we do not know left out. @throws AgentError */
  async list(): Promise<AgentKey[]> {
    const reply = await this.#request(requestIdentities, identitiesAnswer)
    return asAgentError(() => {
      const count = reply.uint32()
      if (count > keyLimit) throw new AgentError('malformed', `the agent lists ${count} keys`)
      const keys: AgentKey[] = []
      for (let i = 0; i < count; i++) {
        const [blob, comment] = [reply.string(), reply.text()]
        const publicKey = knownKey(blob)
        if (publicKey) keys.push({ publicKey, comment })
      }
      return keys
    })
  }

  /** An encoded signature. @throws AgentError */
  async sign(blob: Buffer, data: Buffer, algorithm: string): Promise<Buffer> {
    const reply = await this.#request(signRequest, signResponse, writer =>
      writer
        .string(blob)
        .string(data)
        .uint32(rsaFlags[algorithm] ?? 0),
    )
    return asAgentError(() => reply.string())
  }

  /** The agent's keys as Signers. @throws AgentError */
  async signers(): Promise<Signer[]> {
    return (await this.list()).map(({ publicKey, comment }) => ({
      publicKey,
      algorithms: publicKey.algorithms,
      blob: publicKey.blob,
      comment,
      sign: (data, algorithm) => this.sign(publicKey.blob, data, algorithm),
    }))
  }

  async #request(number: number, answer: number, write: (writer: Writer) => unknown = () => {}): Promise<Reader> {
    if (this.#ended) throw this.#ended
    const body = encode(writer => write(writer.byte(number)))
    const reply = await new Promise<Reader>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#write(encode(writer => writer.string(body)))
    })
    // An untyped SUCCESS is no answer to a question.
    if (asAgentError(() => reply.byte()) !== answer) throw new AgentError('refused', 'agent refused operation')
    return reply
  }
}

function knownKey(blob: Buffer): PublicKey | undefined {
  try {
    return parsePublicKey(blob)
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
