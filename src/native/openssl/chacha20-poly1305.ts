import type { CipherKeys, PacketOpener, PacketSealer } from '../../../lib/algorithms/cipher.ts'
import { type ChachaPoly, chachaPoly, chachaPolyTagLength as tagLength } from '../../../lib/crypto/chacha20-poly1305.ts'
import { equalBytes } from '../../../lib/crypto/constant-time.ts'
import { ProtocolError } from '../../../lib/errors.ts'
import { ownCopy } from '../../../lib/wire/own-copy.ts'
import { room } from '../../../lib/wire/room.ts'
import { CipherContext, MacContext, type OpenSsl } from './library.ts'

/** Bytes of a packet up to which the engine's own is faster than half a dozen calls from here. */
const engineLimit = 1024
/** ChaCha20's. The first one of a packet gives the key of its tag, the others its body. */
const block = Buffer.alloc(64)

/** PROTOCOL.chacha20poly1305. Nothing but the sequence number differs from packet to packet. */
class LongChachaPoly {
  readonly blockLength = 8
  readonly lengthApart = true
  /** For lengths and short packets. */
  protected readonly engine: ChachaPoly
  /** Block counter (uint64, little-endian), here 0, then the nonce. */
  readonly #iv = Buffer.alloc(16)
  readonly #keyBlock = Buffer.alloc(block.length)
  readonly #tagKey = this.#keyBlock.subarray(0, 32)
  readonly #body: CipherContext
  readonly #mac: MacContext

  constructor(openssl: OpenSsl, { key }: CipherKeys) {
    this.engine = chachaPoly(ownCopy(key))
    this.#body = new CipherContext(openssl, 'chacha20', key.subarray(0, 32), this.#iv, 'seal')
    this.#mac = new MacContext(openssl, { algorithm: 'POLY1305', tagLength }, this.#tagKey)
  }

  /** Makes the key of the tag; what `mixBody` is given then continues the stream. */
  protected begin(sequence: number): void {
    this.#iv.writeUInt32BE(sequence, 12)
    this.#body.restart(this.#iv)
    this.#body.update(block, 0, this.#keyBlock, 0, block.length)
  }

  /** Encrypting and decrypting are the same. */
  protected mixBody(body: Buffer, start: number, target: Buffer, targetStart: number, length: number): void {
    this.#body.update(body, start, target, targetStart, length)
  }

  /** Of the first `length` bytes. */
  protected authenticate(sealed: Buffer, length: number, tag: Buffer, tagStart: number): void {
    this.#mac.restart(this.#tagKey)
    this.#mac.update(sealed, 0, length)
    this.#mac.finish(tag, tagStart)
  }
}

export class ChachaPolySealer extends LongChachaPoly implements PacketSealer {
  seal(sequence: number, packet: Buffer, out: Buffer[]): void {
    const { length } = packet
    if (length <= engineLimit) {
      this.engine.seal(sequence, packet, out)
      return
    }
    const sealed = room(length + tagLength)
    // Mixed as it is unmixed.
    sealed.writeUInt32BE(this.engine.openLength(sequence, packet), 0)
    this.begin(sequence)
    this.mixBody(packet, 4, sealed, 4, length - 4)
    this.authenticate(sealed, length, sealed, length)
    out.push(sealed)
  }
}

export class ChachaPolyOpener extends LongChachaPoly implements PacketOpener {
  readonly headLength = 4
  readonly tagLength = tagLength
  readonly #tag = Buffer.alloc(tagLength)

  openLength(sequence: number, head: Buffer): number {
    return this.engine.openLength(sequence, head)
  }

  open(sequence: number, sealed: Buffer): Buffer {
    const opened = sealed.length <= engineLimit ? this.engine.open(sequence, sealed) : this.#openLong(sequence, sealed)
    if (!opened) throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    return opened
  }

  #openLong(sequence: number, sealed: Buffer): Buffer | undefined {
    const end = sealed.length - tagLength
    this.begin(sequence)
    this.authenticate(sealed, end, this.#tag, 0)
    if (!equalBytes(this.#tag, sealed.subarray(end))) return undefined
    const opened = room(end - 4)
    this.mixBody(sealed, 4, opened, 0, end - 4)
    return opened
  }
}
