import type { PublicNumbers } from '../crypto/signature.ts'
import { KeyError } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { encode } from '../wire/writer.ts'
import { type PublicKey, parsePublicKey } from './public-key.ts'

/** Between a public key's blob and the numbers in it, for formats that are not SSH's own. */

const curves = {
  nistp256: 'nistp256',
  nistp384: 'nistp384',
  nistp521: 'nistp521',
  '1.3.132.0.10': 'secp256k1',
} as const

const curveOf = (name: string): (typeof curves)[keyof typeof curves] | undefined =>
  Object.hasOwn(curves, name) ? curves[name as keyof typeof curves] : undefined

/** @throws KeyError `unsupported` for keys that only SSH has, as those in security keys */
export function publicNumbers({ blob, label }: Pick<PublicKey, 'blob' | 'label'>): PublicNumbers {
  const reader = new Reader(blob)
  const type = reader.text()
  switch (type) {
    case 'ssh-rsa': {
      const [e, n] = [reader.mpint(), reader.mpint()]
      return { kind: 'rsa', n, e }
    }
    case 'ssh-dss': {
      const [p, q, g, y] = [reader.mpint(), reader.mpint(), reader.mpint(), reader.mpint()]
      return { kind: 'dsa', p, q, g, y }
    }
    case 'ssh-ed25519':
    case 'ssh-ed448':
      return { kind: type === 'ssh-ed448' ? 'ed448' : 'ed25519', publicValue: reader.string() }
  }
  const curve = type.startsWith('ecdsa-') ? curveOf(reader.text()) : undefined
  if (!curve) throw new KeyError('unsupported', `unsupported key type ${label}`)
  return { kind: 'ecdsa', curve, point: reader.string() }
}

/** @throws KeyError when the numbers are out of range */
export function publicKeyOfNumbers(numbers: PublicNumbers): PublicKey {
  const blob = encode(writer => {
    switch (numbers.kind) {
      case 'rsa':
        return writer.text('ssh-rsa').mpint(numbers.e).mpint(numbers.n)
      case 'dsa':
        return writer.text('ssh-dss').mpint(numbers.p).mpint(numbers.q).mpint(numbers.g).mpint(numbers.y)
      case 'ecdsa': {
        const name = Object.entries(curves).find(([, curve]) => curve === numbers.curve)![0]
        return writer.text(`ecdsa-sha2-${name}`).text(name).string(numbers.point)
      }
      default:
        return writer.text(`ssh-${numbers.kind}`).string(numbers.publicValue)
    }
  })
  return parsePublicKey(blob)
}
