import { createHash, privateEncrypt } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { type PrivateNumbers, privateKeyObject } from '../../lib/crypto/signature.ts'
import { KeyError } from '../../lib/errors.ts'
import { generateKey } from '../../lib/keys/private-key.ts'
import { parsePublicKey } from '../../lib/keys/public-key.ts'
import { Reader } from '../../lib/wire/reader.ts'
import { encode } from '../../lib/wire/writer.ts'

/** Signatures and keys that are nearly right, as other implementations took them once. */

const data = Buffer.from('what is signed')
const numberOf = (bytes: Buffer): bigint => BigInt(`0x0${bytes.toString('hex')}`)
const bytesOf = (value: bigint): Buffer => {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')
}
const labelled = (label: string, body: Buffer, after = Buffer.alloc(0)): Buffer =>
  encode(writer => writer.text(label).string(body).bytes(after))
const bodyOf = (signature: Buffer): Buffer => {
  const reader = new Reader(signature)
  reader.string()
  return reader.string()
}

/** Orders of the groups (SEC 2 §2; RFC 8032 §5). */
const order = {
  256: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  384: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  521: 0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  ed25519: 2n ** 252n + 27742317777372353535851937790883648493n,
  ed448: 2n ** 446n - 13818066809895115352007386748515426880336692474882178609894547503885n,
} as const

describe.each([256, 384, 521] as const)('ECDSA over nistp%i', bits => {
  const key = generateKey('ecdsa', bits)
  const [label = ''] = key.publicKey.algorithms
  const good = key.sign(data, label)
  const reader = new Reader(bodyOf(good))
  const [r, s] = [numberOf(reader.mpint()), numberOf(reader.mpint())]
  const n = order[bits]
  const made = (first: bigint, second: bigint, more = Buffer.alloc(0)): Buffer =>
    labelled(
      label,
      encode(writer => writer.mpint(bytesOf(first)).mpint(bytesOf(second)).bytes(more)),
    )

  test('the signature itself', () => {
    expect(key.publicKey.verify(data, good)).toBe(true)
    expect(made(r, s)).toEqual(good)
  })

  test.each([
    ['r = 0', made(0n, s)],
    ['s = 0', made(r, 0n)],
    ['both 0', made(0n, 0n)],
    ['r = n', made(n, s)],
    ['s = n', made(r, n)],
    ['s + n', made(r, s + n)],
    ['r + n', made(r + n, s)],
    ['a byte after s', made(r, s, Buffer.of(0))],
    ['a byte after the signature', labelled(label, bodyOf(good), Buffer.of(0))],
    ['a needless zero before r', labelled(label, zeroPadded(r, s))],
    ['a negative s', labelled(label, negative(r))],
    ['the label of another curve', labelled(`ecdsa-sha2-nistp${bits === 256 ? 384 : 256}`, bodyOf(good))],
    ['cut short', good.subarray(0, -1)],
  ])('%s is refused', (_, bad) => {
    expect(key.publicKey.verify(data, bad)).toBe(false)
  })
})

function zeroPadded(r: bigint, s: bigint): Buffer {
  const [first, second] = [Buffer.concat([Buffer.of(0, 0), bytesOf(r)]), bytesOf(s)]
  return encode(writer => writer.string(first).mpint(second))
}

const negative = (r: bigint): Buffer => encode(writer => writer.mpint(bytesOf(r)).string(Buffer.of(0x80, 1)))

describe.each(['ed25519', 'ed448'] as const)('%s', kind => {
  const key = generateKey(kind)
  const label = key.publicKey.type
  const good = bodyOf(key.sign(data, label))
  const half = good.length / 2
  const plusOrder = (): Buffer => {
    const s = numberOf(Buffer.from(good.subarray(half)).reverse()) + order[kind]
    const bytes = bytesOf(s)
    return Buffer.concat([good.subarray(0, half), bytes.reverse(), Buffer.alloc(half - bytes.length)])
  }

  test.each([
    ['S + L', plusOrder()],
    ['a byte too many', Buffer.concat([good, Buffer.of(0)])],
    ['a byte too few', good.subarray(0, -1)],
    ['nothing', Buffer.alloc(0)],
  ])('%s is refused', (_, bad) => {
    expect(key.publicKey.verify(data, labelled(label, good))).toBe(true)
    expect(key.publicKey.verify(data, labelled(label, bad))).toBe(false)
  })

  test.each([0, 1, half - 1, half + 1, 1000])('a key of %i bytes is none', length => {
    expect(() => parsePublicKey(encode(w => w.text(label).string(Buffer.alloc(length, 1))))).toThrow(KeyError)
  })
})

describe('RSA', () => {
  const key = generateKey('rsa', 2048)
  const object = privateKeyObject(key.numbers as PrivateNumbers)
  /** PKCS#1 v1.5 by hand (RFC 8017 §9.2): the identifier of a hash, then the digest. */
  const signedWith = (identifier: string, name: string): Buffer =>
    privateEncrypt(object, Buffer.concat([Buffer.from(identifier, 'hex'), createHash(name).update(data).digest()]))
  const sha1 = signedWith('3021300906052b0e03021a05000414', 'sha1')
  const sha256 = signedWith('3031300d060960864801650304020105000420', 'sha256')

  test('a signature counts under the label of its own hash only', () => {
    const { publicKey } = key
    expect(publicKey.verify(data, labelled('rsa-sha2-256', sha256))).toBe(true)
    expect(publicKey.verify(data, labelled('ssh-rsa', sha1))).toBe(true)
    expect(publicKey.verify(data, labelled('rsa-sha2-256', sha1))).toBe(false)
    expect(publicKey.verify(data, labelled('rsa-sha2-512', sha1))).toBe(false)
    expect(publicKey.verify(data, labelled('rsa-sha2-512', sha256))).toBe(false)
    expect(publicKey.verify(data, labelled('ssh-rsa', sha1), 'rsa-sha2-512')).toBe(false)
    expect(publicKey.verify(data, labelled('rsa-sha2-256', sha256), 'rsa-sha2-512')).toBe(false)
    expect(publicKey.verify(data, labelled('ssh-ed25519', sha256))).toBe(false)
    expect(publicKey.verify(data, labelled('rsa-sha2-256', Buffer.concat([Buffer.of(0), sha256])))).toBe(false)
  })

  const rsaBlob = (e: bigint, n: bigint): Buffer => encode(w => w.text('ssh-rsa').mpint(bytesOf(e)).mpint(bytesOf(n)))
  const odd = (bits: number): bigint => (1n << BigInt(bits - 1)) | 1n

  test.each([
    ['a modulus of 1023 bits', rsaBlob(65537n, odd(1023)), 'too short'],
    ['a modulus of 16385 bits', rsaBlob(65537n, odd(16385)), 'too long'],
    ['a modulus of 0', rsaBlob(65537n, 0n), 'too short'],
    ['an exponent of 0', rsaBlob(0n, odd(2048)), 'exponent'],
    ['an exponent of 1', rsaBlob(1n, odd(2048)), 'exponent'],
    ['an even exponent', rsaBlob(65536n, odd(2048)), 'exponent'],
    ['an exponent of 65 bits', rsaBlob(odd(65), odd(2048)), 'exponent'],
    ['a byte after it', Buffer.concat([key.publicKey.blob, Buffer.of(0)]), 'trailing'],
  ])('%s is refused', (_, blob, problem) => {
    expect(() => parsePublicKey(blob)).toThrow(problem)
  })

  test('1024 and 16384 bits are its bounds', () => {
    for (const bits of [1024, 16384]) expect(parsePublicKey(rsaBlob(65537n, odd(bits))).bits).toBe(bits)
  })
})

test('DSA with parameters that RFC 4253 does not have is refused', () => {
  const { numbers } = generateKey('dsa')
  if (numbers.kind !== 'dsa') throw new Error('another kind')
  const { p, q, g, y } = numbers
  const blob = (...values: Buffer[]): Buffer =>
    encode(writer => values.reduce((w, value) => w.mpint(value), writer.text('ssh-dss')))
  expect(parsePublicKey(blob(p, q, g, y)).bits).toBe(1024)
  for (const [i, bad] of [
    blob(p.subarray(1), q, g, y),
    blob(p, q.subarray(1), g, y),
    blob(p, Buffer.concat([q, q]), g, y),
    blob(p, q, Buffer.of(1), y),
    blob(p, q, p, y),
    blob(p, q, g, Buffer.alloc(0)),
    blob(p, q, g, p),
  ].entries())
    expect(() => parsePublicKey(bad), `case ${i}`).toThrow(KeyError)
})

describe('a security key', () => {
  const key = generateKey('ed25519')
  const publicValue = key.publicKey.blob.subarray(-32)
  const type = 'sk-ssh-ed25519@openssh.com'
  const skKey = (application: string) => parsePublicKey(encode(w => w.text(type).string(publicValue).text(application)))
  const sha256 = (input: Buffer | string): Buffer => createHash('sha256').update(input).digest()
  /** What the device signs (PROTOCOL.u2f), and its signature with flags and counter after it. */
  const sign = (flags: number, counter: number) => {
    const signed = encode(w => w.bytes(sha256('ssh:')).byte(flags).uint32(counter).bytes(sha256(data)))
    return bodyOf(key.sign(signed, 'ssh-ed25519'))
  }
  const shown = (signature: Buffer, after: Buffer): Buffer => encode(w => w.text(type).string(signature).bytes(after))
  const rest = (flags: number, counter: number): Buffer => encode(w => w.byte(flags).uint32(counter))

  test('its signature counts with its flags, counter and application as they were signed', () => {
    const good = sign(1, 9)
    expect(skKey('ssh:').verify(data, shown(good, rest(1, 9)))).toBe(true)
    expect(skKey('ssh:other').verify(data, shown(good, rest(1, 9)))).toBe(false)
    expect(skKey('ssh:').verify(data, shown(good, rest(5, 9)))).toBe(false)
    expect(skKey('ssh:').verify(data, shown(good, rest(1, 8)))).toBe(false)
  })

  test.each([
    ['no counter', Buffer.of(1)],
    ['half a counter', Buffer.of(1, 0, 0)],
    ['nothing', Buffer.alloc(0)],
    ['a byte after the counter', Buffer.of(1, 0, 0, 0, 9, 0)],
  ])('%s is refused', (_, after) => {
    expect(skKey('ssh:').verify(data, shown(sign(1, 9), after))).toBe(false)
  })

  test('an application with a NUL is refused', () => {
    expect(() => skKey('ssh:\0')).toThrow(KeyError)
  })
})
