import type { Mac } from './mac.ts'

/**
 * Keys of one direction, derived as RFC 4253 §7.2 says. The buffers are the cipher's own from when it is made: it keeps
 * them, and wipes them once it can do without. `mac` is absent for ciphers that authenticate themselves.
 */
export interface CipherKeys {
  readonly key: Buffer
  readonly iv: Buffer
  readonly mac?: Mac
}

/**
 * Protects outgoing packets of one direction (RFC 4253 §6). The sequence number is an argument, not state; the cipher's
 * own counters are state.
 */
export interface PacketSealer {
  /** Padding makes `length field (unless `lengthApart`) + padding_length + payload + padding` a multiple of this. */
  readonly blockLength: number
  /** The 4-byte length field is not counted for the padding: AEAD and encrypt-then-MAC. */
  readonly lengthApart: boolean
  /**
   * Seals one whole plaintext packet (length, padding_length, payload, padding) and appends what goes on the wire.
   * `packet` is scratch that the next packet overwrites: nothing pushed may be a view of it.
   */
  seal(sequence: number, packet: Buffer, out: Buffer[]): void
}

/** Opens incoming packets of one direction. `openLength` then `open` are called once each per packet, in that order. */
export interface PacketOpener {
  readonly blockLength: number
  readonly lengthApart: boolean
  /** How many bytes of a packet `openLength` needs: 4, or a whole block when the length is encrypted with the rest. */
  readonly headLength: number
  /** Bytes after the packet (MAC or AEAD tag). */
  readonly tagLength: number
  /** packet_length from the first `headLength` bytes. The caller checks it against its bounds before it waits for more. */
  openLength(sequence: number, head: Buffer): number
  /**
   * Opens one whole sealed packet: `4 + packet_length + tagLength` bytes from the length field on. The result begins at
   * padding_length and is a buffer of its own: it is not a view of `sealed`, and nobody else writes to it.
   * @throws ProtocolError `mac-mismatch`, before a byte of the payload is looked at.
   */
  open(sequence: number, sealed: Buffer): Buffer
  /**
   * Only where the MAC is over plaintext that chained blocks hide (CBC): spends the time of authenticating `bytes` more,
   * so that an error does not show by time how much was authenticated before it (CVE-2008-5161).
   */
  spend?(bytes: number): void
}

/** A cipher (RFC 4253 §6.3) as negotiated by name. */
export interface CipherAlgorithm {
  readonly name: string
  /** Bytes. */
  readonly keyLength: number
  readonly ivLength: number
  /** An AEAD: no MAC is negotiated with it. */
  readonly authenticated: boolean
  createSealer(keys: CipherKeys): PacketSealer
  createOpener(keys: CipherKeys): PacketOpener
}
