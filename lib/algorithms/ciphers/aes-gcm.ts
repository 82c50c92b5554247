import { gcmOpen, gcmSeal, gcmTagLength } from '../../crypto/aes.ts'
import { ProtocolError } from '../../errors.ts'
import type { CipherAlgorithm, CipherKeys, PacketOpener, PacketSealer } from '../cipher.ts'

/** AES-GCM as PROTOCOL §1.6 and RFC 5647 have it: the length in the clear, authenticated with the packet. */
const aesGcm = (bits: 128 | 256): CipherAlgorithm => ({
  name: `aes${bits}-gcm@openssh.com`,
  keyLength: bits / 8,
  ivLength: 12,
  authenticated: true,
  createSealer: keys => new GcmSealer(keys),
  createOpener: keys => new GcmOpener(keys),
})

export const aes128Gcm = aesGcm(128)
export const aes256Gcm = aesGcm(256)

/** Of all connections, as each packet's is used at once. */
const packetIv = Buffer.alloc(12)

class GcmState {
  readonly blockLength = 16
  readonly lengthApart = true
  protected readonly key: Buffer
  readonly #iv: Buffer
  #packets = 0

  constructor({ key, iv }: CipherKeys) {
    this.key = key
    this.#iv = iv
  }

  protected nextIv(): Buffer {
    writeInvocation(this.#iv, this.#packets++, packetIv)
    return packetIv
  }
}

/** The IV of a packet after so many: the last 8 bytes count invocations, modulo 2^64 (RFC 5647 §7.1). */
export function writeInvocation(iv: Buffer, packets: number, target: Buffer): void {
  iv.copy(target)
  target.writeBigUInt64BE(BigInt.asUintN(64, iv.readBigUInt64BE(4) + BigInt(packets)), 4)
}

class GcmSealer extends GcmState implements PacketSealer {
  seal(_sequence: number, packet: Buffer, out: Buffer[]): void {
    const length = Buffer.from(packet.subarray(0, 4))
    out.push(length)
    gcmSeal(this.key, this.nextIv(), length, packet.subarray(4), out)
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
    const body = gcmOpen(this.key, this.nextIv(), sealed.subarray(0, 4), sealed.subarray(4, end), sealed.subarray(end))
    if (!body) throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    return body
  }
}
