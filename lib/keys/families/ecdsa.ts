import type { HashName } from '../../crypto/hash.ts'
import {
  coordinateLength,
  type EcdsaCurve,
  ecdsaSigner,
  ecdsaVerifier,
  type PrivateNumbers,
} from '../../crypto/signature.ts'
import { KeyError, SshError } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { encode } from '../../wire/writer.ts'
import type { KeyFamily } from './family.ts'

/** ECDSA (RFC 5656 §3). The curve is named twice, in the type and after it; both must agree. */
function row(curve: EcdsaCurve, bits: number, hash: HashName): KeyFamily {
  const type = `ecdsa-sha2-${curve}`
  const length = coordinateLength[curve]

  const own = (numbers: PrivateNumbers): Extract<PrivateNumbers, { kind: 'ecdsa' }> => {
    if (numbers.kind !== 'ecdsa' || numbers.curve !== curve)
      throw new KeyError('mismatch', `not an ECDSA key on ${curve}`)
    return numbers
  }
  const readPoint = (reader: Reader): Buffer => {
    if (reader.text() !== curve) throw new KeyError('malformed', 'ECDSA key names another curve than its type')
    const point = reader.string()
    if (point.length !== 1 + 2 * length || point[0] !== 4)
      throw new KeyError('malformed', 'ECDSA point of the wrong form')
    return point
  }
  const verifierOf = (point: Buffer) => {
    try {
      return ecdsaVerifier(curve, point)
    } catch {
      throw new KeyError('malformed', 'ECDSA point is not on its curve')
    }
  }
  const padded = (number: Buffer): Buffer => Buffer.concat([Buffer.alloc(length - number.length), number])

  return {
    type,
    label: 'ECDSA',
    fileName: 'id_ecdsa',
    algorithms: [{ name: type, hash }],
    readPublic: reader => ({ bits, verify: verifierOf(readPoint(reader)) }),
    readPrivate(reader) {
      const point = Buffer.from(readPoint(reader))
      const scalar = reader.mpint()
      verifierOf(point)
      if (scalar.length === 0 || scalar.length > length)
        throw new KeyError('malformed', 'ECDSA private value out of range')
      return { kind: 'ecdsa', curve, point, scalar: padded(scalar) }
    },
    writePrivate(writer, numbers) {
      const { point, scalar } = own(numbers)
      writer.text(curve).string(point).mpint(scalar)
    },
    writePublic(writer, numbers) {
      writer.text(curve).string(own(numbers).point)
    },
    signer: numbers => ecdsaSigner(own(numbers)),
    encodeSignature: signature =>
      encode(writer => writer.mpint(signature.subarray(0, length)).mpint(signature.subarray(length))),
    decodeSignature(signature) {
      try {
        const reader = new Reader(signature)
        const [r, s] = [reader.mpint(), reader.mpint()]
        reader.finish()
        // Range against the group order is OpenSSL's to check; here the lengths.
        if (r.length === 0 || s.length === 0 || r.length > length || s.length > length) return undefined
        return Buffer.concat([padded(r), padded(s)])
      } catch (error) {
        if (error instanceof SshError) return undefined
        throw error
      }
    },
    owns: numbers => numbers.kind === 'ecdsa' && numbers.curve === curve,
  }
}

export const ecdsaNistp256 = row('nistp256', 256, 'sha256')
export const ecdsaNistp384 = row('nistp384', 384, 'sha384')
export const ecdsaNistp521 = row('nistp521', 521, 'sha512')
