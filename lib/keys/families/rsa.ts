import { type PrivateNumbers, rsaSigner, rsaVerifier } from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import type { KeyFamily } from './family.ts'

/** Moduli outside are refused: too weak for anything, or costly to check (OpenSSH has the same bounds). */
const minimumBits = 1024
const maximumBits = 16384

const bitLength = (magnitude: Buffer): number =>
  magnitude.length === 0 ? 0 : magnitude.length * 8 - Math.clz32(magnitude[0]!) + 24

function own(numbers: PrivateNumbers): Extract<PrivateNumbers, { kind: 'rsa' }> {
  if (numbers.kind !== 'rsa') throw new KeyError('mismatch', 'not an RSA key')
  return numbers
}

function checkPublic(n: Buffer, e: Buffer): number {
  const bits = bitLength(n)
  if (bits < minimumBits) throw new KeyError('too-weak', `RSA key of ${bits} bits is too short`)
  if (bits > maximumBits) throw new KeyError('malformed', `RSA key of ${bits} bits is too long`)
  const exponentBits = bitLength(e)
  if (exponentBits < 2 || exponentBits > 64 || (e[e.length - 1]! & 1) === 0)
    throw new KeyError('malformed', 'RSA exponent out of range')
  return bits
}

/** RSA (RFC 4253 §6.6) with SHA-2 signatures (RFC 8332); SHA-1 ones exist, off by default. */
export const rsa: KeyFamily = {
  type: 'ssh-rsa',
  label: 'RSA',
  fileName: 'id_rsa',
  algorithms: [
    { name: 'rsa-sha2-512', hash: 'sha512' },
    { name: 'rsa-sha2-256', hash: 'sha256' },
    { name: 'ssh-rsa', hash: 'sha1' },
  ],
  readPublic(reader) {
    const [e, n] = [reader.mpint(), reader.mpint()]
    return { bits: checkPublic(n, e), verify: rsaVerifier({ n, e }) }
  },
  readPrivate(reader) {
    const [n, e, d, iqmp, p, q] = [0, 0, 0, 0, 0, 0].map(() => Buffer.from(reader.mpint())) as [
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
      Buffer,
    ]
    checkPublic(n, e)
    if (bitLength(p) < 2 || bitLength(q) < 2) throw new KeyError('malformed', 'RSA primes out of range')
    return { kind: 'rsa', n, e, d, iqmp, p, q }
  },
  writePrivate(writer, numbers) {
    const { n, e, d, iqmp, p, q } = own(numbers)
    writer.mpint(n).mpint(e).mpint(d).mpint(iqmp).mpint(p).mpint(q)
  },
  writePublic(writer, numbers) {
    const { e, n } = own(numbers)
    writer.mpint(e).mpint(n)
  },
  signer: numbers => rsaSigner(own(numbers)),
  encodeSignature: signature => signature,
  decodeSignature: signature => signature,
  owns: numbers => numbers.kind === 'rsa',
}
