import { type EcdsaCurve, generatePrivateNumbers, type PrivateNumbers, type SigningKey } from '../crypto/signature.ts'
import { KeyError } from '../errors.ts'
import { encode } from '../wire/writer.ts'
import type { KeyFamily } from './families/family.ts'
import { keyFamilies } from './families/index.ts'
import { type PublicKey, parsePublicKey, reading } from './public-key.ts'

/** A private key in memory. `dispose` when it is not needed any more. */
export class PrivateKey {
  readonly publicKey: PublicKey
  readonly comment: string
  readonly family: KeyFamily
  #numbers: PrivateNumbers | undefined
  #signer: SigningKey | undefined

  constructor(numbers: PrivateNumbers, comment = '') {
    const family = keyFamilies.find(candidate => candidate.owns(numbers))
    if (!family) throw new KeyError('unsupported', 'unsupported kind of private key')
    this.family = family
    this.comment = comment
    this.#numbers = numbers
    this.publicKey = parsePublicKey(encode(writer => family.writePublic(writer.text(family.type), numbers)))
  }

  /** For writing the key to a file. @throws KeyError after `dispose` */
  get numbers(): PrivateNumbers {
    if (!this.#numbers) throw new KeyError('not-valid', 'the private key was wiped')
    return this.#numbers
  }

  /** An encoded signature (string format, string bytes). @throws KeyError when the key has no such algorithm */
  sign(data: Buffer, algorithm: string): Buffer {
    const known = this.family.algorithms.find(({ name }) => name === algorithm)
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

export type GeneratedKind = 'ed25519' | 'ecdsa' | 'rsa'

const ecdsaCurves: Readonly<Record<number, EcdsaCurve>> = { 256: 'nistp256', 384: 'nistp384', 521: 'nistp521' }

/** Makes a key: RSA of 3072 bits and ECDSA on nistp256 when no size is given. @throws KeyError for a size there is none of */
export function generateKey(kind: GeneratedKind, bits?: number, comment = ''): PrivateKey {
  if (kind !== 'ecdsa') return new PrivateKey(generatePrivateNumbers(kind, bits), comment)
  const curve = ecdsaCurves[bits ?? 256]
  if (!curve) throw new KeyError('unsupported', 'Invalid ECDSA key length: valid lengths are 256, 384 or 521 bits')
  return new PrivateKey(generatePrivateNumbers(curve), comment)
}
