/** A public key of any family. Instances come from `parsePublicKey` (a blob) or `parsePublicKeyLine` (a `.pub` line). */
export interface PublicKey {
  /** Key type name as in the blob: `ssh-ed25519`, `ssh-rsa`, `ecdsa-sha2-nistp256`. */
  readonly type: string
  /** The name that OpenSSH prints: `ED25519`, `RSA`, `ECDSA`. */
  readonly label: string
  readonly bits: number
  /** The wire encoding (RFC 4253 §6.6), type name included. */
  readonly blob: Buffer
  /** Signature algorithm names that this key can be used under, best first. */
  readonly algorithms: readonly string[]
  /**
   * Whether `signature` (encoded: string format, string bytes) over `data` is this key's. When `algorithm` is given, the
   * signature's format must be exactly that one. Malformed signatures are false, never a throw.
   */
  verify(data: Buffer, signature: Buffer, algorithm?: string): boolean
  equals(other: PublicKey): boolean
}
