import { UsageError } from '../errors.ts'
import { hash } from './hash.ts'
import type { Kem } from './mlkem.ts'
import { type RandomSource, randomBytes } from './random.ts'
import { type WasmConstant, type WasmMemory, wasmInstance } from './wasm/instance.ts'
import { binary } from './wasm/sntrup761.wasm.ts'

/**
 * Streamlined NTRU Prime with p = 761, q = 4591, w = 286 (NTRU Prime, round 3 submission, §3 and §4). Key generation,
 * encapsulation and decapsulation take the same steps whatever the secrets are. The polynomials are in WebAssembly, whose
 * memory holds nothing between two calls.
 */

const p = 761
const smallLength = 191
const publicKeyLength = 1158
const roundedLength = 1007
const confirmationLength = 32
const ciphertextLength = roundedLength + confirmationLength

interface Exports extends WasmMemory {
  readonly random: WasmConstant
  readonly publicKey: WasmConstant
  readonly secretKey: WasmConstant
  readonly ciphertext: WasmConstant
  readonly input: WasmConstant
  drawG(): number
  drawF(): void
  drawInput(): void
  hide(): void
  reveal(): void
  wipe(): void
}

/** @throws UsageError where WebAssembly is missing */
function instantiate() {
  const wasm = wasmInstance<Exports>(binary)
  if (!wasm) throw new UsageError('sntrup761 needs WebAssembly with SIMD')
  const at = (constant: WasmConstant, length: number) => Buffer.from(wasm.memory.buffer, constant.value, length)
  return {
    wasm,
    random: at(wasm.random, p * 4),
    publicKey: at(wasm.publicKey, publicKeyLength),
    secretKey: at(wasm.secretKey, 2 * smallLength),
    ciphertext: at(wasm.ciphertext, roundedLength),
    input: at(wasm.input, smallLength),
  }
}

type Instance = ReturnType<typeof instantiate>

let shared: Instance | undefined

/** Lends the instance, and wipes it. */
function withInstance<T>(use: (instance: Instance) => T): T {
  shared ??= instantiate()
  try {
    return use(shared)
  } finally {
    shared.wasm.wipe()
  }
}

/** Hash_b(x): the first half of SHA-512 over the byte b and x. */
const prefixedHash = (prefix: number, ...parts: Uint8Array[]): Buffer =>
  hash('sha512', Buffer.from([prefix]), ...parts).subarray(0, 32)

/** What is sent for the r in the instance: the same from either side. */
function hide({ wasm, publicKey, ciphertext, input }: Instance, key: Buffer, keyHash: Buffer): Buffer {
  key.copy(publicKey)
  wasm.hide()
  return Buffer.concat([ciphertext, hashWith(2, input, keyHash)])
}

/** Hash_b(Hash_3(r), x), for the bytes of r. */
function hashWith(prefix: number, input: Buffer, bytes: Buffer): Buffer {
  const inputHash = prefixedHash(3, input)
  const digest = prefixedHash(prefix, inputHash, bytes)
  inputHash.fill(0)
  return digest
}

interface SecretKey {
  /** f and 1/g. */
  readonly polynomials: Buffer
  /** What stands for r when a ciphertext is wrong. */
  readonly rejection: Buffer
}

function decapsulate(key: SecretKey, publicKey: Buffer, ciphertext: Buffer): Buffer {
  return withInstance(instance => {
    const { wasm, input } = instance
    ciphertext.copy(instance.ciphertext, 0, 0, roundedLength)
    key.polynomials.copy(instance.secretKey)
    wasm.reveal()
    const again = hide(instance, publicKey, prefixedHash(4, publicKey))
    let difference = 0
    for (let i = 0; i < ciphertextLength; i++) difference |= ciphertext[i]! ^ again[i]!
    // All ones when anything differs: then the key comes from a secret that nobody else has.
    const wrong = -difference >> 31
    for (let i = 0; i < smallLength; i++) input[i]! ^= wrong & (input[i]! ^ key.rejection[i]!)
    // 1 when it was right, else 0.
    return hashWith(1 + wrong, input, ciphertext)
  })
}

/** sntrup761 over another source of random bytes, which tests have. */
export const sntrup761With = (source: RandomSource): Kem => {
  const fill = (target: Buffer): void => {
    const bytes = source(target.length)
    bytes.copy(target)
    bytes.fill(0)
  }
  return {
    publicKeyLength,
    ciphertextLength,
    generate() {
      const { publicKey, polynomials } = withInstance(instance => {
        const { wasm, random } = instance
        do fill(random)
        while (!wasm.drawG())
        fill(random)
        wasm.drawF()
        return { publicKey: Buffer.from(instance.publicKey), polynomials: Buffer.from(instance.secretKey) }
      })
      const key: SecretKey = { polynomials, rejection: source(smallLength) }
      return {
        publicKey,
        decapsulate: ciphertext => decapsulate(key, publicKey, ciphertext),
        wipe() {
          for (const secret of Object.values(key)) secret.fill(0)
        },
      }
    },
    encapsulate(publicKey) {
      if (publicKey.length !== publicKeyLength) return undefined
      return withInstance(instance => {
        fill(instance.random)
        instance.wasm.drawInput()
        const ciphertext = hide(instance, publicKey, prefixedHash(4, publicKey))
        return { ciphertext, sharedSecret: hashWith(1, instance.input, ciphertext) }
      })
    },
  }
}

export const sntrup761: Kem = sntrup761With(randomBytes)
