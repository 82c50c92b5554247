import { createPrivateKey, createPublicKey, diffieHellman, getDiffieHellman, type KeyObject } from 'node:crypto'
import type { KeyAgreement } from './ecdh.ts'
import { randomBytes } from './random.ts'

/** A group for Diffie-Hellman: magnitudes of a safe prime and of a generator. */
export interface DhGroup {
  readonly p: Buffer
  readonly g: Buffer
}

export type DhGroupName = 'group1' | 'group14' | 'group15' | 'group16' | 'group17' | 'group18'

/** RFC 2409 §6.2. The others are in OpenSSL, which for this one would first prove the prime, in a tenth of a second. */
const oakleyGroup2 =
  'ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd' +
  'ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed' +
  'ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff'

/** The fixed groups of RFC 4253 §8 and RFC 8268. SSH's group1 is Oakley group 2. */
export function dhGroup(name: DhGroupName): DhGroup {
  const p = name === 'group1' ? Buffer.from(oakleyGroup2, 'hex') : getDiffieHellman(`modp${name.slice(5)}`).getPrime()
  return { p, g: Buffer.from([2]) }
}

/** Bits of a magnitude, which may begin with zero bytes. */
export function bitLength(magnitude: Buffer): number {
  const start = magnitude.findIndex(byte => byte !== 0)
  return start < 0 ? 0 : (magnitude.length - start) * 8 - (Math.clz32(magnitude[start]!) - 24)
}

/**
 * Whether a group that a peer chose can be one: odd modulus of `min` to `max` bits, generator in 2..p-2. That the
 * modulus is a safe prime would take seconds to prove: its sender signs it with the host key.
 */
export function isDhGroup({ p, g }: DhGroup, min: number, max: number): boolean {
  const bits = bitLength(p)
  return bits >= min && bits <= max && (p.at(-1)! & 1) === 1 && isBetween(g, p)
}

/** Whether 1 < value < p - 1. */
function isBetween(value: Buffer, p: Buffer): boolean {
  const width = Math.max(value.length, p.length)
  const padded = (bytes: Buffer): Buffer => Buffer.concat([Buffer.alloc(width - bytes.length), bytes])
  const last = Buffer.from(padded(p))
  // p is odd: p - 1 changes only the last bit.
  last[width - 1]! &= 0xfe
  return bitLength(value) > 1 && Buffer.compare(padded(value), last) < 0
}

/** Smallest private exponent, bits; and how many one bits a public value must have, as in OpenSSH. */
const minExponentBits = 512
const minOneBits = 4

/** Whether a peer's public value is in range (RFC 4253 §8) and not so sparse that it was not drawn at random. */
function isPublicValue(value: Buffer, p: Buffer): boolean {
  let ones = 0
  for (const byte of value) for (let rest = byte; rest !== 0; rest &= rest - 1) ones++
  return ones >= minOneBits && isBetween(value, p)
}

/**
 * Diffie-Hellman in a group (RFC 4253 §8). The exponent has twice `secretBits`. `agree` returns undefined for a value
 * out of range.
 */
export function dh(group: DhGroup, secretBits: number): KeyAgreement {
  const algorithm = sequence(pkcs3, sequence(integer(group.p), integer(group.g)))
  const exponent = randomBytes(
    Math.min(Math.ceil(Math.max(secretBits * 2, minExponentBits) / 8), Math.floor((bitLength(group.p) - 1) / 8)),
  )
  exponent[0]! |= 1
  // DER is the one way into OpenSSL that neither proves the prime again nor takes an exponent as long as the prime.
  const secret = tlv(octetString, integer(exponent))
  const der = sequence(integer(Buffer.from([0])), algorithm, secret)
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  for (const bytes of [exponent, secret, der]) bytes.fill(0)
  return {
    publicValue: publicValueOf(privateKey),
    agree(peer) {
      if (!isPublicValue(peer, group.p)) return undefined
      const spki = sequence(algorithm, tlv(bitString, Buffer.from([0]), integer(peer)))
      try {
        const publicKey = createPublicKey({ key: spki, format: 'der', type: 'spki' })
        return diffieHellman({ privateKey, publicKey })
      } catch {
        return undefined
      }
    },
  }
}

// ---- the little of DER that this needs ----

const integerTag = 0x02
const bitString = 0x03
const octetString = 0x04
const sequenceTag = 0x30
/** dhKeyAgreement, 1.2.840.113549.1.3.1. */
const pkcs3 = Buffer.from('06092a864886f70d010301', 'hex')

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...head]), ...parts])
}

const sequence = (...parts: Buffer[]): Buffer => tlv(sequenceTag, ...parts)

function integer(magnitude: Buffer): Buffer {
  const start = magnitude.findIndex(byte => byte !== 0)
  const digits = start < 0 ? Buffer.from([0]) : magnitude.subarray(start)
  return digits[0]! & 0x80 ? tlv(integerTag, Buffer.from([0]), digits) : tlv(integerTag, digits)
}

/** The integer at the end of the SubjectPublicKeyInfo. */
function publicValueOf(privateKey: KeyObject): Buffer {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' })
  const algorithmAt = skipHead(spki, 0)
  const bitsAt = skipHead(spki, algorithmAt) + lengthAt(spki, algorithmAt)
  const integerAt = skipHead(spki, bitsAt) + 1
  return spki.subarray(skipHead(spki, integerAt))
}

/** Where the contents of the element at `at` begin. */
const skipHead = (der: Buffer, at: number): number => at + 2 + (der[at + 1]! & 0x80 ? der[at + 1]! & 0x7f : 0)

function lengthAt(der: Buffer, at: number): number {
  const first = der[at + 1]!
  return first & 0x80 ? der.readUIntBE(at + 2, first & 0x7f) : first
}
