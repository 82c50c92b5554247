import { ProtocolError } from '../../errors.ts'
import { message } from '../../wire/message.ts'
import { string } from '../../wire/struct.ts'
import { encode } from '../../wire/writer.ts'
import type { KexHash, KexMethod, KexSecret } from '../kex.ts'

/** SSH_MSG_KEX_ECDH_INIT and _REPLY (RFC 5656 §4); the hybrid methods use the same two. */
const EcdhInit = message(30, 'KEX_ECDH_INIT', 'kex', { clientPublic: string })
const EcdhReply = message(31, 'KEX_ECDH_REPLY', 'kex', { hostKey: string, serverPublic: string, signature: string })

/** A client's key for one exchange: what it sends, and the secret from what comes back (undefined: not acceptable). */
export interface ClientHalf {
  readonly publicValue: Buffer
  finish(serverPublic: Buffer): Buffer | undefined
}

/** A server's answer to a client's value; undefined when that is not acceptable. */
export type ServerHalf = (clientPublic: Buffer) => { publicValue: Buffer; secret: Buffer } | undefined

export interface Agreement {
  readonly name: string
  readonly hash: KexHash
  /** How K enters the hash: the classical methods as an mpint, the hybrid ones as a string. */
  readonly encodeSecret: 'mpint' | 'string'
  begin(): ClientHalf
  readonly respond: ServerHalf
}

/** A key exchange in which each side sends one value (RFC 5656, RFC 8731, draft-ietf-sshm-mlkem-hybrid-kex). */
export function agreementMethod({ name, hash, encodeSecret, begin, respond }: Agreement): KexMethod {
  let prepared: ClientHalf | undefined
  const secretOf = (clientPublic: Buffer, serverPublic: Buffer, secret: Buffer): KexSecret => ({
    transcript: encode(writer => writer.string(clientPublic).string(serverPublic)),
    sharedSecret: encode(writer => writer[encodeSecret](secret)),
  })
  return {
    name,
    hash,
    prepare() {
      prepared ??= begin()
    },
    async client(exchange) {
      const half = prepared ?? begin()
      prepared = undefined
      exchange.send(EcdhInit, { clientPublic: half.publicValue })
      const { hostKey, serverPublic, signature } = await exchange.receive(EcdhReply)
      const secret = half.finish(serverPublic)
      if (!secret) throw new ProtocolError('key-exchange-failed', `invalid public value of the server in ${name}`)
      return { hostKey, signature, ...secretOf(half.publicValue, serverPublic, secret) }
    },
    async server(exchange, host) {
      const { clientPublic } = await exchange.receive(EcdhInit)
      const answer = respond(clientPublic)
      if (!answer) throw new ProtocolError('key-exchange-failed', `invalid public value of the client in ${name}`)
      const outcome = secretOf(clientPublic, answer.publicValue, answer.secret)
      const signature = await host.sign(outcome)
      exchange.send(EcdhReply, { hostKey: host.hostKey, serverPublic: answer.publicValue, signature })
      return outcome
    },
  }
}
