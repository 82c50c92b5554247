import { bitLength } from '../../crypto/dh.ts'
import { dsaSigner, dsaVerifier } from '../../crypto/dsa.ts'
import { KeyError } from '../../errors.ts'
import type { Reader } from '../../wire/reader.ts'
import { type KeyFamily, ownMaterial, plainSignature } from './family.ts'

/** Sizes that a signature of twice 20 bytes fits (RFC 4253 §6.6); OpenSSH had 1024 only. */
const divisorBits = 160
const minimumBits = 1024
const maximumBits = 3072

function readPublicNumbers(reader: Reader): { p: Buffer; q: Buffer; g: Buffer; y: Buffer } {
  const [p, q, g, y] = [reader.mpint(), reader.mpint(), reader.mpint(), reader.mpint()]
  const bits = bitLength(p)
  if (bits < minimumBits) throw new KeyError('too-weak', `DSA key of ${bits} bits is too short`)
  if (bits > maximumBits) throw new KeyError('malformed', `DSA key of ${bits} bits is too long`)
  if (bitLength(q) !== divisorBits) throw new KeyError('malformed', 'DSA key whose divisor is not of 160 bits')
  for (const number of [g, y]) {
    if (bitLength(number) < 2 || number.length > p.length || (number.length === p.length && number.compare(p) >= 0))
      throw new KeyError('malformed', 'DSA number out of range')
  }
  return { p, q, g, y }
}

/** DSA (RFC 4253 §6.6) with SHA-1: for old keys, off by default everywhere. */
export const dsa: KeyFamily = {
  type: 'ssh-dss',
  label: 'DSA',
  fileName: undefined,
  algorithms: [{ name: 'ssh-dss', hash: 'sha1' }],
  readPublic(reader) {
    const numbers = readPublicNumbers(reader)
    const decode = (bytes: Buffer) => (bytes.length === 40 ? bytes : undefined)
    return { bits: bitLength(numbers.p), verify: plainSignature(dsaVerifier(numbers), decode) }
  },
  readPrivate(reader, publicFields = reader) {
    const { p, q, g, y } = readPublicNumbers(publicFields)
    const x = reader.mpint()
    if (x.length === 0 || x.length > q.length) throw new KeyError('malformed', 'DSA private number out of range')
    const [own, copies] = [Buffer.from(x), [p, q, g, y].map(number => Buffer.from(number))]
    return { kind: 'dsa', p: copies[0]!, q: copies[1]!, g: copies[2]!, y: copies[3]!, x: own }
  },
  writePrivate(writer, numbers, certified = false) {
    const { p, q, g, y, x } = ownMaterial(numbers, 'dsa')
    if (!certified) writer.mpint(p).mpint(q).mpint(g).mpint(y)
    writer.mpint(x)
  },
  writePublic(writer, numbers) {
    const { p, q, g, y } = ownMaterial(numbers, 'dsa')
    writer.mpint(p).mpint(q).mpint(g).mpint(y)
  },
  signer: numbers => dsaSigner(ownMaterial(numbers, 'dsa')),
  encodeSignature: signature => signature,
  owns: numbers => numbers.kind === 'dsa',
}
