import type { CipherKeys, PacketOpener, PacketSealer } from '../../../lib/algorithms/cipher.ts'
import { equalBytes } from '../../../lib/crypto/constant-time.ts'
import { ProtocolError } from '../../../lib/errors.ts'
import { room } from '../../../lib/wire/room.ts'
import { CipherContext, MacContext, type OpenSsl } from './library.ts'

const tagLength = 16
const lengthOfKey = 32
/** ChaCha20's. The first one of a packet gives the key of its tag, the others its body. */
const block = Buffer.alloc(64)

/** PROTOCOL.chacha20poly1305. Nothing but the sequence number differs from packet to packet. */
class ChaChaPoly {
  readonly blockLength = 8
  readonly lengthApart = true
  /** Block counter (uint64, little-endian), here 0, then the nonce. */
  readonly #iv = Buffer.alloc(16)
  readonly #keyBlock = Buffer.alloc(block.length)
  readonly #tagKey = this.#keyBlock.subarray(0, lengthOfKey)
  readonly #body: CipherContext
  readonly #length: CipherContext
  readonly #mac: MacContext

  constructor(openssl: OpenSsl, { key }: CipherKeys) {
    const context = (part: Buffer) => new CipherContext(openssl, 'chacha20', part, this.#iv, 'seal')
    this.#body = context(key.subarray(0, lengthOfKey))
    this.#length = context(key.subarray(lengthOfKey))
    this.#mac = new MacContext(openssl, { algorithm: 'POLY1305', tagLength }, this.#tagKey)
  }

  /** Encrypting and decrypting are the same. */
  protected mixLength(sequence: number, length: Buffer, target: Buffer): void {
    this.#iv.writeUInt32BE(sequence, 12)
    this.#length.restart(this.#iv)
    this.#length.update(length, target)
  }

  /** Makes the key of the tag; what `mixBody` is given then continues the stream. */
  protected begin(sequence: number): void {
    this.#iv.writeUInt32BE(sequence, 12)
    this.#body.restart(this.#iv)
    this.#body.update(block, this.#keyBlock)
  }

  protected mixBody(body: Buffer, target: Buffer): void {
    this.#body.update(body, target)
  }

  protected authenticate(sealed: Buffer, tag: Buffer): void {
    this.#mac.restart(this.#tagKey)
    this.#mac.update(sealed)
    this.#mac.finish(tag)
  }
}

export class ChaChaPolySealer extends ChaChaPoly implements PacketSealer {
  seal(sequence: number, packet: Buffer, out: Buffer[]): void {
    const { length } = packet
    const sealed = room(length + tagLength)
    this.mixLength(sequence, packet.subarray(0, 4), sealed)
    this.begin(sequence)
    this.mixBody(packet.subarray(4), sealed.subarray(4))
    this.authenticate(sealed.subarray(0, length), sealed.subarray(length))
    out.push(sealed)
  }
}

export class ChaChaPolyOpener extends ChaChaPoly implements PacketOpener {
  readonly headLength = 4
  readonly tagLength = tagLength
  readonly #plainLength = Buffer.alloc(4)
  readonly #tag = Buffer.alloc(tagLength)

  openLength(sequence: number, head: Buffer): number {
    this.mixLength(sequence, head.subarray(0, 4), this.#plainLength)
    return this.#plainLength.readUInt32BE(0)
  }

  open(sequence: number, sealed: Buffer): Buffer {
    const end = sealed.length - tagLength
    this.begin(sequence)
    this.authenticate(sealed.subarray(0, end), this.#tag)
    if (!equalBytes(this.#tag, sealed.subarray(end)))
      throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    const opened = room(end - 4)
    this.mixBody(sealed.subarray(4, end), opened)
    return opened
  }
}
