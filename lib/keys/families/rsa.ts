import { bitLength } from '../../crypto/dh.ts'
import { rsaSigner, rsaVerifier } from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import { type KeyFamily, ownMaterial, plainSignature } from './family.ts'

/** Moduli outside are refused: too weak for anything, or costly to check (OpenSSH has the same bounds). */
const minimumBits = 1024
const maximumBits = 16384

function checkPublic(n: Buffer, e: Buffer): number {
  const bits = bitLength(n)
  if (bits < minimumBits) throw new KeyError('too-weak', `RSA key of ${bits} bits is too short`)
  if (bits > maximumBits) throw new KeyError('malformed', `RSA key of ${bits} bits is too long`)
  const exponentBits = bitLength(e)
  if (exponentBits < 2 || exponentBits > 64 || (e[e.length - 1]! & 1) === 0)
    throw new KeyError('malformed', 'RSA exponent out of range')
  return bits
}

/** RSA (RFC 4253 §6.6) with SHA-2 signatures (RFC 8332); SHA-1 ones and ssh.com's own names exist, off by default. */
export const rsa: KeyFamily = {
  type: 'ssh-rsa',
  label: 'RSA',
  fileName: 'id_rsa',
  algorithms: [
    { name: 'rsa-sha2-512', hash: 'sha512' },
    { name: 'rsa-sha2-256', hash: 'sha256' },
    { name: 'ssh-rsa', hash: 'sha1' },
    { name: 'ssh-rsa-sha512@ssh.com', hash: 'sha512' },
    { name: 'ssh-rsa-sha384@ssh.com', hash: 'sha384' },
    { name: 'ssh-rsa-sha256@ssh.com', hash: 'sha256' },
    { name: 'ssh-rsa-sha224@ssh.com', hash: 'sha224' },
  ],
  readPublic(reader) {
    const [e, n] = [reader.mpint(), reader.mpint()]
    return { bits: checkPublic(n, e), verify: plainSignature(rsaVerifier({ n, e })) }
  },
  readPrivate(reader, publicFields) {
    const next = (from = reader): Buffer => Buffer.from(from.mpint())
    let e: Buffer
    let n: Buffer
    // The public blob has the exponent first, the private one the modulus.
    if (publicFields) [e, n] = [next(publicFields), next(publicFields)]
    else [n, e] = [next(), next()]
    const [d, iqmp, p, q] = [next(), next(), next(), next()]
    checkPublic(n, e)
    if (bitLength(p) < 2 || bitLength(q) < 2 || bitLength(d) < 2 || iqmp.length === 0)
      throw new KeyError('malformed', 'RSA private numbers out of range')
    return { kind: 'rsa', n, e, d, iqmp, p, q }
  },
  writePrivate(writer, numbers, certified = false) {
    const { n, e, d, iqmp, p, q } = ownMaterial(numbers, 'rsa')
    if (!certified) writer.mpint(n).mpint(e)
    writer.mpint(d).mpint(iqmp).mpint(p).mpint(q)
  },
  writePublic(writer, numbers) {
    const { e, n } = ownMaterial(numbers, 'rsa')
    writer.mpint(e).mpint(n)
  },
  signer: numbers => rsaSigner(ownMaterial(numbers, 'rsa')),
  encodeSignature: signature => signature,
  owns: numbers => numbers.kind === 'rsa',
}
