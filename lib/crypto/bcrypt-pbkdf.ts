import { Blowfish, initialState, toWords } from './blowfish.ts'
import { hash } from './hash.ts'
import { binary } from './wasm/bcrypt.wasm.ts'
import { type WasmConstant, type WasmMemory, wasmInstance } from './wasm/instance.ts'

/** bcrypt_pbkdf: the key derivation of encrypted OpenSSH private keys. */

/** 32 bytes from SHA-512 of the passphrase and of the salt. */
export type BcryptHash = (passphrase: Buffer, salt: Buffer) => Buffer

const magic = toWords(Buffer.from('OxychromaticBlowfishSwatDynamite'))

/** The hash without WebAssembly. */
export function plainBcryptHash(passphrase: Buffer, saltBytes: Buffer): Buffer {
  const key = toWords(passphrase)
  const salt = toWords(saltBytes)
  const cipher = new Blowfish()
  cipher.expand(key, salt)
  for (let i = 0; i < 64; i++) {
    cipher.expand(salt)
    cipher.expand(key)
  }
  const out = Buffer.alloc(32)
  const block = new Uint32Array(2)
  for (let i = 0; i < magic.length; i += 2) {
    block.set(magic.subarray(i, i + 2))
    for (let times = 0; times < 64; times++) cipher.encrypt(block)
    out.writeUInt32LE(block[0]!, i * 4)
    out.writeUInt32LE(block[1]!, i * 4 + 4)
  }
  return out
}

interface Exports extends WasmMemory {
  readonly initial: WasmConstant
  readonly passphrase: WasmConstant
  readonly salts: WasmConstant
  readonly texts: WasmConstant
  hash(): void
  wipe(): void
}

/** Two hashes of one passphrase, which take hardly longer than one: 32 bytes for each salt. */
type BcryptPair = (passphrase: Buffer, salts: readonly [Buffer, Buffer]) => [Buffer, Buffer]

/** The hashes in WebAssembly, with what forgets their secrets; undefined where it is missing. */
function instantiate(): { pair: BcryptPair; wipe(): void } | undefined {
  const wasm = wasmInstance<Exports>(binary)
  if (!wasm) return undefined
  const view = new DataView(wasm.memory.buffer)
  // The memory of WebAssembly is little-endian on every machine.
  const put = (at: number, words: Uint32Array): void => {
    for (let i = 0; i < words.length; i++) view.setUint32(at + i * 4, words[i]!, true)
  }
  const result = (at: number): Buffer => Buffer.from(Buffer.from(wasm.memory.buffer, at, hashBytes))
  put(wasm.initial.value, initialState())
  return {
    pair(passphrase, salts) {
      put(wasm.passphrase.value, toWords(passphrase))
      for (const [index, salt] of salts.entries()) {
        put(wasm.salts.value + index * 64, toWords(salt))
        put(wasm.texts.value + index * hashBytes, magic)
      }
      wasm.hash()
      return [result(wasm.texts.value), result(wasm.texts.value + hashBytes)]
    },
    wipe: () => wasm.wipe(),
  }
}

/** Bytes of a hash, and of a block of what is derived. */
const hashBytes = 32

/**
 * Derives `length` bytes (at most 1024). The output's bytes are spread over the blocks, not laid after one another.
 * `bcryptHash` is for tests.
 */
export function bcryptPbkdf(
  passphrase: Buffer,
  salt: Buffer,
  rounds: number,
  length: number,
  bcryptHash?: BcryptHash,
): Buffer {
  const provider = bcryptHash ? undefined : instantiate()
  const single = bcryptHash ?? plainBcryptHash
  const pair: BcryptPair = provider?.pair ?? ((secret, salts) => [single(secret, salts[0]), single(secret, salts[1])])
  const passphraseHash = hash('sha512', passphrase)
  const key = Buffer.alloc(length)
  const blocks = Math.ceil(length / hashBytes)
  const perBlock = Math.ceil(length / blocks)
  // Of an odd number the last block's fellow is made for nothing.
  for (let first = 0; first < blocks; first += 2) {
    const sums = derivePair(pair, passphraseHash, salt, first, rounds)
    for (const [index, sum] of sums.entries()) {
      const block = first + index
      for (let i = 0; i < perBlock && block < blocks && i * blocks + block < length; i++) {
        key[i * blocks + block] = sum[i]!
      }
      sum.fill(0)
    }
  }
  provider?.wipe()
  passphraseHash.fill(0)
  return key
}

/** A block and the next one: all rounds of each, summed up. */
function derivePair(
  pair: BcryptPair,
  passphraseHash: Buffer,
  salt: Buffer,
  first: number,
  rounds: number,
): readonly [Buffer, Buffer] {
  const firstSalt = (block: number): Buffer => {
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(block + 1)
    return hash('sha512', salt, counter)
  }
  let round = pair(passphraseHash, [firstSalt(first), firstSalt(first + 1)])
  const sums = [Buffer.from(round[0]), Buffer.from(round[1])] as const
  for (let i = 1; i < rounds; i++) {
    round = pair(passphraseHash, [hash('sha512', round[0]), hash('sha512', round[1])])
    for (const [index, sum] of sums.entries()) for (let j = 0; j < sum.length; j++) sum[j]! ^= round[index]![j]!
  }
  return sums
}
