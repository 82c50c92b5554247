import { gcmOpen, gcmSeal, gcmTagLength } from '../../crypto/aes.ts'
import { ProtocolError } from '../../errors.ts'
import type { CipherAlgorithm, CipherKeys, PacketOpener, PacketSealer } from '../cipher.ts'

/** AES-GCM as PROTOCOL §1.6 and RFC 5647 have it: the length in the clear, authenticated with the packet. */
const row = (bits: 128 | 256): CipherAlgorithm => ({
  name: `aes${bits}-gcm@openssh.com`,
  keyLength: bits / 8,
  ivLength: 12,
  authenticated: true,
  createSealer: keys => new GcmSealer(keys),
  createOpener: keys => new GcmOpener(keys),
})

export const aes128Gcm = row(128)
export const aes256Gcm = row(256)

/** The last 8 bytes of the IV count invocations (RFC 5647 §7.1), modulo 2^64. */
class GcmState {
  readonly blockLength = 16
  readonly lengthApart = true
  protected readonly key: Buffer
  protected readonly iv: Buffer

  constructor({ key, iv }: CipherKeys) {
    this.key = Buffer.from(key)
    this.iv = Buffer.from(iv)
  }

  protected advance(): void {
    for (let i = 11; i >= 4; i--) {
      const next = (this.iv[i]! + 1) & 0xff
      this.iv[i] = next
      if (next !== 0) return
    }
  }
}

class GcmSealer extends GcmState implements PacketSealer {
  seal(_sequence: number, packet: Buffer, out: Buffer[]): void {
    const length = packet.subarray(0, 4)
    out.push(Buffer.from(length))
    gcmSeal(this.key, this.iv, length, packet.subarray(4), out)
    this.advance()
  }
}

class GcmOpener extends GcmState implements PacketOpener {
  readonly headLength = 4
  readonly tagLength = gcmTagLength

  openLength(_sequence: number, head: Buffer): number {
    return head.readUInt32BE(0)
  }

  open(_sequence: number, sealed: Buffer): Buffer {
    const end = sealed.length - gcmTagLength
    const body = gcmOpen(this.key, this.iv, sealed.subarray(0, 4), sealed.subarray(4, end), sealed.subarray(end))
    if (!body) throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    this.advance()
    return body
  }
}
