import { type RunningHash, startHash } from '../crypto/running-hash.ts'
import { KeyError, sanitize } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { encode } from '../wire/writer.ts'
import { signatureAlgorithmOf } from './algorithms.ts'
import { type Certificate, parseKeyOrCertificate } from './certificate.ts'
import type { VerifyOptions } from './families/family.ts'
import { type PublicKey, reading } from './public-key.ts'
import type { Signer } from './signer.ts'

/** Signatures over files and messages (OpenSSH's PROTOCOL.sshsig). */

const magic = Buffer.from('SSHSIG')
const formatVersion = 1
const begin = '-----BEGIN SSH SIGNATURE-----'
const end = '-----END SSH SIGNATURE-----'

/** Longest signature file that is read, in bytes: a certificate with room. */
const fileLimit = 1024 * 1024

/** RSA keys sign with these only. */
const rsaAlgorithms: readonly string[] = ['rsa-sha2-512', 'rsa-sha2-256']

export const signatureHashes = ['sha512', 'sha256'] as const
/** With what the message is hashed; the first is the default. */
export type SignatureHash = (typeof signatureHashes)[number]

const isSignatureHash = (name: string): name is SignatureHash => signatureHashes.some(known => known === name)

/** A signature over a message, with the key that made it. Who may have such a key is for the verifier to know. */
export interface SshSignature {
  readonly publicKey: PublicKey
  /** When the signer showed a certificate. Its authority's signature was checked, its validity was not. */
  readonly certificate?: Certificate
  /** What the signature is for: `file`, `git`, an address. Never empty. */
  readonly namespace: string
  readonly hash: SignatureHash
  /** Encoded: string format, string bytes. */
  readonly signature: Buffer
  /** For use in the future; ignored, but kept. */
  readonly reserved: Buffer
}

/** Begins to hash a message: `update` as it comes, then `digest`. */
export const startMessageHash = (name: SignatureHash): RunningHash => startHash(name)

/** What is really signed: never the message itself, so that no signature can stand for something else. */
const signedData = (namespace: string, hash: SignatureHash, digest: Buffer): Buffer =>
  encode(writer => writer.bytes(magic).text(namespace).text('').text(hash).string(digest))

export interface SignMessageOptions {
  /** Not empty. */
  readonly namespace: string
  readonly hash: SignatureHash
  /** The message, hashed with `hash`. */
  readonly digest: Buffer
}

/** Has a key sign a message. @throws KeyError | AgentError */
export async function signMessage(signer: Signer, options: SignMessageOptions): Promise<SshSignature> {
  const { namespace, hash, digest } = options
  if (namespace === '') throw new KeyError('not-valid', 'signature namespace is empty')
  const { publicKey, certificate } = signer
  const signature = await signer.sign(signedData(namespace, hash, digest), chooseAlgorithm(signer, hash))
  return { publicKey, ...(certificate && { certificate }), namespace, hash, signature, reserved: Buffer.alloc(0) }
}

/** The best one, except that an RSA key signs with the hash of the message. @throws KeyError `unsupported` */
function chooseAlgorithm({ publicKey, algorithms }: Signer, hash: SignatureHash): string {
  const wanted = publicKey.type === 'ssh-rsa' ? `rsa-sha2-${hash.slice(3)}` : undefined
  const algorithm = wanted ? algorithms.find(name => signatureAlgorithmOf(name) === wanted) : algorithms[0]
  if (!algorithm) throw new KeyError('unsupported', `${publicKey.label} key cannot sign messages`)
  return algorithm
}

/**
 * Checks a signature over a message that was hashed with `signature.hash`. A security key need not have been touched,
 * unless `options` ask for it.
 * @throws KeyError `mismatch` (another namespace), `unsupported` (RSA with SHA-1), `bad-signature`
 */
export function verifyMessage(
  signature: SshSignature,
  { namespace, digest }: { readonly namespace: string; readonly digest: Buffer },
  options: VerifyOptions = { touchRequired: false },
): void {
  const { publicKey, hash } = signature
  if (signature.namespace !== namespace) {
    throw new KeyError('mismatch', "Couldn't verify signature: namespace does not match")
  }
  if (publicKey.type === 'ssh-rsa') {
    const algorithm = reading('signature', () => new Reader(signature.signature).text())
    if (!rsaAlgorithms.includes(algorithm)) {
      const shown = sanitize(algorithm, true)
      throw new KeyError('unsupported', `Couldn't verify signature: unsupported RSA signature algorithm ${shown}`)
    }
  }
  if (!publicKey.verify(signedData(namespace, hash, digest), signature.signature, undefined, options))
    throw new KeyError('bad-signature', 'Signature verification failed: incorrect signature')
}

/** Reads the binary form. @throws KeyError `malformed`, `unsupported`, `bad-signature` (of a certificate) */
export function decodeSshSignature(blob: Buffer): SshSignature {
  return reading('signature', () => {
    if (!blob.subarray(0, magic.length).equals(magic))
      throw new KeyError('unknown-format', "Couldn't verify signature: invalid format")
    const reader = new Reader(Buffer.from(blob), magic.length)
    const version = reader.uint32()
    if (version > formatVersion) {
      const problem = `Signature version ${version} is larger than supported version ${formatVersion}`
      throw new KeyError('unsupported', problem)
    }
    const { key: publicKey, certificate } = parseKeyOrCertificate(reader.string())
    const namespace = exactText(reader)
    const reserved = reader.string()
    const hash = exactText(reader)
    const signature = reader.string()
    reader.finish()
    if (namespace === '') throw new KeyError('malformed', 'signature has no namespace')
    if (!isSignatureHash(hash))
      throw new KeyError('unsupported', `unsupported hash algorithm "${sanitize(hash, true).slice(0, 100)}"`)
    return { publicKey, ...(certificate && { certificate }), namespace, hash, signature, reserved }
  })
}

function exactText(reader: Reader): string {
  const bytes = reader.string()
  const text = bytes.toString()
  if (bytes.includes(0) || !Buffer.from(text).equals(bytes)) throw new KeyError('malformed', 'signature holds bad text')
  return text
}

export function encodeSshSignature(signature: SshSignature): Buffer {
  const { publicKey, certificate, namespace, hash, reserved } = signature
  return encode(writer => {
    writer.bytes(magic).uint32(formatVersion)
    writer.string(certificate?.blob ?? publicKey.blob).text(namespace)
    writer.string(reserved).text(hash).string(signature.signature)
  })
}

/** Reads a `.sig` file. What follows the armour is not looked at, as in OpenSSH. @throws KeyError */
export function parseSshSignature(file: Buffer | string): SshSignature {
  if (file.length > fileLimit) throw new KeyError('malformed', 'signature is too long')
  const text = typeof file === 'string' ? file : file.toString('latin1')
  const header = /^-----BEGIN SSH SIGNATURE-----\r?\n/.exec(text)
  if (!header) throw new KeyError('unknown-format', "Couldn't parse signature: missing header")
  const stop = text.indexOf(`\n${end}`, header[0].length - 1)
  if (stop < 0) throw new KeyError('unknown-format', "Couldn't parse signature: missing footer")
  const base64 = text.slice(header[0].length, stop).replace(/[ \t\r\n]+/g, '')
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64) || base64.length % 4 !== 0)
    throw new KeyError('malformed', 'signature is not base64')
  return decodeSshSignature(Buffer.from(base64, 'base64'))
}

/** The text of a `.sig` file, its last newline included. */
export function formatSshSignature(signature: SshSignature): string {
  const lines =
    encodeSshSignature(signature)
      .toString('base64')
      .match(/.{1,70}/g) ?? []
  return `${[begin, ...lines, end].join('\n')}\n`
}
