import type { CipherAlgorithm } from '../../../lib/algorithms/cipher.ts'
import type { MacAlgorithm } from '../../../lib/algorithms/mac.ts'
import type { CryptoProvider, Passed, Provided } from '../../../lib/algorithms/provider.ts'
import { ChachaPolyOpener, ChachaPolySealer } from './chacha20-poly1305.ts'
import { ctrOpener, ctrSealer } from './ctr.ts'
import { GcmOpener, GcmSealer } from './gcm.ts'
import { Hmac } from './hmac.ts'
import { type MacType, type NativeCipher, OpenSsl } from './library.ts'
import { cipherAgrees, macAgrees } from './self-check.ts'

const gcm: NativeCipher = {
  sealer: (openssl, keys, passed) => new GcmSealer(openssl, keys, passed),
  opener: (openssl, keys, passed) => new GcmOpener(openssl, keys, passed),
}
const ctr: NativeCipher = { sealer: ctrSealer, opener: ctrOpener }
const chachaPoly: NativeCipher = {
  sealer: (openssl, keys) => new ChachaPolySealer(openssl, keys),
  opener: (openssl, keys) => new ChachaPolyOpener(openssl, keys),
}

const ciphers = new Map<string, NativeCipher>([
  ['aes128-gcm@openssh.com', gcm],
  ['aes256-gcm@openssh.com', gcm],
  ['chacha20-poly1305@openssh.com', chachaPoly],
  ['aes128-ctr', ctr],
  ['aes192-ctr', ctr],
  ['aes256-ctr', ctr],
])

const hmac = (hash: NonNullable<MacType['hash']>, tagLength: number): MacType => ({
  algorithm: 'HMAC',
  hash,
  tagLength,
})

const macs = new Map<string, MacType>([
  ['hmac-sha2-256-etm@openssh.com', hmac('SHA256', 32)],
  ['hmac-sha2-512-etm@openssh.com', hmac('SHA512', 64)],
  ['hmac-sha1-etm@openssh.com', hmac('SHA1', 20)],
  ['hmac-sha2-256', hmac('SHA256', 32)],
  ['hmac-sha2-512', hmac('SHA512', 64)],
  ['hmac-sha1', hmac('SHA1', 20)],
])

let loaded: OpenSsl | 'missing' | undefined

function load(): OpenSsl | 'missing' {
  try {
    return new OpenSsl()
  } catch {
    // No koffi, or a Node whose OpenSSL cannot be seen: Node's own interface serves.
    return 'missing'
  }
}

/** Whether what is made here does what the engine's own does, by the names of algorithms. Found out once. */
const checked = new Map<string, boolean>()

/** When it is worth it, in bytes of a direction unless said otherwise. */
interface Thresholds {
  /** To load koffi, which takes as long as it saves for some tens of MiB. */
  readonly loading: number
  /** To make contexts of its own where koffi is loaded: most connections are idle. */
  readonly contexts: number
  /** The same in packets: what answers a download are small ones, thousands of them. */
  readonly packets: number
}

/** Ciphers and MACs of Node's own OpenSSL, from the moment on when it is worth it; never where koffi is missing. */
export function opensslFrom(worth: Thresholds): CryptoProvider {
  /** What is made here has to do what the engine's own does. */
  function provide<T>(
    { name }: CipherAlgorithm | MacAlgorithm,
    { bytes, packets }: Passed,
    agrees: (openssl: OpenSsl) => boolean,
    create: (openssl: OpenSsl) => T,
  ): Provided<T> {
    const isWorth = loaded ? bytes >= worth.contexts || packets >= worth.packets : bytes >= worth.loading
    if (!isWorth) return undefined
    loaded ??= load()
    if (loaded === 'missing') return 'never'
    let right = checked.get(name)
    if (right === undefined) {
      right = agrees(loaded)
      checked.set(name, right)
    }
    if (!right) return 'never'
    try {
      return create(loaded)
    } catch {
      // No memory for a context.
      return 'never'
    }
  }
  const provideCipher = <T>(
    algorithm: CipherAlgorithm,
    passed: Passed,
    create: (native: NativeCipher, openssl: OpenSsl) => T,
  ): Provided<T> => {
    const native = ciphers.get(algorithm.name)
    if (!native) return 'never'
    const agrees = (openssl: OpenSsl) => cipherAgrees(openssl, native, algorithm)
    return provide(algorithm, passed, agrees, openssl => create(native, openssl))
  }
  return {
    names: new Set([...ciphers.keys(), ...macs.keys()]),
    sealer: (algorithm, keys, passed) =>
      provideCipher(algorithm, passed, (native, openssl) => native.sealer(openssl, keys, passed)),
    opener: (algorithm, keys, passed) =>
      provideCipher(algorithm, passed, (native, openssl) => native.opener(openssl, keys, passed)),
    mac(algorithm, key, passed) {
      const type = macs.get(algorithm.name)
      if (!type) return 'never'
      const create = (openssl: OpenSsl, own: Buffer) => new Hmac(openssl, type, algorithm, own)
      const agrees = (openssl: OpenSsl) => macAgrees(test => create(openssl, test), algorithm)
      return provide(algorithm, passed, agrees, openssl => create(openssl, key))
    },
  }
}

export const opensslProvider = opensslFrom({ loading: 16 * 1024 * 1024, contexts: 256 * 1024, packets: 64 })
