import { messageOf, sanitize } from '../../errors.ts'
import {
  defaultPlainSignatureAlgorithms,
  isX509Algorithm,
  keyTypeOf,
  signatureAlgorithmOf,
} from '../../keys/algorithms.ts'
import type { VerifyOptions } from '../../keys/families/family.ts'
import { fingerprint } from '../../keys/fingerprint.ts'
import { parseShownKey, type ShownKey, verifyShown } from '../../keys/shown-key.ts'
import { isPlainSigner, type Signer } from '../../keys/signer.ts'
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
  type ServerContext,
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
  async server(context, { user, method, data }): Promise<Conclusion> {
    const { exchange, transport, options, log } = context
    const reader = new Reader(data)
    const signed = reader.boolean()
    const algorithm = reader.text()
    const blob = reader.string()
    const hostKey = method === hostboundName ? reader.string() : undefined
    const signature = signed ? reader.string() : undefined
    reader.finish()
    if (hostKey && !hostKey.equals(transport.hostKey)) {
      log.error(`${hostboundName} packet contained wrong host key`)
      return { verdict: { accepted: false } }
    }
    const key = usableKey(context, algorithm, blob)
    if (!key) return { verdict: { accepted: false } }
    const { publicKey, certificate, x509 } = key
    const refused: Conclusion = { verdict: { accepted: false }, shown: key }
    const verdict =
      (await options.authority.publicKey?.(user, publicKey, certificate, algorithm, x509)) ?? refused.verdict
    if (!verdict.accepted) return refused
    if (!signature) {
      exchange.send(PublicKeyOk, { algorithm, blob })
      options.attempted?.({ user, method, outcome: 'postponed', ...key, failures: 0 })
      return 'answered'
    }
    const signedBytes = signedData(transport.sessionId, user, method, algorithm, blob, hostKey)
    const verified = (how?: VerifyOptions): boolean => verifyShown(algorithm, key, signedBytes, signature, how)
    if (verified(verdict.signature)) return { verdict, shown: key, proof: key }
    const name = `${publicKey.label} ${fingerprint(publicKey.blob)}`
    if (verified({ touchRequired: false })) {
      const present = verified()
      const lack = present ? 'user verification' : 'user presence (authenticator touch)'
      log.error(`public key ${name} signature for ${sanitize(user, true)} rejected: ${lack} requirement not met`)
    } else {
      log.info?.(`wrong signature of ${name}`)
    }
    return refused
  },
  offered: ({ authority }) => authority.publicKey !== undefined,
}

/** The key or certificate of a request, when its algorithm, type, size and authority are acceptable at all. */
function usableKey({ options, log, usedKeys }: ServerContext, algorithm: string, blob: Buffer): ShownKey | undefined {
  // Refused before the blob is parsed.
  if (!options.signatureAlgorithms.includes(algorithm)) {
    log.info?.(`signature algorithm ${sanitize(algorithm, true)} not in PubkeyAcceptedAlgorithms`)
    return undefined
  }
  try {
    const shown = parseShownKey(algorithm, blob)
    const { publicKey, certificate } = shown
    if (publicKey.type !== keyTypeOf(algorithm)) {
      log.error(`key type mismatch for decoded key (received ${publicKey.type}, expected ${algorithm})`)
    } else if (usedKeys.some(used => used.equals(publicKey))) {
      log.info?.(`refusing previously-used ${publicKey.label} key`)
    } else if (certificate && !authorityAlgorithmsOf(options).includes(certificate.signatureAlgorithm)) {
      log.info?.(`certificate signature algorithm ${certificate.signatureAlgorithm} is not allowed`)
    } else if (publicKey.type === 'ssh-rsa' && publicKey.bits < (options.requiredRsaBits ?? defaultRsaBits)) {
      log.info?.(`refusing RSA key: ${publicKey.bits} bits are too few`)
    } else {
      return shown
    }
  } catch (error) {
    log.error(`unusable public key: ${messageOf(error)}`)
  }
  return undefined
}

const defaultRsaBits = 1024

const authorityAlgorithmsOf = ({ authorityAlgorithms = defaultPlainSignatureAlgorithms }: ServerContext['options']) =>
  authorityAlgorithms

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
  const { comment, publicKey, origin } = signer
  const label = `${publicKey.label}${isPlainSigner(signer) ? '' : '-CERT'}`
  const print = fingerprint(publicKey.blob, credentials.fingerprintHash)
  const name = [comment, label, print, ...(origin ? [origin] : [])].join(' ')
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
      (announced?.includes(isX509Algorithm(algorithm) ? algorithm : signatureAlgorithmOf(algorithm)) ?? true),
  )
}

async function* iterate(signers: AsyncIterable<Signer> | Iterable<Signer>): AsyncGenerator<Signer, undefined> {
  for await (const signer of signers) yield signer
  return undefined
}
