import { messageOf, sanitize } from '../../errors.ts'
import { isCertificateAlgorithm, keyTypeOf, signatureAlgorithmOf } from '../../keys/algorithms.ts'
import { fingerprint } from '../../keys/fingerprint.ts'
import { parsePublicKey } from '../../keys/public-key.ts'
import type { Signer } from '../../keys/signer.ts'
import { Reader } from '../../wire/reader.ts'
import { encode, type Writer } from '../../wire/writer.ts'
import { PublicKeyOk, UserauthFailure, UserauthRequest, UserauthSuccess } from '../messages.ts'
import {
  type AuthMethod,
  awaitOutcome,
  type ClientContext,
  type Conclusion,
  connectionService,
  type Outcome,
  sendRequest,
  toOutcome,
} from './method.ts'

const plainName = 'publickey'
/** PROTOCOL §3.1: the signature covers the server's host key too. */
export const hostboundName = 'publickey-hostbound-v00@openssh.com'
const hostboundExtension = 'publickey-hostbound@openssh.com'
const hostboundVersion = '0'

/** RFC 4252 §7. */
export const publickey: AuthMethod = {
  name: plainName,
  client(context) {
    const signers = iterate(context.credentials.signers?.() ?? [])
    return async () => {
      for (;;) {
        const { value: signer, done } = await signers.next()
        if (done) return undefined
        const outcome = await offer(context, signer)
        if (outcome) return outcome
      }
    }
  },
  async server({ exchange, transport, options, log, usedKeys }, { user, method, data }): Promise<Conclusion> {
    const refused: Conclusion = { verdict: { accepted: false } }
    const reader = new Reader(data)
    const signed = reader.boolean()
    const algorithm = reader.text()
    const blob = reader.string()
    const hostKey = method === hostboundName ? reader.string() : undefined
    const signature = signed ? reader.string() : undefined
    reader.finish()
    // Refused before the blob is parsed.
    if (!options.signatureAlgorithms.includes(algorithm) || isCertificateAlgorithm(algorithm)) {
      log.debug1?.(`key algorithm ${sanitize(algorithm, true)} is not accepted`)
      return refused
    }
    if (hostKey && !hostKey.equals(transport.hostKey)) return refused
    let key: ReturnType<typeof parsePublicKey>
    try {
      key = parsePublicKey(blob)
    } catch (error) {
      log.debug1?.(`unusable public key: ${messageOf(error)}`)
      return refused
    }
    if (key.type !== keyTypeOf(algorithm) || usedKeys.some(used => used.equals(key))) return refused
    const verdict = (await options.authority.publicKey?.(user, key, undefined, algorithm)) ?? {
      accepted: false as const,
    }
    if (!verdict.accepted) return { verdict }
    if (!signature) {
      exchange.send(PublicKeyOk, { algorithm, blob })
      return 'answered'
    }
    const proved = key.verify(
      signedData(transport.sessionId, user, method, algorithm, blob, hostKey),
      signature,
      algorithm,
    )
    if (!proved) {
      log.info?.(`wrong signature of ${key.label} ${fingerprint(key.blob)}`)
      return refused
    }
    return { verdict, proof: { publicKey: key } }
  },
  offered: ({ authority }) => authority.publicKey !== undefined,
}

/** What a signature covers (RFC 4252 §7). */
const signedData = (
  sessionId: Buffer,
  user: string,
  method: string,
  algorithm: string,
  blob: Buffer,
  hostKey: Buffer | undefined,
): Buffer =>
  encode(writer => {
    writer.string(sessionId).byte(UserauthRequest.number).text(user).text(connectionService).text(method)
    writer.boolean(true).text(algorithm).string(blob)
    if (hostKey) writer.string(hostKey)
  })

/** Asks whether the key is acceptable, and signs if so. Undefined: the key could not be used at all. */
async function offer(context: ClientContext, signer: Signer): Promise<Outcome | undefined> {
  const { exchange, transport, credentials, log } = context
  const algorithm = chooseAlgorithm(context, signer)
  const name = `${signer.comment} ${signer.publicKey.label} ${fingerprint(signer.publicKey.blob)}`
  if (!algorithm) {
    log.debug1?.(`Skipping ${name}: no mutual signature algorithm`)
    return undefined
  }
  const hostbound = transport.peerExtensions.get(hostboundExtension)?.toString('latin1') === hostboundVersion
  const hostKey = hostbound ? transport.hostKey : undefined
  const method = hostKey ? hostboundName : plainName
  const request = (signature?: Buffer) => (writer: Writer) => {
    writer
      .boolean(signature !== undefined)
      .text(algorithm)
      .string(signer.blob)
    if (hostKey) writer.string(hostKey)
    if (signature) writer.string(signature)
  }
  log.debug1?.(`Offering public key: ${name}`)
  if (!credentials.signWithoutQuery) {
    sendRequest(context, method, request())
    for (;;) {
      const received = await exchange.receiveOneOf(PublicKeyOk, UserauthFailure, UserauthSuccess)
      if (received.name !== 'USERAUTH_PK_OK') return toOutcome(received)
      // Only for what was offered do we sign (RFC 4252 §7).
      if (received.value.algorithm === algorithm && received.value.blob.equals(signer.blob)) break
      log.debug1?.('the server accepts a key that was not offered; ignored')
    }
    log.debug1?.(`Server accepts key: ${name}`)
  }
  let signature: Buffer
  try {
    const data = signedData(transport.sessionId, credentials.user, method, algorithm, signer.blob, hostKey)
    signature = await signer.sign(data, signatureAlgorithmOf(algorithm))
  } catch (error) {
    log.error(
      `sign_and_send_pubkey: signing failed for ${signer.publicKey.label} "${signer.comment}": ${messageOf(error)}`,
    )
    return undefined
  }
  sendRequest(context, method, request(signature))
  return awaitOutcome(context)
}

/** The best algorithm that key, configuration and server (server-sig-algs, RFC 8308 §3.1) agree on. */
function chooseAlgorithm({ transport, credentials }: ClientContext, signer: Signer): string | undefined {
  const announced = transport.peerExtensions.get('server-sig-algs')?.toString('latin1').split(',')
  return signer.algorithms.find(
    algorithm =>
      (credentials.signatureAlgorithms?.includes(algorithm) ?? algorithm !== 'ssh-rsa') &&
      // A server that announces nothing may still know SHA-2 signatures; the others are its key types' own.
      (announced?.includes(signatureAlgorithmOf(algorithm)) ?? true),
  )
}

async function* iterate(signers: AsyncIterable<Signer> | Iterable<Signer>): AsyncGenerator<Signer, undefined> {
  for await (const signer of signers) yield signer
  return undefined
}
