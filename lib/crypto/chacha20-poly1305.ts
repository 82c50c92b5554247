import { poly1305 as noblePoly1305 } from '@noble/ciphers/_poly1305.js'
import { foundOnce } from '../found-once.ts'
import { chacha20 } from './chacha20.ts'
import { equalBytes } from './constant-time.ts'
import { binary } from './wasm/chacha20-poly1305.wasm.ts'
import { type WasmConstant, type WasmMemory, wasmInstance } from './wasm/instance.ts'

/**
 * The construction of PROTOCOL.chacha20poly1305, over whole packets of any length from 4 bytes on. The nonce is the
 * sequence number.
 */
export interface ChachaPoly {
  /** The plain length field of a sealed packet. */
  openLength(sequence: number, head: Buffer): number
  /** Appends the sealed `packet`, which begins with its length field, and the 16-byte tag to `out`. */
  seal(sequence: number, packet: Buffer, out: Buffer[]): void
  /** The plain packet after its length field, in a buffer of its own; undefined when the tag is wrong. */
  open(sequence: number, sealed: Buffer): Buffer | undefined
}

export const chachaPolyTagLength = 16

interface Exports extends WasmMemory {
  readonly capacity: WasmConstant
  readonly packet: WasmConstant
  readonly keys: WasmConstant
  readonly nonce: WasmConstant
  readonly tag: WasmConstant
  mixLength(): void
  begin(): void
  beginWithKey(): void
  absorb(length: number): void
  finish(): void
  seal(length: number): void
  open(length: number): number
}

/** The one instance, with views of its memory. All use is synchronous, so every direction may share it. */
function instantiate() {
  const wasm = wasmInstance<Exports>(binary)
  if (!wasm) return undefined
  const { buffer } = wasm.memory
  const at = (constant: WasmConstant, length: number) => Buffer.from(buffer, constant.value, length)
  return {
    wasm,
    capacity: wasm.capacity.value,
    packet: at(wasm.packet, wasm.capacity.value + 32),
    keys: at(wasm.keys, 64),
    nonce: at(wasm.nonce, 8),
    tag: at(wasm.tag, chachaPolyTagLength),
  }
}

type Instance = NonNullable<ReturnType<typeof instantiate>>

const sharedInstance = foundOnce(instantiate)

/** `key` is 64 bytes, which are kept: the body's key, then the length's. */
export function chachaPoly(key: Buffer): ChachaPoly {
  const instance = sharedInstance()
  return instance ? new WasmChachaPoly(key, instance) : plainChachaPoly(key)
}

/**
 * Up to here the stream is made in WebAssembly too: OpenSSL's ChaCha20 is more than twice as fast, but costs 2 µs to
 * begin.
 */
const wasmStreamLimit = 4096

class WasmChachaPoly implements ChachaPoly {
  private readonly key: Buffer
  private readonly bodyKey: Buffer
  private readonly instance: Instance

  constructor(key: Buffer, instance: Instance) {
    this.key = key
    this.bodyKey = this.key.subarray(0, 32)
    this.instance = instance
  }

  openLength(sequence: number, head: Buffer): number {
    const { wasm, packet } = this.instance
    this.prepare(sequence)
    head.copy(packet, 0, 0, 4)
    wasm.mixLength()
    return packet.readUInt32BE(0)
  }

  seal(sequence: number, packet: Buffer, out: Buffer[]): void {
    const { instance } = this
    const { length } = packet
    this.prepare(sequence)
    if (length <= wasmStreamLimit) {
      packet.copy(instance.packet, 0)
      instance.wasm.seal(length)
      out.push(Buffer.from(instance.packet.subarray(0, length + chachaPolyTagLength)))
      return
    }
    packet.copy(instance.packet, 0, 0, 4)
    instance.wasm.mixLength()
    const head = Buffer.from(instance.packet.subarray(0, 4))
    const body = chacha20(this.bodyKey, 1, sequence, packet.subarray(4))
    this.authenticate(sequence, head, body)
    out.push(head, body, Buffer.from(instance.tag))
  }

  open(sequence: number, sealed: Buffer): Buffer | undefined {
    const { instance } = this
    const end = sealed.length - chachaPolyTagLength
    if (end <= wasmStreamLimit) {
      this.prepare(sequence)
      sealed.copy(instance.packet, 0)
      if (instance.wasm.open(end) !== 0) return undefined
      return Buffer.from(instance.packet.subarray(4, end))
    }
    const body = sealed.subarray(4, end)
    this.authenticate(sequence, sealed.subarray(0, 4), body)
    if (!equalBytes(instance.tag, sealed.subarray(end))) return undefined
    return chacha20(this.bodyKey, 1, sequence, body)
  }

  private prepare(sequence: number): void {
    const { keys, nonce } = this.instance
    this.key.copy(keys)
    nonce.writeUInt32BE(sequence, 4)
  }

  /** Leaves the tag of a long packet in the instance. */
  private authenticate(sequence: number, head: Buffer, body: Buffer): void {
    this.prepare(sequence)
    this.instance.wasm.begin()
    finishTag(this.instance, head, body)
  }
}

/** Takes both parts into the tag that was begun, and leaves it in the instance. */
function finishTag({ wasm, packet, capacity }: Instance, head: Buffer, body: Buffer): void {
  let filled = head.copy(packet, 0)
  let at = 0
  do {
    const taken = body.copy(packet, filled, at, at + capacity - filled)
    wasm.absorb(filled + taken)
    at += taken
    filled = 0
  } while (at < body.length)
  wasm.finish()
}

/** Poly1305 alone (RFC 8439 §2.5): 16 bytes over `data` under a 32-byte key that is used once. */
export function poly1305(key: Buffer, data: Buffer): Uint8Array {
  const instance = sharedInstance()
  if (!instance) return noblePoly1305(data, key)
  key.copy(instance.keys)
  instance.wasm.beginWithKey()
  finishTag(instance, Buffer.alloc(0), data)
  return Buffer.from(instance.tag)
}

/** The same without WebAssembly, with noble's Poly1305. */
export function plainChachaPoly(keys: Buffer): ChachaPoly {
  const bodyKey = Buffer.from(keys.subarray(0, 32))
  const lengthKey = Buffer.from(keys.subarray(32, 64))
  const zeros = Buffer.alloc(32)
  // Block 0 of the body's stream is the key of its authenticator; the body itself begins at block 1.
  const tagOf = (sequence: number, data: Buffer): Uint8Array =>
    noblePoly1305(data, chacha20(bodyKey, 0, sequence, zeros))
  return {
    openLength: (sequence, head) => chacha20(lengthKey, 0, sequence, head.subarray(0, 4)).readUInt32BE(0),
    seal(sequence, packet, out) {
      const sealed = Buffer.allocUnsafe(packet.length + chachaPolyTagLength)
      chacha20(lengthKey, 0, sequence, packet.subarray(0, 4)).copy(sealed, 0)
      chacha20(bodyKey, 1, sequence, packet.subarray(4)).copy(sealed, 4)
      sealed.set(tagOf(sequence, sealed.subarray(0, packet.length)), packet.length)
      out.push(sealed)
    },
    open(sequence, sealed) {
      const end = sealed.length - chachaPolyTagLength
      if (!equalBytes(tagOf(sequence, sealed.subarray(0, end)), sealed.subarray(end))) return undefined
      return chacha20(bodyKey, 1, sequence, sealed.subarray(4, end))
    },
  }
}
