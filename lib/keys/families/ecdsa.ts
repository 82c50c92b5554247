import type { HashName } from '../../crypto/hash.ts'
import {
  coordinateLength,
  type EcdsaCurve,
  ecdsaSigner,
  ecdsaVerifier,
  type PrivateNumbers,
  type Verifier,
} from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { encode } from '../../wire/writer.ts'
import { type KeyFamily, type PrivateMaterial, plainSignature } from './family.ts'

/** SSH's names of the curves (RFC 5656 §10.1): three have names of their own, others go by their object identifier. */
const wireName: Readonly<Record<EcdsaCurve, string>> = {
  nistp256: 'nistp256',
  nistp384: 'nistp384',
  nistp521: 'nistp521',
  secp256k1: '1.3.132.0.10',
}

const padTo = (length: number, number: Buffer): Buffer => Buffer.concat([Buffer.alloc(length - number.length), number])

/** Reads the curve's name and a point, uncompressed. @throws KeyError */
export function readPoint(curve: EcdsaCurve, reader: Reader): Buffer {
  if (reader.text() !== wireName[curve]) throw new KeyError('malformed', 'ECDSA key names another curve than its type')
  const point = reader.string()
  if (point.length !== 1 + 2 * coordinateLength[curve] || point[0] !== 4)
    throw new KeyError('malformed', 'ECDSA point of the wrong form')
  return point
}

/** @throws KeyError when the point is not on the curve */
export function verifierOf(curve: EcdsaCurve, point: Buffer): Verifier {
  try {
    return ecdsaVerifier(curve, point)
  } catch (cause) {
    throw new KeyError('malformed', 'ECDSA point is not on its curve', { cause })
  }
}

/** r and s side by side from the blob's two mpints. Their range against the group order is OpenSSL's to check. */
export function decodeEcdsaSignature(curve: EcdsaCurve, bytes: Buffer): Buffer | undefined {
  const length = coordinateLength[curve]
  const reader = new Reader(bytes)
  const [r, s] = [reader.mpint(), reader.mpint()]
  reader.finish()
  if (r.length === 0 || s.length === 0 || r.length > length || s.length > length) return undefined
  return Buffer.concat([padTo(length, r), padTo(length, s)])
}

/** ECDSA (RFC 5656 §3). The curve is named twice, in the type and after it; both must agree. */
function row(curve: EcdsaCurve, bits: number, hash: HashName, fileName: string | undefined): KeyFamily {
  const type = `ecdsa-sha2-${wireName[curve]}`
  const length = coordinateLength[curve]
  const own = (numbers: PrivateMaterial): Extract<PrivateNumbers, { kind: 'ecdsa' }> => {
    if (numbers.kind !== 'ecdsa' || numbers.curve !== curve)
      throw new KeyError('mismatch', `not an ECDSA key on ${curve}`)
    return numbers
  }
  return {
    type,
    label: 'ECDSA',
    fileName,
    algorithms: [{ name: type, hash }],
    readPublic(reader) {
      const verify = verifierOf(curve, readPoint(curve, reader))
      return { bits, verify: plainSignature(verify, bytes => decodeEcdsaSignature(curve, bytes)) }
    },
    readPrivate(reader, publicFields = reader) {
      const point = Buffer.from(readPoint(curve, publicFields))
      const scalar = reader.mpint()
      verifierOf(curve, point)
      if (scalar.length === 0 || scalar.length > length)
        throw new KeyError('malformed', 'ECDSA private value out of range')
      return { kind: 'ecdsa', curve, point, scalar: padTo(length, scalar) }
    },
    writePrivate(writer, numbers, certified = false) {
      const { point, scalar } = own(numbers)
      if (!certified) writer.text(wireName[curve]).string(point)
      writer.mpint(scalar)
    },
    writePublic(writer, numbers) {
      writer.text(wireName[curve]).string(own(numbers).point)
    },
    signer: numbers => ecdsaSigner(own(numbers)),
    encodeSignature: signature =>
      encode(writer => writer.mpint(signature.subarray(0, length)).mpint(signature.subarray(length))),
    owns: numbers => numbers.kind === 'ecdsa' && numbers.curve === curve,
  }
}

export const ecdsaNistp256 = row('nistp256', 256, 'sha256', 'id_ecdsa')
export const ecdsaNistp384 = row('nistp384', 384, 'sha384', 'id_ecdsa')
export const ecdsaNistp521 = row('nistp521', 521, 'sha512', 'id_ecdsa')
/** AsyncSSH's and Bitvise's; OpenSSH does not have it. */
export const ecdsaSecp256k1 = row('secp256k1', 256, 'sha256', undefined)
