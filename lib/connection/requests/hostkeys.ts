/** Host key rotation: `hostkeys-00@openssh.com` and `hostkeys-prove-00@openssh.com` (PROTOCOL §2.5). */

import { KeyError } from '../../errors.ts'
import type { PublicKey } from '../../keys/public-key.ts'
import type { Signer } from '../../keys/signer.ts'
import type { Reader } from '../../wire/reader.ts'
import { encode } from '../../wire/writer.ts'
import type { Connection, GlobalRequestHandler } from '../connection.ts'

export const hostKeysName = 'hostkeys-00@openssh.com'
export const hostKeysProveName = 'hostkeys-prove-00@openssh.com'

/** Host keys in one message: each costs its server a signature. */
const maximumHostKeys = 64

/** RSA signatures that prove anything, best first. */
const rsaAlgorithms = ['rsa-sha2-512', 'rsa-sha2-256']

/** Reads key blobs up to the end; those beyond the bound are left out. */
function readBlobs(payload: Reader): Buffer[] {
  const blobs: Buffer[] = []
  while (payload.remaining > 0 && blobs.length < maximumHostKeys) blobs.push(payload.string())
  return blobs
}

/** What a host key signs to prove that its owner is on this connection. */
function proofData(sessionId: Buffer, blob: Buffer): Buffer {
  return encode(writer => writer.text(hostKeysProveName).string(sessionId).string(blob))
}

/** Server: tells the client all our host keys, once authentication is done. */
export function announceHostKeys(connection: Connection, blobs: readonly Buffer[]): void {
  connection.globalNotify(hostKeysName, writer => {
    for (const blob of blobs.slice(0, maximumHostKeys)) writer.string(blob)
  })
}

/** Server: proves that we have the private halves. All or nothing: a key that is not ours refuses the request. */
export function proveHostKeys(signers: readonly Signer[]): GlobalRequestHandler {
  return (payload, reply, connection) => {
    const blobs = readBlobs(payload)
    const owners = blobs.map(blob => signers.find(signer => signer.blob.equals(blob)))
    if (blobs.length === 0 || payload.remaining > 0 || owners.includes(undefined)) {
      reply(false)
      return
    }
    const { sessionId, negotiated } = connection.transport
    const proofs = owners.map(signer => {
      const algorithm = proofAlgorithm(signer!, negotiated.hostKey)
      return signer!.sign(proofData(sessionId, signer!.blob), algorithm)
    })
    Promise.all(proofs).then(
      signatures =>
        reply(true, writer => {
          for (const signature of signatures) writer.string(signature)
        }),
      () => reply(false),
    )
  }
}

/** RSA keys sign as in the key exchange if that was RSA, else with the best hash; others have one way only. */
function proofAlgorithm(signer: Signer, negotiated: string): string {
  if (signer.algorithms.includes(negotiated)) return negotiated
  return rsaAlgorithms.find(name => signer.algorithms.includes(name)) ?? signer.algorithms[0]!
}

/** Client: hears of the server's host keys, as blobs. An entry for `ConnectionOptions.globalRequests`. */
export function hearHostKeys(heard: (blobs: Buffer[], connection: Connection) => void): GlobalRequestHandler {
  return (payload, reply, connection) => {
    const blobs = readBlobs(payload)
    reply(true)
    heard(blobs, connection)
  }
}

/**
 * Client: has the server prove that it has the private halves of these keys. Resolves only if every proof is good.
 * @throws RequestError when the server refuses, KeyError (`bad-signature`) when a proof is bad
 */
export async function requestHostKeyProofs(connection: Connection, keys: readonly PublicKey[]): Promise<void> {
  if (keys.length === 0) return
  const answer = await connection.globalRequest(hostKeysProveName, writer => {
    for (const key of keys) writer.string(key.blob)
  })
  verifyHostKeyProofs(answer, keys, connection.transport.sessionId, connection.transport.negotiated.hostKey)
}

/**
 * Checks the proofs of these keys, in their order. An RSA key must sign as in the key exchange if `negotiated` is RSA,
 * else with a SHA-2 hash. @throws KeyError, ProtocolError
 */
export function verifyHostKeyProofs(
  proofs: Reader,
  keys: readonly PublicKey[],
  sessionId: Buffer,
  negotiated: string,
): void {
  for (const key of keys) {
    const signature = proofs.string()
    const data = proofData(sessionId, key.blob)
    if (!acceptableAlgorithms(key, negotiated).some(algorithm => key.verify(data, signature, algorithm))) {
      throw new KeyError('bad-signature', `the server did not prove that it has its ${key.label} host key`)
    }
  }
  proofs.finish()
}

function acceptableAlgorithms(key: PublicKey, negotiated: string): readonly string[] {
  const plain = negotiated.replace(/-cert-v\d\d@openssh\.com$/, '')
  if (key.type !== 'ssh-rsa') return key.algorithms
  return rsaAlgorithms.includes(plain) ? [plain] : rsaAlgorithms
}
