import { hash } from './hash.ts'

/**
 * bcrypt_pbkdf: the key derivation of encrypted OpenSSH private keys. Blowfish's tables are the fraction of pi in binary,
 * so they are computed, once, when first needed.
 */

const boxWords = 18 + 4 * 256
let initialState: Uint32Array | undefined

/** The first words of pi's fraction, by Machin's formula in fixed point. */
function piWords(): Uint32Array {
  const bits = BigInt(boxWords * 32)
  const guard = 64n
  const one = 1n << (bits + guard)
  const arctanOfInverse = (x: bigint): bigint => {
    let term = one / x
    let sum = term
    for (let n = 3n, sign = -1n; term !== 0n; n += 2n, sign = -sign) {
      term /= x * x
      sum += (sign * term) / n
    }
    return sum
  }
  const pi = 4n * (4n * arctanOfInverse(5n) - arctanOfInverse(239n))
  const hex = ((pi - 3n * one) >> guard).toString(16).padStart(boxWords * 8, '0')
  return Uint32Array.from({ length: boxWords }, (_, i) => Number.parseInt(hex.slice(i * 8, i * 8 + 8), 16))
}

/** Blowfish's state: 18 subkeys, then four boxes of 256 words. */
class Blowfish {
  private readonly words: Uint32Array
  private left = 0
  private right = 0

  constructor() {
    initialState ??= piWords()
    this.words = Uint32Array.from(initialState)
  }

  /** Encrypts the pair (left, right) in place. */
  private encipher(): void {
    const s = this.words
    let l = this.left ^ s[0]!
    let r = this.right
    for (let round = 1; round <= 16; round += 2) {
      r ^=
        (((((s[18 + (l >>> 24)]! + s[274 + ((l >>> 16) & 0xff)]!) | 0) ^ s[530 + ((l >>> 8) & 0xff)]!) +
          s[786 + (l & 0xff)]!) |
          0) ^
        s[round]!
      l ^=
        (((((s[18 + (r >>> 24)]! + s[274 + ((r >>> 16) & 0xff)]!) | 0) ^ s[530 + ((r >>> 8) & 0xff)]!) +
          s[786 + (r & 0xff)]!) |
          0) ^
        s[round + 1]!
    }
    this.left = r ^ s[17]!
    this.right = l
  }

  /** The key schedule; `data` is mixed in between when given (eksblowfish). */
  expand(key: Uint32Array, data?: Uint32Array): void {
    const s = this.words
    for (let i = 0; i < 18; i++) s[i] = s[i]! ^ key[i % key.length]!
    this.left = 0
    this.right = 0
    let at = 0
    for (let i = 0; i < boxWords; i += 2) {
      if (data) {
        this.left ^= data[at]!
        this.right ^= data[(at + 1) % data.length]!
        at = (at + 2) % data.length
      }
      this.encipher()
      s[i] = this.left
      s[i + 1] = this.right
    }
  }

  encrypt(block: Uint32Array): void {
    for (let i = 0; i < block.length; i += 2) {
      this.left = block[i]!
      this.right = block[i + 1]!
      this.encipher()
      block[i] = this.left >>> 0
      block[i + 1] = this.right >>> 0
    }
  }
}

const toWords = (bytes: Buffer): Uint32Array =>
  Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32BE(i * 4))

const magic = toWords(Buffer.from('OxychromaticBlowfishSwatDynamite'))

function bcryptHash(passphraseHash: Buffer, saltHash: Buffer): Buffer {
  const key = toWords(passphraseHash)
  const salt = toWords(saltHash)
  const cipher = new Blowfish()
  cipher.expand(key, salt)
  for (let i = 0; i < 64; i++) {
    cipher.expand(salt)
    cipher.expand(key)
  }
  const block = Uint32Array.from(magic)
  for (let i = 0; i < 64; i++) cipher.encrypt(block)
  const out = Buffer.alloc(32)
  for (const [i, word] of block.entries()) out.writeUInt32LE(word, i * 4)
  return out
}

/** Derives `length` bytes (at most 1024). The output's bytes are spread over the blocks, not laid after one another. */
export function bcryptPbkdf(passphrase: Buffer, salt: Buffer, rounds: number, length: number): Buffer {
  const passphraseHash = hash('sha512', passphrase)
  const key = Buffer.alloc(length)
  const blocks = Math.ceil(length / 32)
  const perBlock = Math.ceil(length / blocks)
  for (let count = 1; count <= blocks; count++) {
    const counter = Buffer.alloc(4)
    counter.writeUInt32BE(count)
    let round = bcryptHash(passphraseHash, hash('sha512', salt, counter))
    const sum = Buffer.from(round)
    for (let i = 1; i < rounds; i++) {
      round = bcryptHash(passphraseHash, hash('sha512', round))
      for (let j = 0; j < sum.length; j++) sum[j]! ^= round[j]!
    }
    for (let i = 0; i < perBlock; i++) {
      const at = i * blocks + (count - 1)
      if (at >= length) break
      key[at] = sum[i]!
    }
  }
  return key
}
