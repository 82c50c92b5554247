import { ProtocolError } from '../../errors.ts'
import { type Message, message } from '../../wire/message.ts'
import { mpint, string } from '../../wire/struct.ts'
import { encode } from '../../wire/writer.ts'
import type { KexHash, KexMethod, KexSecret } from '../kex.ts'

/** SSH_MSG_KEX_ECDH_INIT and _REPLY (RFC 5656 §4); the hybrid methods use the same two. */
const EcdhInit = message(30, 'KEX_ECDH_INIT', 'kex', { clientPublic: string })
const EcdhReply = message(31, 'KEX_ECDH_REPLY', 'kex', { hostKey: string, serverPublic: string, signature: string })

/** SSH_MSG_KEXDH_INIT and _REPLY (RFC 4253 §8): the same, with mpints. */
const DhInit = message(30, 'KEXDH_INIT', 'kex', { clientPublic: mpint })
const DhReply = message(31, 'KEXDH_REPLY', 'kex', { hostKey: string, serverPublic: mpint, signature: string })

interface Init {
  clientPublic: Buffer
}

interface Reply {
  hostKey: Buffer
  serverPublic: Buffer
  signature: Buffer
}

/** How public values travel and enter the hash: from a curve or a KEM as strings, from a group as mpints. */
const forms: Readonly<Record<'string' | 'mpint', { readonly init: Message<Init>; readonly reply: Message<Reply> }>> = {
  string: { init: EcdhInit, reply: EcdhReply },
  mpint: { init: DhInit, reply: DhReply },
}

/** A client's key for one exchange: what it sends, and the secret from what comes back (undefined: not acceptable). */
export interface ClientHalf {
  readonly publicValue: Buffer
  finish(serverPublic: Buffer): Buffer | undefined
}

export interface Agreement {
  readonly name: string
  readonly hash: KexHash
  readonly publicForm: 'mpint' | 'string'
  /** How K enters the hash: the classical methods as an mpint, the hybrid ones as a string. */
  readonly secretForm: 'mpint' | 'string'
  /** `begin` costs enough to be done before the method is certain. */
  readonly prepares?: true
  begin(secretBits: number): ClientHalf
  /** A server's answer to a client's value; undefined when that is not acceptable. */
  respond(clientPublic: Buffer, secretBits: number): { publicValue: Buffer; secret: Buffer } | undefined
}

/** What a method without a strength of its own would be told; the others do not look at it. */
const anyStrength = 256

/** A key exchange in which each side sends one value (RFC 4253 §8, RFC 5656, RFC 8731, draft-ietf-sshm-mlkem-hybrid-kex). */
export function agreementMethod(agreement: Agreement): KexMethod {
  const { name, hash, publicForm, secretForm } = agreement
  const { init, reply } = forms[publicForm]
  let prepared: ClientHalf | undefined
  const secretOf = (clientPublic: Buffer, serverPublic: Buffer, secret: Buffer): KexSecret => ({
    transcript: encode(writer => writer[publicForm](clientPublic)[publicForm](serverPublic)),
    sharedSecret: encode(writer => writer[secretForm](secret)),
  })
  return {
    name,
    hash,
    ...(agreement.prepares && {
      prepare() {
        prepared ??= agreement.begin(anyStrength)
      },
    }),
    async client(exchange, secretBits) {
      const half = prepared ?? agreement.begin(secretBits)
      prepared = undefined
      exchange.send(init, { clientPublic: half.publicValue })
      const { hostKey, serverPublic, signature } = await exchange.receive(reply)
      const secret = half.finish(serverPublic)
      if (!secret) throw new ProtocolError('key-exchange-failed', `invalid public value of the server in ${name}`)
      return { hostKey, signature, ...secretOf(half.publicValue, serverPublic, secret) }
    },
    async server(exchange, host, secretBits) {
      const { clientPublic } = await exchange.receive(init)
      const answer = agreement.respond(clientPublic, secretBits)
      if (!answer) throw new ProtocolError('key-exchange-failed', `invalid public value of the client in ${name}`)
      const outcome = secretOf(clientPublic, answer.publicValue, answer.secret)
      const signature = await host.sign(outcome)
      exchange.send(reply, { hostKey: host.hostKey, serverPublic: answer.publicValue, signature })
      return outcome
    },
  }
}
