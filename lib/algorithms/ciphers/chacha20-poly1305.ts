import { chacha20 } from '../../crypto/chacha20.ts'
import { equalBytes } from '../../crypto/constant-time.ts'
import { poly1305 } from '../../crypto/poly1305.ts'
import { ProtocolError } from '../../errors.ts'
import type { CipherAlgorithm, CipherKeys, PacketOpener, PacketSealer } from '../cipher.ts'

/** PROTOCOL.chacha20poly1305: one key for the body (first 32 bytes) and one for the length; the nonce is the sequence. */
export const chacha20Poly1305: CipherAlgorithm = {
  name: 'chacha20-poly1305@openssh.com',
  keyLength: 64,
  ivLength: 0,
  authenticated: true,
  createSealer: keys => new ChachaSealer(keys),
  createOpener: keys => new ChachaOpener(keys),
}

const zeroBlock = Buffer.alloc(32)

class ChachaState {
  readonly blockLength = 8
  readonly lengthApart = true
  protected readonly bodyKey: Buffer
  protected readonly lengthKey: Buffer

  constructor({ key }: CipherKeys) {
    this.bodyKey = Buffer.from(key.subarray(0, 32))
    this.lengthKey = Buffer.from(key.subarray(32, 64))
  }

  protected nonce(sequence: number): Buffer {
    const nonce = Buffer.alloc(8)
    nonce.writeUInt32BE(sequence, 4)
    return nonce
  }

  /** Block 0 of the body's stream is the key of its authenticator; the body itself begins at block 1. */
  protected tagKey(nonce: Buffer): Buffer {
    return chacha20(this.bodyKey, 0, nonce, zeroBlock)
  }
}

class ChachaSealer extends ChachaState implements PacketSealer {
  seal(sequence: number, packet: Buffer, out: Buffer[]): void {
    const nonce = this.nonce(sequence)
    const sealed = Buffer.allocUnsafe(packet.length + 16)
    chacha20(this.lengthKey, 0, nonce, packet.subarray(0, 4)).copy(sealed, 0)
    chacha20(this.bodyKey, 1, nonce, packet.subarray(4)).copy(sealed, 4)
    sealed.set(poly1305(this.tagKey(nonce), sealed.subarray(0, packet.length)), packet.length)
    out.push(sealed)
  }
}

class ChachaOpener extends ChachaState implements PacketOpener {
  readonly headLength = 4
  readonly tagLength = 16

  openLength(sequence: number, head: Buffer): number {
    return chacha20(this.lengthKey, 0, this.nonce(sequence), head.subarray(0, 4)).readUInt32BE(0)
  }

  open(sequence: number, sealed: Buffer): Buffer {
    const nonce = this.nonce(sequence)
    const end = sealed.length - this.tagLength
    if (!equalBytes(poly1305(this.tagKey(nonce), sealed.subarray(0, end)), sealed.subarray(end))) {
      throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    }
    return chacha20(this.bodyKey, 1, nonce, sealed.subarray(4, end))
  }
}
