import * as crypto from 'node:crypto'
import { createRequire } from 'node:module'
import { foundOnce } from '../found-once.ts'
import { type RandomSource, randomBytes } from './random.ts'
import { type WasmConstant, type WasmMemory, wasmInstance } from './wasm/instance.ts'
import { binary } from './wasm/mlkem.wasm.ts'

/** A key encapsulation mechanism: what one side sends to the other, lengths in bytes. */
export interface Kem {
  readonly publicKeyLength: number
  readonly ciphertextLength: number
  generate(): KemKey
  /** @returns undefined when the key is not one */
  encapsulate(publicKey: Buffer): { readonly ciphertext: Buffer; readonly sharedSecret: Buffer } | undefined
}

/** A decapsulation key for one exchange. */
export interface KemKey {
  readonly publicKey: Buffer
  /** Implicit rejection: a wrong ciphertext of the right length gives a secret that nobody shares (FIPS 203 §6.3). */
  decapsulate(ciphertext: Buffer): Buffer
  /** Forgets the key, which is of no use then. */
  wipe(): void
}

/** A parameter set of FIPS 203 (table 3), and its object identifier's last byte (2.16.840.1.101.3.4.4.*). */
interface ParameterSet {
  readonly name: 'ml-kem-768' | 'ml-kem-1024'
  readonly publicKeyLength: number
  readonly ciphertextLength: number
  readonly secretKeyLength: number
  readonly rank: 3 | 4
  readonly objectId: number
}

/** What Node has of ML-KEM from 24.7 on, which its types for older releases do not know. */
interface NodeKem {
  encapsulate(key: crypto.KeyObject): { sharedKey: Buffer; ciphertext: Buffer }
  decapsulate(key: crypto.KeyObject, ciphertext: Buffer): Buffer
  generateKeyPairSync(type: string): crypto.KeyPairKeyObjectResult
}

const nodeCrypto = crypto as unknown as Partial<NodeKem>

function mlkem(parameters: ParameterSet): Kem {
  const { publicKeyLength, ciphertextLength } = parameters
  const { encapsulate, decapsulate, generateKeyPairSync } = nodeCrypto
  const native = encapsulate && decapsulate && generateKeyPairSync
  const provider = native
    ? nodeKem(parameters, { encapsulate, decapsulate, generateKeyPairSync })
    : wasmOrNobleKem(parameters)
  return { publicKeyLength, ciphertextLength, ...provider }
}

type Provider = Pick<Kem, 'generate' | 'encapsulate'>

interface Exports extends WasmMemory {
  readonly seed: WasmConstant
  readonly publicKey: WasmConstant
  readonly secretKey: WasmConstant
  readonly ciphertext: WasmConstant
  readonly sharedSecret: WasmConstant
  generate(rank: number): void
  encapsulate(rank: number): number
  decapsulate(rank: number): void
  wipe(): void
}

const instance = foundOnce(() => wasmInstance<Exports>(binary))

/** Lends the instance, and wipes it. */
function withInstance<T>(use: (wasm: Exports, at: (place: WasmConstant, length: number) => Buffer) => T): T {
  const wasm = instance()
  if (!wasm) throw new Error('WebAssembly is missing')
  try {
    return use(wasm, (place, length) => Buffer.from(wasm.memory.buffer, place.value, length))
  } finally {
    wasm.wipe()
  }
}

type Noble = typeof import('@noble/post-quantum/ml-kem.js')

/** Found out at the first exchange, as most runs of most commands have none. */
function wasmOrNobleKem(parameters: ParameterSet): Provider {
  const wasm = wasmKem(parameters, randomBytes)
  const provider = (): Provider => (instance() ? wasm : nobleKem(parameters))
  return {
    generate: () => provider().generate(),
    encapsulate: publicKey => provider().encapsulate(publicKey),
  }
}

function nobleKem({ rank }: ParameterSet): Provider {
  const { ml_kem768, ml_kem1024 } = createRequire(import.meta.url)('@noble/post-quantum/ml-kem.js') as Noble
  const noble = rank === 3 ? ml_kem768 : ml_kem1024
  return {
    generate() {
      const { publicKey, secretKey } = noble.keygen()
      return {
        publicKey: Buffer.from(publicKey),
        decapsulate: ciphertext => Buffer.from(noble.decapsulate(ciphertext, secretKey)),
        wipe: () => void secretKey.fill(0),
      }
    },
    encapsulate(publicKey) {
      try {
        const { cipherText, sharedSecret } = noble.encapsulate(publicKey)
        return { ciphertext: Buffer.from(cipherText), sharedSecret: Buffer.from(sharedSecret) }
      } catch {
        return undefined
      }
    },
  }
}

/** In WebAssembly: little to warm up, while JavaScript takes 30 ms for a first exchange. */
function wasmKem(parameters: ParameterSet, source: RandomSource): Provider {
  const { rank, publicKeyLength, secretKeyLength, ciphertextLength } = parameters
  const fill = (target: Buffer): void => {
    const bytes = source(target.length)
    bytes.copy(target)
    bytes.fill(0)
  }
  return {
    generate() {
      return withInstance((wasm, at) => {
        fill(at(wasm.seed, 64))
        wasm.generate(rank)
        const secretKey = Buffer.from(at(wasm.secretKey, secretKeyLength))
        return {
          publicKey: Buffer.from(at(wasm.publicKey, publicKeyLength)),
          decapsulate: ciphertext => decapsulate(parameters, secretKey, ciphertext),
          wipe: () => void secretKey.fill(0),
        }
      })
    },
    encapsulate(publicKey) {
      if (publicKey.length !== publicKeyLength) return undefined
      return withInstance((wasm, at) => {
        fill(at(wasm.seed, 32))
        publicKey.copy(at(wasm.publicKey, publicKeyLength))
        if (wasm.encapsulate(rank) === 0) return undefined
        return {
          ciphertext: Buffer.from(at(wasm.ciphertext, ciphertextLength)),
          sharedSecret: Buffer.from(at(wasm.sharedSecret, 32)),
        }
      })
    },
  }
}

function decapsulate({ rank, ciphertextLength }: ParameterSet, secretKey: Buffer, ciphertext: Buffer): Buffer {
  if (ciphertext.length !== ciphertextLength) throw new RangeError('wrong length of a ciphertext')
  return withInstance((wasm, at) => {
    secretKey.copy(at(wasm.secretKey, secretKey.length))
    ciphertext.copy(at(wasm.ciphertext, ciphertextLength))
    wasm.decapsulate(rank)
    return Buffer.from(at(wasm.sharedSecret, 32))
  })
}

/** OpenSSL's: no code to warm up, and in constant time. It makes the modulus check of FIPS 203 §7.2 on import. */
function nodeKem({ name, publicKeyLength, objectId }: ParameterSet, node: NodeKem): Provider {
  const prefix = spkiPrefix(publicKeyLength, objectId)
  return {
    generate() {
      const { publicKey, privateKey } = node.generateKeyPairSync(name)
      return {
        publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-publicKeyLength),
        decapsulate: ciphertext => Buffer.from(node.decapsulate(privateKey, ciphertext)),
        // OpenSSL wipes it when it is collected.
        wipe() {},
      }
    },
    encapsulate(publicKey) {
      if (publicKey.length !== publicKeyLength) return undefined
      try {
        const key = crypto.createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: 'der', type: 'spki' })
        const { sharedKey, ciphertext } = node.encapsulate(key)
        return { ciphertext: Buffer.from(ciphertext), sharedSecret: Buffer.from(sharedKey) }
      } catch {
        return undefined
      }
    },
  }
}

/** The DER before a raw key: SEQUENCE { SEQUENCE { OID }, BIT STRING }. */
function spkiPrefix(publicKeyLength: number, objectId: number): Buffer {
  const prefix = Buffer.from('30820000300b060960864801650304040003820000' + '00', 'hex')
  prefix.writeUInt16BE(publicKeyLength + 18, 2)
  prefix[16] = objectId
  prefix.writeUInt16BE(publicKeyLength + 1, 19)
  return prefix
}

const parameters768: ParameterSet = {
  name: 'ml-kem-768',
  publicKeyLength: 1184,
  ciphertextLength: 1088,
  secretKeyLength: 2400,
  rank: 3,
  objectId: 2,
}

const parameters1024: ParameterSet = {
  name: 'ml-kem-1024',
  publicKeyLength: 1568,
  ciphertextLength: 1568,
  secretKeyLength: 3168,
  rank: 4,
  objectId: 3,
}

export const mlkem768: Kem = mlkem(parameters768)
export const mlkem1024: Kem = mlkem(parameters1024)

/** In WebAssembly, over another source of random bytes, which tests have. */
export const mlkem768With = (source: RandomSource): Kem => ({ ...parameters768, ...wasmKem(parameters768, source) })
export const mlkem1024With = (source: RandomSource): Kem => ({ ...parameters1024, ...wasmKem(parameters1024, source) })
