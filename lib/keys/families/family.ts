import type { HashName } from '../../crypto/hash.ts'
import type { PrivateNumbers, SigningKey, Verifier } from '../../crypto/signature.ts'
import type { Reader } from '../../wire/reader.ts'
import type { Writer } from '../../wire/writer.ts'

/** A signature algorithm of a family: its wire name and the hash under it (undefined where the family has its own). */
export interface SignatureAlgorithm {
  readonly name: string
  readonly hash: HashName | undefined
}

/** A public key as its family reads it. */
export interface PublicMaterial {
  readonly bits: number
  readonly verify: Verifier
}

/** A kind of key as a value: everything that differs between kinds (OpenSSH's sshkey_impl). */
export interface KeyFamily {
  /** Key type name in the blob. */
  readonly type: string
  /** What OpenSSH prints: `ED25519`. */
  readonly label: string
  /** The name of its default file in ~/.ssh. */
  readonly fileName: string
  /** Best first. */
  readonly algorithms: readonly SignatureAlgorithm[]
  /** Reads what follows the type name. @throws KeyError */
  readPublic(reader: Reader): PublicMaterial
  /** Reads a private key as the OpenSSH format has it, after the type name. @throws KeyError */
  readPrivate(reader: Reader): PrivateNumbers
  writePrivate(writer: Writer, numbers: PrivateNumbers): void
  /** Writes the public blob of a private key, after the type name. */
  writePublic(writer: Writer, numbers: PrivateNumbers): void
  signer(numbers: PrivateNumbers): SigningKey
  /** From the algorithm's own signature bytes to what goes into the blob, and back (undefined when malformed). */
  encodeSignature(signature: Buffer): Buffer
  decodeSignature(signature: Buffer): Buffer | undefined
  owns(numbers: PrivateNumbers): boolean
}
