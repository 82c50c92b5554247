import type { CipherKeys, PacketOpener, PacketSealer } from '../../../lib/algorithms/cipher.ts'
import type { Mac } from '../../../lib/algorithms/mac.ts'
import type { Passed } from '../../../lib/algorithms/provider.ts'
import { equalBytes } from '../../../lib/crypto/constant-time.ts'
import { ProtocolError, UsageError } from '../../../lib/errors.ts'
import { room } from '../../../lib/wire/room.ts'
import { CipherContext, type CipherType, type OpenSsl } from './library.ts'

const blockLength = 16

/** AES in counter mode (RFC 4344 §4) where it stands after what passed, and the MAC beside it. */
function parts(openssl: OpenSsl, { key, iv, mac }: CipherKeys, { packets, bytes }: Passed) {
  if (!mac) throw new UsageError('this cipher needs a MAC')
  const encrypted = mac.encryptThenMac ? bytes - 4 * packets : bytes
  const counter = BigInt.asUintN(128, BigInt(`0x${iv.toString('hex')}`) + BigInt(encrypted / blockLength))
  const start = Buffer.from(counter.toString(16).padStart(32, '0'), 'hex')
  const type = `aes-${key.length * 8}-ctr` as CipherType
  return { context: new CipherContext(openssl, type, key, start, 'seal'), mac }
}

const wrongMac = (): ProtocolError => new ProtocolError('mac-mismatch', 'message authentication code incorrect')

export function ctrSealer(openssl: OpenSsl, keys: CipherKeys, passed: Passed): PacketSealer {
  const { context, mac } = parts(openssl, keys, passed)
  return mac.encryptThenMac ? new SealerBehindMac(context, mac) : new SealerBeforeMac(context, mac)
}

export function ctrOpener(openssl: OpenSsl, keys: CipherKeys, passed: Passed): PacketOpener {
  const { context, mac } = parts(openssl, keys, passed)
  return mac.encryptThenMac ? new OpenerBehindMac(context, mac) : new OpenerBeforeMac(context, mac)
}

class Ctr {
  readonly blockLength = blockLength
  protected readonly context: CipherContext
  protected readonly mac: Mac

  constructor(context: CipherContext, mac: Mac) {
    this.context = context
    this.mac = mac
  }

  get tagLength(): number {
    return this.mac.tagLength
  }
}

/** The MAC is over the ciphertext (PROTOCOL §1.5). */
class SealerBehindMac extends Ctr implements PacketSealer {
  readonly lengthApart = true

  seal(sequence: number, packet: Buffer, out: Buffer[]): void {
    const { length } = packet
    const sealed = room(length + this.tagLength)
    for (let i = 0; i < 4; i++) sealed[i] = packet[i]!
    this.context.update(packet, 4, sealed, 4, length - 4)
    sealed.set(this.mac.compute(sequence, sealed.subarray(0, length)), length)
    out.push(sealed)
  }
}

class OpenerBehindMac extends Ctr implements PacketOpener {
  readonly lengthApart = true
  readonly headLength = 4

  openLength(_sequence: number, head: Buffer): number {
    return head.readUInt32BE(0)
  }

  open(sequence: number, sealed: Buffer): Buffer {
    const end = sealed.length - this.tagLength
    if (!equalBytes(this.mac.compute(sequence, sealed.subarray(0, end)), sealed.subarray(end))) throw wrongMac()
    const opened = room(end - 4)
    this.context.update(sealed, 4, opened, 0, end - 4)
    return opened
  }
}

/** The MAC is over the plaintext (RFC 4253 §6.4). */
class SealerBeforeMac extends Ctr implements PacketSealer {
  readonly lengthApart = false

  seal(sequence: number, packet: Buffer, out: Buffer[]): void {
    const { length } = packet
    const sealed = room(length + this.tagLength)
    sealed.set(this.mac.compute(sequence, packet), length)
    this.context.update(packet, 0, sealed, 0, length)
    out.push(sealed)
  }
}

class OpenerBeforeMac extends Ctr implements PacketOpener {
  readonly lengthApart = false
  readonly headLength = blockLength
  /** The first block of a packet was decrypted for its length: the stream cannot go back. */
  readonly #head = Buffer.alloc(blockLength)

  openLength(_sequence: number, head: Buffer): number {
    this.context.update(head, 0, this.#head, 0, blockLength)
    return this.#head.readUInt32BE(0)
  }

  open(sequence: number, sealed: Buffer): Buffer {
    const end = sealed.length - this.tagLength
    const packet = room(end)
    this.#head.copy(packet)
    if (end > blockLength) this.context.update(sealed, blockLength, packet, blockLength, end - blockLength)
    if (!equalBytes(this.mac.compute(sequence, packet), sealed.subarray(end))) throw wrongMac()
    return packet.subarray(4)
  }
}
