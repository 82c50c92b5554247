import type { CipherKeys, PacketOpener, PacketSealer } from '../../../lib/algorithms/cipher.ts'
import { writeInvocation } from '../../../lib/algorithms/ciphers/aes-gcm.ts'
import type { Passed } from '../../../lib/algorithms/provider.ts'
import { ProtocolError } from '../../../lib/errors.ts'
import { room } from '../../../lib/wire/room.ts'
import { aeadTagLength, CipherContext, type OpenSsl } from './library.ts'

/** AES-GCM (PROTOCOL §1.6, RFC 5647): the length stays in the clear and is authenticated with the packet. */
class Gcm {
  readonly blockLength = 16
  readonly lengthApart = true
  protected readonly context: CipherContext
  readonly #iv = Buffer.alloc(12)

  constructor(openssl: OpenSsl, { key, iv }: CipherKeys, direction: 'seal' | 'open', { packets }: Passed) {
    writeInvocation(iv, packets, this.#iv)
    this.context = new CipherContext(openssl, key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm', key, iv, direction)
  }

  protected begin(packet: Buffer): void {
    const iv = this.#iv
    this.context.restart(iv)
    this.context.associate(packet, 0, 4)
    for (let i = 11; i >= 4; i--) {
      const next = (iv[i]! + 1) & 0xff
      iv[i] = next
      if (next !== 0) return
    }
  }
}

export class GcmSealer extends Gcm implements PacketSealer {
  constructor(openssl: OpenSsl, keys: CipherKeys, passed: Passed) {
    super(openssl, keys, 'seal', passed)
  }

  seal(_sequence: number, packet: Buffer, out: Buffer[]): void {
    const { length } = packet
    const sealed = room(length + aeadTagLength)
    for (let i = 0; i < 4; i++) sealed[i] = packet[i]!
    this.begin(packet)
    this.context.update(packet, 4, sealed, 4, length - 4)
    this.context.finishWithTag(sealed, length)
    out.push(sealed)
  }
}

export class GcmOpener extends Gcm implements PacketOpener {
  readonly headLength = 4
  readonly tagLength = aeadTagLength

  constructor(openssl: OpenSsl, keys: CipherKeys, passed: Passed) {
    super(openssl, keys, 'open', passed)
  }

  openLength(_sequence: number, head: Buffer): number {
    return head.readUInt32BE(0)
  }

  open(_sequence: number, sealed: Buffer): Buffer {
    const end = sealed.length - aeadTagLength
    this.begin(sealed)
    const opened = room(end - 4)
    this.context.update(sealed, 4, opened, 0, end - 4)
    if (!this.context.matches(sealed, end))
      throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    return opened
  }
}
