import { createCipheriv } from 'node:crypto'
import type { Gcm, GcmProvider } from '../../lib/algorithms/ciphers/aes-gcm.ts'
import { foreignFunctions } from './ffi.ts'

/**
 * The OpenSSL inside Node, called directly: one context for all packets of a key instead of a new cipher object each,
 * and memory of our own. It takes a third of the time and leaves nothing to collect.
 */

/** Bytes of a direction before koffi is loaded, which takes as long as it saves for some tens of MiB. */
const worthwhile = 16 * 1024 * 1024

const tagLength = 16
/** EVP_CTRL_AEAD_GET_TAG and EVP_CTRL_AEAD_SET_TAG of <openssl/evp.h>. */
const getTag = 0x10
const setTag = 0x11

/** An address. */
type Pointer = unknown

interface Functions {
  newContext(): Pointer
  freeContext(context: Pointer): void
  aes128Gcm(): Pointer
  aes256Gcm(): Pointer
  init(context: Pointer, cipher: Pointer, engine: null, key: Buffer | null, iv: Buffer, encrypt: 0 | 1): number
  update(context: Pointer, out: Buffer | null, outLength: Buffer, input: Buffer, length: number): number
  final(context: Pointer, out: Buffer, outLength: Buffer): number
  control(context: Pointer, command: number, length: number, bytes: Buffer): number
}

function bind(): Functions {
  const node = foreignFunctions().load(null)
  const bytes = 'uint8_t *'
  return {
    newContext: node.func('EVP_CIPHER_CTX_new', 'void *', []),
    freeContext: node.func('EVP_CIPHER_CTX_free', 'void', ['void *']),
    aes128Gcm: node.func('EVP_aes_128_gcm', 'void *', []),
    aes256Gcm: node.func('EVP_aes_256_gcm', 'void *', []),
    init: node.func('EVP_CipherInit_ex', 'int', ['void *', 'void *', 'void *', bytes, bytes, 'int']),
    update: node.func('EVP_CipherUpdate', 'int', ['void *', bytes, bytes, bytes, 'int']),
    final: node.func('EVP_CipherFinal_ex', 'int', ['void *', bytes, bytes]),
    control: node.func('EVP_CIPHER_CTX_ctrl', 'int', ['void *', 'int', 'int', bytes]),
  }
}

class OpenSslGcm implements Gcm {
  readonly #openssl: Functions
  readonly #context: Pointer
  /** Where OpenSSL says how much it wrote: always as much as it was given. */
  readonly #written = Buffer.alloc(4)

  constructor(openssl: Functions, key: Buffer, direction: 'seal' | 'open', contexts: FinalizationRegistry<Pointer>) {
    this.#openssl = openssl
    this.#context = openssl.newContext()
    if (!this.#context) throw new Error('EVP_CIPHER_CTX_new failed')
    contexts.register(this, this.#context)
    const cipher = key.length === 16 ? openssl.aes128Gcm() : openssl.aes256Gcm()
    must(openssl.init(this.#context, cipher, null, key, Buffer.alloc(12), direction === 'seal' ? 1 : 0))
  }

  seal(iv: Buffer, associated: Buffer, plaintext: Buffer, target: Buffer): void {
    // C writes wherever it is told to.
    if (iv.length !== 12 || target.length < plaintext.length + tagLength) throw new RangeError('no room for a packet')
    const [openssl, context, written] = [this.#openssl, this.#context, this.#written]
    must(openssl.init(context, null, null, null, iv, 1))
    must(openssl.update(context, null, written, associated, associated.length))
    must(openssl.update(context, target, written, plaintext, plaintext.length))
    const tag = target.subarray(plaintext.length)
    must(openssl.final(context, tag, written))
    must(openssl.control(context, getTag, tagLength, tag))
  }

  open(iv: Buffer, associated: Buffer, ciphertext: Buffer, tag: Buffer, target: Buffer): boolean {
    if (iv.length !== 12 || tag.length !== tagLength || target.length < ciphertext.length)
      throw new RangeError('no room for a packet')
    const [openssl, context, written] = [this.#openssl, this.#context, this.#written]
    must(openssl.init(context, null, null, null, iv, 0))
    must(openssl.update(context, null, written, associated, associated.length))
    must(openssl.update(context, target, written, ciphertext, ciphertext.length))
    must(openssl.control(context, setTag, tagLength, tag))
    // A block for what a mode with padding would write; this one writes nothing.
    return openssl.final(context, lastBlock, written) === 1
  }
}

const lastBlock = Buffer.alloc(16)

function must(result: number): void {
  if (result !== 1) throw new Error('OpenSSL failed')
}

let provider: 'unknown' | 'missing' | ((key: Buffer, direction: 'seal' | 'open') => Gcm) = 'unknown'

function load(): typeof provider {
  try {
    const openssl = bind()
    // What it works with is wiped by OpenSSL once nobody holds the object any more.
    const contexts = new FinalizationRegistry<Pointer>(context => openssl.freeContext(context))
    const create = (key: Buffer, direction: 'seal' | 'open'): Gcm => new OpenSslGcm(openssl, key, direction, contexts)
    return agreesWithNode(create) ? create : 'missing'
  } catch {
    // No koffi, or a Node whose OpenSSL cannot be seen: Node's own interface serves.
    return 'missing'
  }
}

function agreesWithNode(create: (key: Buffer, direction: 'seal' | 'open') => Gcm): boolean {
  const [key, iv, associated, plaintext] = [
    Buffer.alloc(32, 1),
    Buffer.alloc(12, 2),
    Buffer.alloc(4, 3),
    Buffer.alloc(40, 4),
  ]
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(associated)
  const expected = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
  const sealed = Buffer.alloc(expected.length)
  create(key, 'seal').seal(iv, associated, plaintext, sealed)
  const opened = Buffer.alloc(plaintext.length)
  const ciphertext = sealed.subarray(0, plaintext.length)
  return (
    sealed.equals(expected) &&
    create(key, 'open').open(iv, associated, ciphertext, sealed.subarray(plaintext.length), opened) &&
    opened.equals(plaintext)
  )
}

/** AES-GCM of Node's own OpenSSL, from the moment on when it is worth loading; never where koffi is not installed. */
export const opensslGcm: GcmProvider = (key, direction, bytes) => {
  if (provider === 'unknown') {
    if (bytes < worthwhile) return undefined
    provider = load()
  }
  return typeof provider === 'function' ? provider(key, direction) : 'never'
}
