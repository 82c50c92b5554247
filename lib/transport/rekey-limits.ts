import type { CipherAlgorithm } from '../algorithms/cipher.ts'
import type { Traffic } from './packet.ts'
import type { RekeyLimit } from './transport.ts'

const gibibyte = 1024 ** 3
/** Blocks of 64 bits repeat themselves early: RFC 4344 §3.2, and the birthday attacks on 3DES. */
const smallBlockBytes = 256 * 1024 ** 2
/** RFC 4344 §3.1. */
const maxPackets = 2 ** 31

/** How much one set of keys protects in one direction. */
export class DirectionLimit {
  /** Bytes after which keys are exchanged again. */
  readonly bytes: number
  /** Bytes that not even a connection without a way to rekey may pass. */
  private readonly hardBytes: number
  private readonly packets: number

  constructor(limit: RekeyLimit, cipher: CipherAlgorithm | undefined, blockLength: number) {
    // An AEAD with a small block is a stream cipher (chacha20-poly1305).
    const smallBlock = cipher !== undefined && blockLength < 16 && !cipher.authenticated
    this.hardBytes = smallBlock ? smallBlockBytes : gibibyte
    this.bytes = Math.min(limit.bytes ?? gibibyte, smallBlock ? smallBlockBytes : Number.POSITIVE_INFINITY)
    this.packets = Math.min(limit.packets ?? maxPackets, maxPackets)
  }

  reached(traffic: Traffic): boolean {
    return traffic.bytes >= this.bytes || traffic.packets >= this.packets
  }

  /** Before authentication nobody has reason to send so much (OpenSSH closes too). */
  exceeded(traffic: Traffic): boolean {
    return traffic.bytes >= this.hardBytes || traffic.packets >= maxPackets
  }
}
