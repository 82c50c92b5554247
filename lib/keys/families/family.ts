import type { HashName } from '../../crypto/hash.ts'
import type { PrivateNumbers, SigningKey, Verifier } from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import type { Reader } from '../../wire/reader.ts'
import type { Writer } from '../../wire/writer.ts'

/** A signature algorithm of a family: its wire name and the hash under it (undefined where the family has its own). */
export interface SignatureAlgorithm {
  readonly name: string
  readonly hash: HashName | undefined
  /** Accepted from others, never made by us. */
  readonly verifyOnly?: boolean
}

/** What is asked of a signature made by a security key (PROTOCOL.u2f); other keys ignore it. */
export interface VerifyOptions {
  /** Whether somebody must have touched the key. Default true. */
  readonly touchRequired?: boolean
  /** Whether the key must have verified its user (PIN or fingerprint). Default false. */
  readonly verificationRequired?: boolean
}

/** A public key as its family reads it. */
export interface PublicMaterial {
  readonly bits: number
  /** Of a security key: the application it was made for, `ssh:` and what follows. */
  readonly application?: string
  /**
   * Checks a signature of which `body` is what follows the format name, to its end.
   * @throws SshError when the body is malformed
   */
  verify(algorithm: SignatureAlgorithm, data: Buffer, body: Reader, options: VerifyOptions): boolean
}

/** What the file of a security key's key holds: not the secret, but what the device needs to find it. */
export interface SkPrivate {
  readonly kind: 'sk-ed25519' | 'sk-ecdsa'
  /** The public value or the point. */
  readonly publicValue: Buffer
  readonly application: string
  readonly flags: number
  readonly keyHandle: Buffer
  readonly reserved: Buffer
}

/** Seeds of ML-DSA and of Ed25519; the public value is ML-DSA's and Ed25519's, one after the other. */
export interface CompositePrivate {
  readonly kind: 'mldsa44-ed25519'
  readonly publicValue: Buffer
  readonly seeds: Buffer
}

/** The private half of any family. */
export type PrivateMaterial = PrivateNumbers | SkPrivate | CompositePrivate

/** A kind of key as a value: everything that differs between kinds (OpenSSH's sshkey_impl). */
export interface KeyFamily {
  /** Key type name in the blob. */
  readonly type: string
  /** What OpenSSH prints: `ED25519`. */
  readonly label: string
  /** The name of its default file in ~/.ssh; undefined when it has none. */
  readonly fileName: string | undefined
  /** Best first. */
  readonly algorithms: readonly SignatureAlgorithm[]
  /** Reads what follows the type name. @throws KeyError */
  readPublic(reader: Reader): PublicMaterial
  /**
   * Reads a private key as the OpenSSH format has it, after the type name. With a certificate (agent protocol) most
   * families leave the public fields out there: then `publicFields` holds them, as in the public blob.
   * @throws KeyError
   */
  readPrivate(reader: Reader, publicFields?: Reader): PrivateMaterial
  /** The opposite; `certified` leaves out what the certificate says already. */
  writePrivate(writer: Writer, numbers: PrivateMaterial, certified?: boolean): void
  /** Writes the public blob of a private key, after the type name. */
  writePublic(writer: Writer, numbers: PrivateMaterial): void
  /** @throws KeyError `unsupported` when the secret is elsewhere, as in a security key */
  signer(numbers: PrivateMaterial): SigningKey
  /** From the algorithm's own signature bytes to what goes into the blob. */
  encodeSignature(signature: Buffer): Buffer
  owns(numbers: PrivateMaterial): boolean
}

/** Signatures of one string after the format name; `decode` turns the string into the algorithm's own bytes. */
export function plainSignature(
  verify: Verifier,
  decode: (bytes: Buffer) => Buffer | undefined = bytes => bytes,
): PublicMaterial['verify'] {
  return ({ hash }, data, body) => {
    const decoded = decode(body.string())
    body.finish()
    return decoded !== undefined && verify(hash, data, decoded)
  }
}

/** The material of one kind. @throws KeyError `mismatch` */
export function ownMaterial<Kind extends PrivateMaterial['kind']>(
  numbers: PrivateMaterial,
  kind: Kind,
): Extract<PrivateMaterial, { kind: Kind }> {
  if (numbers.kind !== kind) throw new KeyError('mismatch', `not a key of kind ${kind}`)
  return numbers as Extract<PrivateMaterial, { kind: Kind }>
}
