import { createPrivateKey, type KeyObject } from 'node:crypto'
import { DerReader, derInteger, derSequence, derTag, derValue } from '../wire/der.ts'
import type { EcdsaCurve, EcdsaPrivate, EdwardsCurve, RsaPrivate } from './key-numbers.ts'

/**
 * Private keys into OpenSSL and out of it, as DER in buffers that are wiped. JWK, which is text, would leave the secrets
 * in memory for as long as the process lives.
 */

/** What stands before the seed in PKCS#8 (RFC 8410 §7). */
const edwardsPrefix = {
  ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
  ed448: Buffer.from('3047020100300506032b6571043b0439', 'hex'),
} as const

/** Object identifiers of the curves (RFC 5480 §2.1.1.1, SEC 2 §A.2). */
const curveIdentifier: Readonly<Record<EcdsaCurve, Buffer>> = {
  nistp256: Buffer.from('2a8648ce3d030107', 'hex'),
  nistp384: Buffer.from('2b81040022', 'hex'),
  nistp521: Buffer.from('2b81040023', 'hex'),
  secp256k1: Buffer.from('2b8104000a', 'hex'),
}

const parametersTag = 0xa0
const publicKeyTag = 0xa1

type PrivateForm = 'pkcs1' | 'sec1' | 'pkcs8'

/** Hands DER to OpenSSL and wipes it, with the parts that it was made of. @throws when OpenSSL does not take it */
function importAndWipe(type: PrivateForm, parts: readonly Buffer[]): KeyObject {
  const der = derSequence(...parts)
  try {
    return createPrivateKey({ key: der, format: 'der', type })
  } finally {
    for (const bytes of [der, ...parts]) bytes.fill(0)
  }
}

export function edwardsKeyObject(curve: EdwardsCurve, seed: Buffer): KeyObject {
  const der = Buffer.concat([edwardsPrefix[curve], seed])
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
  }
}

/** ECPrivateKey (RFC 5915 §3). */
export const ecdsaKeyObject = ({ curve, point, scalar }: EcdsaPrivate): KeyObject =>
  importAndWipe('sec1', [
    derInteger(Buffer.of(1)),
    derValue(derTag.octetString, scalar),
    derValue(parametersTag, derValue(derTag.oid, curveIdentifier[curve])),
    derValue(publicKeyTag, derValue(derTag.bitString, Buffer.of(0), point)),
  ])

/** RSAPrivateKey (RFC 8017 §A.1.2). */
export function rsaKeyObject({ n, e, d, p, q, iqmp }: RsaPrivate): KeyObject {
  const [dp, dq] = [reduceByPrime(d, p), reduceByPrime(d, q)]
  try {
    return importAndWipe('pkcs1', [derInteger(Buffer.of(0)), ...[n, e, d, p, q, dp, dq, iqmp].map(derInteger)])
  } finally {
    dp.fill(0)
    dq.fill(0)
  }
}

/** Bits of a digit: twice as much still is an exact number. */
const digitBits = 24

/** An exponent modulo prime - 1, digit by digit in arrays that are wiped; a BigInt could not be. */
export function reduceByPrime(exponent: Buffer, prime: Buffer): Buffer {
  const length = Math.ceil((prime.length * 8) / digitBits) + 1
  const [modulus, remainder, reduced] = [digits(prime, length), new Int32Array(length), new Int32Array(length)]
  modulus[0]! -= 1
  for (const byte of exponent) {
    for (let bit = 7; bit >= 0; bit--) {
      // remainder = 2 remainder + bit, less the modulus unless that is too much.
      let carry = (byte >> bit) & 1
      let borrow = 0
      for (let i = 0; i < length; i++) {
        const doubled = remainder[i]! * 2 + carry
        carry = doubled >> digitBits
        const digit = doubled & 0xffffff
        remainder[i] = digit
        const difference = digit - modulus[i]! + borrow
        borrow = difference >> digitBits
        reduced[i] = difference & 0xffffff
      }
      if (borrow === 0) remainder.set(reduced)
    }
  }
  const result = Buffer.alloc(prime.length)
  for (let i = 0; i < result.length; i++) {
    const at = i * 8
    result[result.length - 1 - i] = remainder[Math.floor(at / digitBits)]! >> (at % digitBits)
  }
  for (const array of [modulus, remainder, reduced]) array.fill(0)
  return result
}

/** A number as digits, the lowest first. */
function digits(number: Buffer, length: number): Int32Array {
  const result = new Int32Array(length)
  for (let i = 0; i < number.length; i++) {
    const at = i * 8
    result[Math.floor(at / digitBits)]! |= number[number.length - 1 - i]! << (at % digitBits)
  }
  return result
}

/** Reads what OpenSSL says of a key, and wipes it. `read` gives copies. */
function exportAndWipe<T>(key: KeyObject, type: PrivateForm, read: (fields: DerReader) => T): T {
  const der = key.export({ format: 'der', type: type as 'pkcs8' })
  try {
    return read(new DerReader(der).sequence())
  } finally {
    der.fill(0)
  }
}

/** The seed of an Edwards key. */
export const edwardsSeed = (key: KeyObject): Buffer =>
  exportAndWipe(key, 'pkcs8', fields => {
    fields.integer()
    fields.sequence()
    return Buffer.from(new DerReader(fields.take(derTag.octetString)).take(derTag.octetString))
  })

/** The private number of an EC key, as long as the curve's order. */
export const ecdsaScalar = (key: KeyObject): Buffer =>
  exportAndWipe(key, 'sec1', fields => {
    fields.integer()
    return Buffer.from(fields.take(derTag.octetString))
  })

export const rsaNumbers = (key: KeyObject): RsaPrivate =>
  exportAndWipe(key, 'pkcs1', fields => {
    fields.integer()
    const next = (): Buffer => Buffer.from(fields.integer())
    const [n, e, d, p, q] = [next(), next(), next(), next(), next()]
    fields.integer()
    fields.integer()
    return { n, e, d, p, q, iqmp: next() }
  })
