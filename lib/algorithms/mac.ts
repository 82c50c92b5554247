/** A keyed MAC of one direction. */
export interface Mac {
  readonly tagLength: number
  readonly encryptThenMac: boolean
  /** MAC over `uint32 sequence` and then each part in order; `tagLength` bytes. */
  compute(sequence: number, ...parts: Buffer[]): Buffer
}

/** A MAC algorithm (RFC 4253 §6.4) as negotiated by name. */
export interface MacAlgorithm {
  readonly name: string
  /** Bytes. */
  readonly keyLength: number
  readonly tagLength: number
  /** Encrypt-then-MAC: the packet length travels in the clear and the MAC covers the ciphertext (PROTOCOL §1.5). */
  readonly encryptThenMac: boolean
  /** `key` is the MAC's own from now on, as those of a cipher are. */
  create(key: Buffer): Mac
}
