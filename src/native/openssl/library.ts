import type { CipherKeys, PacketOpener, PacketSealer } from '../../../lib/algorithms/cipher.ts'
import type { Passed } from '../../../lib/algorithms/provider.ts'
import { foreignFunctions } from '../ffi.ts'

/**
 * The OpenSSL inside Node, called directly: one context for all packets of a key instead of a new object each, and memory
 * of our own. C writes wherever it is told to, so every length is checked here.
 */

/** An address. */
type Pointer = unknown

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
  const bytes = 'uint8_t *'
  const parameter = koffi.struct({
    key: 'const char *',
    data_type: 'unsigned int',
    data: 'void *',
    data_size: 'size_t',
    return_size: 'size_t',
  })
  return {
    newCipher: node.func('EVP_CIPHER_CTX_new', 'void *', []),
    freeCipher: node.func('EVP_CIPHER_CTX_free', 'void', ['void *']),
    cipherType: (type: CipherType): Pointer => node.func(cipherTypes[type].symbol, 'void *', [])(),
    initCipher: node.func('EVP_CipherInit_ex', 'int', ['void *', 'void *', 'void *', bytes, bytes, 'int']),
    updateCipher: node.func('EVP_CipherUpdate', 'int', ['void *', bytes, bytes, bytes, 'int']),
    finishCipher: node.func('EVP_CipherFinal_ex', 'int', ['void *', bytes, bytes]),
    control: node.func('EVP_CIPHER_CTX_ctrl', 'int', ['void *', 'int', 'int', bytes]),
    fetchMac: node.func('EVP_MAC_fetch', 'void *', ['void *', 'str', 'str']),
    dropMac: node.func('EVP_MAC_free', 'void', ['void *']),
    newMac: node.func('EVP_MAC_CTX_new', 'void *', ['void *']),
    freeMac: node.func('EVP_MAC_CTX_free', 'void', ['void *']),
    initMac: node.func('EVP_MAC_init', 'int', ['void *', bytes, 'size_t', koffi.pointer(parameter)]),
    updateMac: node.func('EVP_MAC_update', 'int', ['void *', bytes, 'size_t']),
    finishMac: node.func('EVP_MAC_final', 'int', ['void *', bytes, bytes, 'size_t']),
  }
}

/** What contexts hold is wiped by OpenSSL once nobody holds the object that stands for them any more. */
export class OpenSsl {
  readonly functions = bind()
  readonly #ciphers = new FinalizationRegistry<Pointer>(context => this.functions.freeCipher(context))
  readonly #macs = new FinalizationRegistry<Pointer>(context => this.functions.freeMac(context))

  freeWith(owner: CipherContext | MacContext, context: Pointer): void {
    const contexts = owner instanceof CipherContext ? this.#ciphers : this.#macs
    contexts.register(owner, context)
  }
}

/** What makes sealers and openers of an algorithm that continue after what passed. */
export interface NativeCipher {
  sealer(openssl: OpenSsl, keys: CipherKeys, passed: Passed): PacketSealer
  opener(openssl: OpenSsl, keys: CipherKeys, passed: Passed): PacketOpener
}

/** Where OpenSSL says how much it wrote: always as much as it was given. */
const written = Buffer.alloc(8)
/** A block for what a mode with padding would write; these write nothing. */
const lastBlock = Buffer.alloc(16)

function must(result: number): void {
  if (result !== 1) throw new Error('OpenSSL failed')
}

/** A cipher under one key in one direction. */
export class CipherContext {
  readonly #functions: OpenSsl['functions']
  readonly #context: Pointer
  readonly #ivLength: number
  readonly #encrypt: 0 | 1

  constructor(openssl: OpenSsl, type: CipherType, key: Buffer, iv: Buffer, direction: 'seal' | 'open') {
    const { keyLength, ivLength } = cipherTypes[type]
    if (key.length !== keyLength || iv.length !== ivLength) throw new RangeError('wrong length of a key or an IV')
    const { functions } = openssl
    const context: Pointer = functions.newCipher()
    if (!context) throw new Error('EVP_CIPHER_CTX_new failed')
    openssl.freeWith(this, context)
    this.#functions = functions
    this.#context = context
    this.#ivLength = ivLength
    this.#encrypt = direction === 'seal' ? 1 : 0
    must(functions.initCipher(context, functions.cipherType(type), null, key, iv, this.#encrypt))
  }

  /** Begins anew with the same key. */
  restart(iv: Buffer): void {
    if (iv.length !== this.#ivLength) throw new RangeError('wrong length of an IV')
    must(this.#functions.initCipher(this.#context, null, null, null, iv, this.#encrypt))
  }

  /** Authenticates bytes that are not encrypted, with a mode that can. */
  associate(data: Buffer): void {
    must(this.#functions.updateCipher(this.#context, null, written, data, data.length))
  }

  /** Writes as many bytes to `target` as are given. All modes here are streams. */
  update(input: Buffer, target: Buffer): void {
    if (target.length < input.length) throw new RangeError('no room for a packet')
    must(this.#functions.updateCipher(this.#context, target, written, input, input.length))
  }

  /** Ends what was sealed and writes its tag of 16 bytes. */
  finishWithTag(target: Buffer): void {
    if (target.length < aeadTagLength) throw new RangeError('no room for a tag')
    must(this.#functions.finishCipher(this.#context, lastBlock, written))
    must(this.#functions.control(this.#context, getTag, aeadTagLength, target))
  }

  /** Ends what was opened. @returns whether this is its tag */
  matches(tag: Buffer): boolean {
    if (tag.length !== aeadTagLength) throw new RangeError('wrong length of a tag')
    must(this.#functions.control(this.#context, setTag, aeadTagLength, tag))
    return this.#functions.finishCipher(this.#context, lastBlock, written) === 1
  }
}

/** A MAC, under one key or under one for each message. */
export class MacContext {
  readonly #functions: OpenSsl['functions']
  readonly #context: Pointer
  readonly #tagLength: number

  constructor(openssl: OpenSsl, { algorithm, hash, tagLength }: MacType, key: Buffer) {
    const { functions } = openssl
    const type: Pointer = functions.fetchMac(null, algorithm, null)
    if (!type) throw new Error(`OpenSSL has no ${algorithm}`)
    const context: Pointer = functions.newMac(type)
    functions.dropMac(type)
    if (!context) throw new Error('EVP_MAC_CTX_new failed')
    openssl.freeWith(this, context)
    this.#functions = functions
    this.#context = context
    this.#tagLength = tagLength
    must(functions.initMac(context, key, key.length, hash ? digestParameters(hash) : null))
  }

  /** Begins a message, with the key there is or with another one. */
  restart(key: Buffer | null = null): void {
    must(this.#functions.initMac(this.#context, key, key ? key.length : 0, null))
  }

  update(data: Buffer): void {
    must(this.#functions.updateMac(this.#context, data, data.length))
  }

  /** Writes the whole tag. */
  finish(target: Buffer): void {
    if (target.length < this.#tagLength) throw new RangeError('no room for a tag')
    must(this.#functions.finishMac(this.#context, target, written, this.#tagLength))
  }
}

/** OSSL_PARAM of <openssl/core.h>: the hash of an HMAC, and an end. */
const digestParameters = (hash: string) => [
  { key: 'digest', data_type: utf8String, data: Buffer.from(`${hash}\0`), data_size: hash.length, return_size: 0 },
  { key: null, data_type: 0, data: null, data_size: 0, return_size: 0 },
]
