import type { CipherKeys } from '../algorithms/cipher.ts'
import type { KexHash, KexReply, KexSecret } from '../algorithms/kex.ts'
import { hash } from '../crypto/hash.ts'
import { HostKeyError, KeyError, ProtocolError, SshError } from '../errors.ts'
import { signatureAlgorithmOf } from '../keys/algorithms.ts'
import { parseShownKey, type ShownKey, verifyShown } from '../keys/shown-key.ts'
import type { Signer } from '../keys/signer.ts'
import type { Exchange } from '../wire/exchange.ts'
import { ownCopy } from '../wire/own-copy.ts'
import { encode } from '../wire/writer.ts'
import type { DirectionAlgorithms, Negotiation } from './proposal.ts'
import type { HostKeyProof, HostKeyVerifier, ServerTransportOptions } from './transport.ts'

/** What both sides of one key exchange put into the exchange hash, and what was negotiated (RFC 4253 §8). */
export interface KeyExchangeContext {
  readonly exchange: Exchange
  readonly negotiation: Negotiation
  readonly clientIdentification: string
  readonly serverIdentification: string
  /** Payloads of both KEXINIT, message number included. */
  readonly clientKexInit: Buffer
  readonly serverKexInit: Buffer
  /** Absent in the first exchange. */
  readonly sessionId: Buffer | undefined
}

export interface KeyExchangeResult {
  readonly sessionId: Buffer
  /** K_S. */
  readonly hostKey: Buffer
  readonly keys: DerivedKeys
}

export interface ClientChecks {
  readonly verifyHostKey: HostKeyVerifier
  readonly requiredRsaBits: number
  /** In a rekey: the host key of the first exchange, which must come again. */
  readonly knownHostKey: Buffer | undefined
}

/** The client's half: the method, then the proof of the host key, then the caller's judgement of it. */
export async function exchangeAsClient(context: KeyExchangeContext, checks: ClientChecks): Promise<KeyExchangeResult> {
  const { negotiation, exchange } = context
  const reply = await negotiation.kex.client(exchange, secretBitsOf(negotiation))
  const exchangeHash = hashOf(context, reply.hostKey, reply)
  const proof = proveHostKey(reply, exchangeHash, negotiation.names.hostKey)
  if (checks.knownHostKey) {
    if (!checks.knownHostKey.equals(reply.hostKey)) {
      throw new HostKeyError('changed', 'the host key changed in a key re-exchange')
    }
  } else {
    if (proof.publicKey.type === 'ssh-rsa' && proof.publicKey.bits < checks.requiredRsaBits) {
      throw new HostKeyError('weak', `RSA host key of ${proof.publicKey.bits} bits is too short`)
    }
    await checks.verifyHostKey(proof)
  }
  await loadCompression(negotiation)
  return resultOf(context, reply.hostKey, reply, exchangeHash)
}

/** The server's half: the method, which has the exchange hash signed by the host key of the negotiated algorithm. */
export async function exchangeAsServer(
  context: KeyExchangeContext,
  signer: Signer,
  chooseGroup: ServerTransportOptions['chooseGroup'],
): Promise<KeyExchangeResult> {
  const { negotiation, exchange } = context
  const hostKey = signer.blob
  let signed: { readonly secret: KexSecret; readonly exchangeHash: Buffer } | undefined
  const host = {
    hostKey,
    sign(secret: KexSecret) {
      signed = { secret, exchangeHash: hashOf(context, hostKey, secret) }
      return signer.sign(signed.exchangeHash, negotiation.names.hostKey)
    },
    ...(chooseGroup && { chooseGroup }),
  }
  const secret = await negotiation.kex.server(exchange, host, secretBitsOf(negotiation))
  await loadCompression(negotiation)
  const exchangeHash = signed?.secret === secret ? signed.exchangeHash : hashOf(context, hostKey, secret)
  return resultOf(context, hostKey, secret, exchangeHash)
}

/** Bits of the longest key, IV or MAC key that the secret is stretched to. */
function secretBitsOf({ clientToServer, serverToClient }: Negotiation): number {
  return Math.max(longestSecret(clientToServer), longestSecret(serverToClient)) * 8
}

const longestSecret = ({ cipher, mac }: DirectionAlgorithms): number =>
  Math.max(cipher.keyLength, cipher.ivLength, mac?.keyLength ?? 0)

async function loadCompression({ clientToServer, serverToClient }: Negotiation): Promise<void> {
  await Promise.all([clientToServer.compression.load?.(), serverToClient.compression.load?.()])
}

/** H (RFC 4253 §8). The secret goes into the hash from where it is: there is no copy of it to wipe. */
function hashOf(context: KeyExchangeContext, hostKey: Buffer, secret: KexSecret): Buffer {
  const inTheClear = encode(writer =>
    writer
      .string(Buffer.from(context.clientIdentification, 'latin1'))
      .string(Buffer.from(context.serverIdentification, 'latin1'))
      .string(context.clientKexInit)
      .string(context.serverKexInit)
      .string(hostKey)
      .bytes(secret.transcript),
  )
  return hash(context.negotiation.kex.hash, inTheClear, secret.sharedSecret)
}

/**
 * Checks that the host key's blob is of the negotiated algorithm and that its signature over H is too.
 * @throws HostKeyError | ProtocolError
 */
function proveHostKey(reply: KexReply, exchangeHash: Buffer, algorithm: string): HostKeyProof {
  const shown = parseHostKey(reply.hostKey, algorithm)
  const { publicKey } = shown
  if (!publicKey.algorithms.includes(signatureAlgorithmOf(algorithm))) {
    throw new ProtocolError('key-exchange-failed', `host key of type ${publicKey.type} shown for ${algorithm}`)
  }
  if (!verifyShown(algorithm, shown, exchangeHash, reply.signature)) {
    throw new HostKeyError('bad-signature', 'incorrect signature by the host key')
  }
  // Copies: what the messages were read from is used again.
  const evidence = { blob: Buffer.from(reply.hostKey), exchangeHash, signature: Buffer.from(reply.signature) }
  return { ...shown, algorithm, evidence }
}

function parseHostKey(blob: Buffer, algorithm: string): ShownKey {
  try {
    return parseShownKey(algorithm, blob)
  } catch (error) {
    if (error instanceof KeyError) throw new ProtocolError('key-exchange-failed', error.message, { cause: error })
    throw error
  }
}

/** Keys of both directions. */
export interface DerivedKeys {
  readonly clientToServer: DirectionKeys
  readonly serverToClient: DirectionKeys
}

export interface DirectionKeys {
  readonly algorithms: DirectionAlgorithms
  /** The Buffers are the cipher's from now on. */
  readonly cipherKeys: CipherKeys
}

function resultOf(
  context: KeyExchangeContext,
  hostKey: Buffer,
  secret: KexSecret,
  exchangeHash: Buffer,
): KeyExchangeResult {
  const { negotiation } = context
  const sessionId = context.sessionId ?? exchangeHash
  const derive = (letter: string, length: number) =>
    deriveKey(negotiation.kex.hash, secret.sharedSecret, exchangeHash, letter, sessionId, length)
  const direction = (algorithms: DirectionAlgorithms, [iv, key, mac]: readonly string[]): DirectionKeys => ({
    algorithms,
    cipherKeys: {
      iv: derive(iv!, algorithms.cipher.ivLength),
      key: derive(key!, algorithms.cipher.keyLength),
      ...(algorithms.mac && { mac: algorithms.mac.create(derive(mac!, algorithms.mac.keyLength)) }),
    },
  })
  const keys = {
    clientToServer: direction(negotiation.clientToServer, ['A', 'C', 'E']),
    serverToClient: direction(negotiation.serverToClient, ['B', 'D', 'F']),
  }
  secret.sharedSecret.fill(0)
  return { sessionId, hostKey, keys }
}

/** K1 || K2 || …, cut to `length` bytes (RFC 4253 §7.2). */
export function deriveKey(
  algorithm: KexHash,
  sharedSecret: Buffer,
  exchangeHash: Buffer,
  letter: string,
  sessionId: Buffer,
  length: number,
): Buffer {
  let material = hash(algorithm, sharedSecret, exchangeHash, Buffer.from(letter, 'latin1'), sessionId)
  while (material.length < length) {
    material = Buffer.concat([material, hash(algorithm, sharedSecret, exchangeHash, material)])
  }
  return ownCopy(material.subarray(0, length))
}

/** What a failed key exchange is for the connection: our own errors as they are, anything else without its details. */
export function exchangeError(error: unknown): SshError {
  if (error instanceof SshError) return error
  const text = error instanceof Error ? error.message : String(error)
  return new ProtocolError('key-exchange-failed', `key exchange failed: ${text}`, { cause: error })
}
