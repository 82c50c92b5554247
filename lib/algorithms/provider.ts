import type { CipherAlgorithm, CipherKeys, PacketOpener, PacketSealer } from './cipher.ts'
import type { Mac, MacAlgorithm } from './mac.ts'

/** What went through one direction under its keys. The state of a cipher there follows from it. */
export interface Passed {
  readonly packets: number
  /** From the length fields on, without tags. */
  readonly bytes: number
}

/** `undefined` is no answer yet: ask again before the next packet. `never` is one. */
export type Provided<T> = T | 'never' | undefined

/**
 * Protects packets as an algorithm of the engine does, but from elsewhere and faster. What that needs may be worth loading
 * for much traffic alone, so each direction begins with the engine's own and changes over between two packets, which the
 * peer cannot see.
 */
export interface CryptoProvider {
  /** Algorithms that it may have; no other is asked for. */
  readonly names: ReadonlySet<string>
  sealer(algorithm: CipherAlgorithm, keys: CipherKeys, passed: Passed): Provided<PacketSealer>
  opener(algorithm: CipherAlgorithm, keys: CipherKeys, passed: Passed): Provided<PacketOpener>
  mac(algorithm: MacAlgorithm, key: Buffer, passed: Passed): Provided<Mac>
}

/** The algorithm with what the provider has instead, once it has it. */
export function providedCipher(own: CipherAlgorithm, provider: CryptoProvider): CipherAlgorithm {
  if (!provider.names.has(own.name)) return own
  const sealer: Ask<PacketSealer, CipherKeys> = (keys, passed) => provider.sealer(own, keys, passed)
  const opener: Ask<PacketOpener, CipherKeys> = (keys, passed) => provider.opener(own, keys, passed)
  return {
    ...own,
    createSealer: keys => new ProvidedSealer(own.createSealer(keys), sealer, keys),
    createOpener: keys => new ProvidedOpener(own.createOpener(keys), opener, keys),
  }
}

/** The same of a MAC. */
export function providedMac(own: MacAlgorithm, provider: CryptoProvider): MacAlgorithm {
  if (!provider.names.has(own.name)) return own
  const mac: Ask<Mac, Secrets> = ({ key }, passed) => provider.mac(own, key, passed)
  return { ...own, create: key => new ProvidedMac(own.create(key), mac, { key }) }
}

/** Ours to wipe. */
interface Secrets {
  readonly key: Buffer
  readonly iv?: Buffer
}

type Ask<T, Keys extends Secrets> = (keys: Keys, passed: Passed) => Provided<T>

/**
 * Either what is ours or what was provided, whichever is in use. It is what passed, too, as every idle connection has
 * two of these or four.
 */
class Direction<T, Keys extends Secrets> implements Passed {
  packets = 0
  bytes = 0
  protected current: T
  #ask: Ask<T, Keys> | undefined
  #keys: Keys | undefined

  constructor(own: T, ask: Ask<T, Keys>, keys: Keys) {
    this.current = own
    this.#ask = ask
    this.#keys = keys
  }

  /** Before a packet. */
  protected look(): void {
    if (!this.#ask) return
    const keys = this.#keys!
    const answer = this.#ask(keys, this)
    if (!answer) return
    this.#ask = undefined
    this.#keys = undefined
    if (answer === 'never') return
    this.current = answer
    keys.key.fill(0)
    keys.iv?.fill(0)
  }

  /** Of a packet. */
  protected count(bytes: number): void {
    if (!this.#ask) return
    this.packets++
    this.bytes += bytes
  }
}

class ProvidedSealer extends Direction<PacketSealer, CipherKeys> implements PacketSealer {
  get blockLength(): number {
    return this.current.blockLength
  }

  get lengthApart(): boolean {
    return this.current.lengthApart
  }

  seal(sequence: number, packet: Buffer, out: Buffer[]): void {
    this.look()
    this.count(packet.length)
    this.current.seal(sequence, packet, out)
  }
}

class ProvidedOpener extends Direction<PacketOpener, CipherKeys> implements PacketOpener {
  get blockLength(): number {
    return this.current.blockLength
  }

  get lengthApart(): boolean {
    return this.current.lengthApart
  }

  get headLength(): number {
    return this.current.headLength
  }

  get tagLength(): number {
    return this.current.tagLength
  }

  openLength(sequence: number, head: Buffer): number {
    this.look()
    return this.current.openLength(sequence, head)
  }

  open(sequence: number, sealed: Buffer): Buffer {
    this.count(sealed.length - this.tagLength)
    return this.current.open(sequence, sealed)
  }
}

class ProvidedMac extends Direction<Mac, Secrets> implements Mac {
  get tagLength(): number {
    return this.current.tagLength
  }

  get encryptThenMac(): boolean {
    return this.current.encryptThenMac
  }

  compute(sequence: number, ...parts: Buffer[]): Buffer {
    this.look()
    let bytes = 0
    for (const part of parts) bytes += part.length
    this.count(bytes)
    return this.current.compute(sequence, ...parts)
  }
}
