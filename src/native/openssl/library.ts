import type { CipherKeys, PacketOpener, PacketSealer } from '../../../lib/algorithms/cipher.ts'
import type { Passed } from '../../../lib/algorithms/provider.ts'
import { foreignFunctions } from '../ffi.ts'

/**
 * The OpenSSL inside Node, called directly: one context for all packets of a key instead of a new object each, and memory
 * of our own. C writes wherever it is told to, so every length is checked here.
 */

/** Of a C object. As a number it goes to C, and comes from there, in a fraction of the time that a Buffer takes. */
type Address = number

/** EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG of <openssl/evp.h>. */
const getTag = 0x10
const setTag = 0x11
/** OSSL_PARAM_UTF8_STRING of <openssl/core.h>. */
const utf8String = 4

export const aeadTagLength = 16

/** A cipher by the name of its function in <openssl/evp.h>. */
export const cipherTypes = {
  'aes-128-gcm': { symbol: 'EVP_aes_128_gcm', keyLength: 16, ivLength: 12 },
  'aes-256-gcm': { symbol: 'EVP_aes_256_gcm', keyLength: 32, ivLength: 12 },
  'aes-128-ctr': { symbol: 'EVP_aes_128_ctr', keyLength: 16, ivLength: 16 },
  'aes-192-ctr': { symbol: 'EVP_aes_192_ctr', keyLength: 24, ivLength: 16 },
  'aes-256-ctr': { symbol: 'EVP_aes_256_ctr', keyLength: 32, ivLength: 16 },
  chacha20: { symbol: 'EVP_chacha20', keyLength: 32, ivLength: 16 },
} as const

export type CipherType = keyof typeof cipherTypes

/** What a MAC is and the bytes of its tags. Poly1305 has no hash. */
export interface MacType {
  readonly algorithm: 'POLY1305' | 'HMAC'
  readonly hash?: 'SHA1' | 'SHA256' | 'SHA512'
  readonly tagLength: number
}

function bind() {
  const koffi = foreignFunctions()
  const node = koffi.load(null)
  const address = 'uintptr_t'
  const parameter = koffi.struct({
    key: 'const char *',
    data_type: 'unsigned int',
    data: 'void *',
    data_size: 'size_t',
    return_size: 'size_t',
  })
  return {
    addressOf: (memory: ArrayBufferLike): Address => Number(koffi.address(memory)),
    newCipher: node.func('EVP_CIPHER_CTX_new', address, []),
    freeCipher: node.func('EVP_CIPHER_CTX_free', 'void', [address]),
    cipherType: (type: CipherType): Address => node.func(cipherTypes[type].symbol, address, [])(),
    initCipher: node.func('EVP_CipherInit_ex', 'int', [address, address, address, address, address, 'int']),
    updateCipher: node.func('EVP_CipherUpdate', 'int', [address, address, address, address, 'int']),
    finishCipher: node.func('EVP_CipherFinal_ex', 'int', [address, address, address]),
    control: node.func('EVP_CIPHER_CTX_ctrl', 'int', [address, 'int', 'int', address]),
    fetchMac: node.func('EVP_MAC_fetch', address, [address, 'str', 'str']),
    dropMac: node.func('EVP_MAC_free', 'void', [address]),
    newMac: node.func('EVP_MAC_CTX_new', address, [address]),
    freeMac: node.func('EVP_MAC_CTX_free', 'void', [address]),
    setMac: node.func('EVP_MAC_init', 'int', [address, address, 'size_t', koffi.pointer(parameter)]),
    initMac: node.func('EVP_MAC_init', 'int', [address, address, 'size_t', address]),
    updateMac: node.func('EVP_MAC_update', 'int', [address, address, 'size_t']),
    finishMac: node.func('EVP_MAC_final', 'int', [address, address, address, 'size_t']),
  }
}

/** Where pieces of memory lie, to ask which takes longer than to seal a short packet. */
class Places {
  readonly #addressOf: (memory: ArrayBufferLike) => Address
  /** What was asked for last, which this keeps: too much for each context. */
  #piece: Buffer | undefined
  #memory: ArrayBufferLike | undefined
  #start: Address = 0
  #address: Address = 0

  constructor(addressOf: (memory: ArrayBufferLike) => Address) {
    this.#addressOf = addressOf
  }

  /** Of `length` bytes from `start` on, which have to be there. */
  of(piece: Buffer, start: number, length: number): Address {
    if (!(start >= 0 && length >= 0 && start + length <= piece.length)) throw new RangeError('no such bytes')
    if (piece !== this.#piece) this.#find(piece)
    return this.#address + start
  }

  /** Pieces of one memory follow each other. */
  #find(piece: Buffer): void {
    const { buffer } = piece
    if (buffer !== this.#memory) {
      this.#start = this.#addressOf(buffer)
      this.#memory = buffer
    }
    this.#address = this.#start + piece.byteOffset
    this.#piece = piece
  }
}

/** Bytes (EVP_MAX_BLOCK_LENGTH of <openssl/evp.h>). */
const longestBlock = 32

/** What contexts hold is wiped by OpenSSL once nobody holds the object that stands for them any more. */
export class OpenSsl {
  readonly functions = bind()
  readonly keys = new Places(this.functions.addressOf)
  readonly inputs = new Places(this.functions.addressOf)
  readonly targets = new Places(this.functions.addressOf)
  readonly #scratch = Buffer.allocUnsafeSlow(2 * longestBlock)
  /** Where OpenSSL says how much it wrote: always as much as it was given. */
  readonly written = this.functions.addressOf(this.#scratch.buffer)
  /** Where a mode with padding would write its last block; these write nothing. */
  readonly lastBlock = this.written + longestBlock
  readonly #ciphers = new FinalizationRegistry<Address>(context => this.functions.freeCipher(context))
  readonly #macs = new FinalizationRegistry<Address>(context => this.functions.freeMac(context))

  freeWith(owner: CipherContext | MacContext, context: Address): void {
    const contexts = owner instanceof CipherContext ? this.#ciphers : this.#macs
    contexts.register(owner, context)
  }
}

/** What makes sealers and openers of an algorithm that continue after what passed. */
export interface NativeCipher {
  sealer(openssl: OpenSsl, keys: CipherKeys, passed: Passed): PacketSealer
  opener(openssl: OpenSsl, keys: CipherKeys, passed: Passed): PacketOpener
}

function must(result: number): void {
  if (result !== 1) throw new Error('OpenSSL failed')
}

/** A cipher under one key in one direction. */
export class CipherContext {
  readonly #openssl: OpenSsl
  readonly #functions: OpenSsl['functions']
  readonly #context: Address
  readonly #ivLength: number
  readonly #encrypt: 0 | 1

  constructor(openssl: OpenSsl, type: CipherType, key: Buffer, iv: Buffer, direction: 'seal' | 'open') {
    const { keyLength, ivLength } = cipherTypes[type]
    if (key.length !== keyLength || iv.length !== ivLength) throw new RangeError('wrong length of a key or an IV')
    const { functions } = openssl
    const context: Address = functions.newCipher()
    if (!context) throw new Error('EVP_CIPHER_CTX_new failed')
    openssl.freeWith(this, context)
    this.#openssl = openssl
    this.#functions = functions
    this.#context = context
    this.#ivLength = ivLength
    this.#encrypt = direction === 'seal' ? 1 : 0
    const keyAt = openssl.inputs.of(key, 0, keyLength)
    const ivAt = openssl.keys.of(iv, 0, ivLength)
    must(functions.initCipher(context, functions.cipherType(type), 0, keyAt, ivAt, this.#encrypt))
  }

  /** Begins anew with the same key. */
  restart(iv: Buffer): void {
    const at = this.#openssl.keys.of(iv, 0, this.#ivLength)
    must(this.#functions.initCipher(this.#context, 0, 0, 0, at, this.#encrypt))
  }

  /** Authenticates bytes that are not encrypted, with a mode that can. */
  associate(input: Buffer, start: number, length: number): void {
    const at = this.#openssl.inputs.of(input, start, length)
    must(this.#functions.updateCipher(this.#context, 0, this.#openssl.written, at, length))
  }

  /** Writes `length` bytes to `target` for as many of `input`. All modes here are streams. */
  update(input: Buffer, start: number, target: Buffer, targetStart: number, length: number): void {
    const from = this.#openssl.inputs.of(input, start, length)
    const to = this.#openssl.targets.of(target, targetStart, length)
    must(this.#functions.updateCipher(this.#context, to, this.#openssl.written, from, length))
  }

  /** Ends what was sealed and writes its tag of 16 bytes. */
  finishWithTag(target: Buffer, start: number): void {
    const at = this.#openssl.targets.of(target, start, aeadTagLength)
    must(this.#functions.finishCipher(this.#context, this.#openssl.lastBlock, this.#openssl.written))
    must(this.#functions.control(this.#context, getTag, aeadTagLength, at))
  }

  /** Ends what was opened. @returns whether this is its tag of 16 bytes */
  matches(input: Buffer, start: number): boolean {
    const at = this.#openssl.inputs.of(input, start, aeadTagLength)
    must(this.#functions.control(this.#context, setTag, aeadTagLength, at))
    return this.#functions.finishCipher(this.#context, this.#openssl.lastBlock, this.#openssl.written) === 1
  }
}

/** A MAC, under one key or under one for each message. */
export class MacContext {
  readonly #openssl: OpenSsl
  readonly #functions: OpenSsl['functions']
  readonly #context: Address
  readonly #tagLength: number

  constructor(openssl: OpenSsl, { algorithm, hash, tagLength }: MacType, key: Buffer) {
    const { functions } = openssl
    const type: Address = functions.fetchMac(0, algorithm, null)
    if (!type) throw new Error(`OpenSSL has no ${algorithm}`)
    const context: Address = functions.newMac(type)
    functions.dropMac(type)
    if (!context) throw new Error('EVP_MAC_CTX_new failed')
    openssl.freeWith(this, context)
    this.#openssl = openssl
    this.#functions = functions
    this.#context = context
    this.#tagLength = tagLength
    const at = openssl.keys.of(key, 0, key.length)
    must(functions.setMac(context, at, key.length, hash ? digestParameters(hash) : null))
  }

  /** Begins a message, with the key there is or with another one. */
  restart(key?: Buffer): void {
    const at = key ? this.#openssl.keys.of(key, 0, key.length) : 0
    must(this.#functions.initMac(this.#context, at, key ? key.length : 0, 0))
  }

  update(input: Buffer, start: number, length: number): void {
    must(this.#functions.updateMac(this.#context, this.#openssl.inputs.of(input, start, length), length))
  }

  /** Writes the whole tag. */
  finish(target: Buffer, start: number): void {
    const at = this.#openssl.targets.of(target, start, this.#tagLength)
    must(this.#functions.finishMac(this.#context, at, this.#openssl.written, this.#tagLength))
  }
}

/** OSSL_PARAM of <openssl/core.h>: the hash of an HMAC, and an end. */
const digestParameters = (hash: string) => [
  { key: 'digest', data_type: utf8String, data: Buffer.from(`${hash}\0`), data_size: hash.length, return_size: 0 },
  { key: null, data_type: 0, data: null, data_size: 0, return_size: 0 },
]
