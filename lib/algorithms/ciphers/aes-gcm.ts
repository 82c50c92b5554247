import { gcmOpen, gcmSeal, gcmTagLength } from '../../crypto/aes.ts'
import { ProtocolError } from '../../errors.ts'
import { ownCopy } from '../../wire/own-copy.ts'
import { room } from '../../wire/room.ts'
import type { CipherAlgorithm, CipherKeys, PacketOpener, PacketSealer } from '../cipher.ts'

/** AES-GCM under one key in one direction, from elsewhere than Node. */
export interface Gcm {
  /** Writes ciphertext and tag to `target`, which has room for both. `iv` is 12 bytes. */
  seal(iv: Buffer, associated: Buffer, plaintext: Buffer, target: Buffer): void
  /** Writes the plaintext to `target`, of the length of `ciphertext`. @returns whether the tag was right */
  open(iv: Buffer, associated: Buffer, ciphertext: Buffer, tag: Buffer, target: Buffer): boolean
}

/**
 * Makes them. It is asked before each packet until it answers, as what it needs may be worth loading for much traffic
 * alone; `bytes` went through before. `never` is an answer too.
 */
export type GcmProvider = (key: Buffer, direction: 'seal' | 'open', bytes: number) => Gcm | 'never' | undefined

/**
 * AES-GCM as PROTOCOL §1.6 and RFC 5647 have it: the length in the clear, authenticated with the packet. Node makes a
 * new cipher object and new memory for each packet; a provider can do without.
 */
export const aesGcm = (bits: 128 | 256, provider: GcmProvider = () => 'never'): CipherAlgorithm => ({
  name: `aes${bits}-gcm@openssh.com`,
  keyLength: bits / 8,
  ivLength: 12,
  authenticated: true,
  createSealer: keys => new GcmSealer(keys, 'seal', provider),
  createOpener: keys => new GcmOpener(keys, 'open', provider),
})

export const aes128Gcm = aesGcm(128)
export const aes256Gcm = aesGcm(256)

/** The last 8 bytes of the IV count invocations (RFC 5647 §7.1), modulo 2^64. */
class GcmState {
  readonly blockLength = 16
  readonly lengthApart = true
  protected readonly key: Buffer
  protected readonly iv: Buffer
  readonly #direction: 'seal' | 'open'
  readonly #provider: GcmProvider
  #provided: Gcm | 'never' | undefined
  #bytes = 0

  constructor({ key, iv }: CipherKeys, direction: 'seal' | 'open', provider: GcmProvider) {
    this.key = ownCopy(key)
    this.iv = ownCopy(iv)
    this.#direction = direction
    this.#provider = provider
  }

  /** The provider's, if there is one yet, for a packet of so many bytes. */
  protected providedFor(length: number): Gcm | undefined {
    this.#provided ??= this.#provider(this.key, this.#direction, this.#bytes)
    this.#bytes += length
    return this.#provided === 'never' ? undefined : this.#provided
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
    const body = packet.subarray(4)
    const provided = this.providedFor(packet.length)
    if (provided) {
      const sealed = room(packet.length + gcmTagLength)
      sealed.set(length)
      provided.seal(this.iv, length, body, sealed.subarray(4))
      out.push(sealed)
    } else {
      out.push(Buffer.from(length))
      gcmSeal(this.key, this.iv, length, body, out)
    }
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
    const body = this.#opened(sealed.subarray(0, 4), sealed.subarray(4, end), sealed.subarray(end))
    if (!body) throw new ProtocolError('mac-mismatch', 'message authentication code incorrect')
    this.advance()
    return body
  }

  #opened(length: Buffer, ciphertext: Buffer, tag: Buffer): Buffer | undefined {
    const provided = this.providedFor(ciphertext.length)
    if (!provided) return gcmOpen(this.key, this.iv, length, ciphertext, tag)
    const plaintext = room(ciphertext.length)
    return provided.open(this.iv, length, ciphertext, tag, plaintext) ? plaintext : undefined
  }
}
