import { randomBytes } from '../crypto/random.ts'
import { type EcdsaCurve, generatePrivateNumbers, type SigningKey } from '../crypto/signature.ts'
import { KeyError } from '../errors.ts'
import { encode } from '../wire/writer.ts'
import type { KeyFamily, PrivateMaterial } from './families/family.ts'
import { keyFamilies } from './families/index.ts'
import { compositeFromSeeds, compositeSeedsLength } from './families/mldsa44-ed25519.ts'
import { type PublicKey, parsePublicKey, reading } from './public-key.ts'

/** A private key in memory. `dispose` when it is not needed any more. */
export class PrivateKey {
  readonly publicKey: PublicKey
  readonly comment: string
  readonly family: KeyFamily
  #numbers: PrivateMaterial | undefined
  #signer: SigningKey | undefined

  constructor(numbers: PrivateMaterial, comment = '') {
    const family = keyFamilies.find(candidate => candidate.owns(numbers))
    if (!family) throw new KeyError('unsupported', 'unsupported kind of private key')
    this.family = family
    this.comment = comment
    this.#numbers = numbers
    this.publicKey = parsePublicKey(encode(writer => family.writePublic(writer.text(family.type), numbers)))
  }

  /** For writing the key to a file. @throws KeyError after `dispose` */
  get numbers(): PrivateMaterial {
    if (!this.#numbers) throw new KeyError('not-valid', 'the private key was wiped')
    return this.#numbers
  }

  /** An encoded signature (string format, string bytes). @throws KeyError when the key has no such algorithm */
  sign(data: Buffer, algorithm: string): Buffer {
    const known = this.family.algorithms.find(({ name, verifyOnly }) => name === algorithm && !verifyOnly)
    if (!known) throw new KeyError('unsupported', `${this.family.label} keys cannot sign with ${algorithm}`)
    const { numbers } = this
    this.#signer ??= reading('private key', () => this.family.signer(numbers))
    const signature = this.family.encodeSignature(this.#signer(known.hash, data))
    return encode(writer => writer.text(algorithm).string(signature))
  }

  /** Overwrites the secret numbers; the key cannot sign any more. */
  dispose(): void {
    for (const value of Object.values(this.#numbers ?? {})) if (Buffer.isBuffer(value)) value.fill(0)
    this.#numbers = undefined
    this.#signer = undefined
  }
}

export type GeneratedKind = 'dsa' | 'ed25519' | 'ecdsa' | 'rsa' | 'mldsa44-ed25519' | 'ed448' | 'ecdsa-secp256k1'

const ecdsaCurves: Readonly<Record<number, EcdsaCurve>> = { 256: 'nistp256', 384: 'nistp384', 521: 'nistp521' }
/** Sizes of RSA keys that are made, in bits. */
const rsaBits = { minimum: 1024, maximum: 16384, usual: 3072 } as const

/** Makes a key: RSA of 3072 bits and ECDSA on nistp256 when no size is given. @throws KeyError for a size there is none of */
export function generateKey(kind: GeneratedKind, bits?: number, comment = ''): PrivateKey {
  switch (kind) {
    case 'rsa': {
      const size = bits ?? rsaBits.usual
      if (!Number.isInteger(size) || size < rsaBits.minimum || size > rsaBits.maximum) {
        const range = `minimum is ${rsaBits.minimum} bits, maximum is ${rsaBits.maximum}`
        throw new KeyError('unsupported', `Invalid RSA key length: ${range}`)
      }
      return new PrivateKey(generatePrivateNumbers('rsa', size), comment)
    }
    case 'ecdsa': {
      const curve = ecdsaCurves[bits ?? 256]
      if (!curve) throw new KeyError('unsupported', 'Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits')
      return new PrivateKey(generatePrivateNumbers(curve), comment)
    }
    case 'ecdsa-secp256k1':
      return new PrivateKey(generatePrivateNumbers('secp256k1'), comment)
    case 'mldsa44-ed25519':
      return new PrivateKey(compositeFromSeeds(randomBytes(compositeSeedsLength)), comment)
    default:
      return new PrivateKey(generatePrivateNumbers(kind), comment)
  }
}
