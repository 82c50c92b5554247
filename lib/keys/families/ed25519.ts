import { ed25519PublicValue, ed25519Signer, ed25519Verifier, type PrivateNumbers } from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import type { KeyFamily } from './family.ts'

const publicLength = 32

function own(numbers: PrivateNumbers): Extract<PrivateNumbers, { kind: 'ed25519' }> {
  if (numbers.kind !== 'ed25519') throw new KeyError('mismatch', 'not an Ed25519 key')
  return numbers
}

/** Ed25519 (RFC 8709). */
export const ed25519: KeyFamily = {
  type: 'ssh-ed25519',
  label: 'ED25519',
  fileName: 'id_ed25519',
  algorithms: [{ name: 'ssh-ed25519', hash: undefined }],
  readPublic(reader) {
    const publicValue = reader.string()
    if (publicValue.length !== publicLength) throw new KeyError('malformed', 'Ed25519 key of the wrong length')
    return { bits: 256, verify: ed25519Verifier(publicValue) }
  },
  readPrivate(reader) {
    const publicValue = reader.string()
    const secret = reader.string()
    if (publicValue.length !== publicLength || secret.length !== 64 || !secret.subarray(32).equals(publicValue)) {
      throw new KeyError('malformed', 'Ed25519 private key of the wrong length')
    }
    if (!ed25519PublicValue(secret.subarray(0, 32)).equals(publicValue)) {
      throw new KeyError('mismatch', 'Ed25519 private key does not fit its public half')
    }
    return { kind: 'ed25519', seed: Buffer.from(secret.subarray(0, 32)), publicValue: Buffer.from(publicValue) }
  },
  writePrivate(writer, numbers) {
    const { seed, publicValue } = own(numbers)
    writer.string(publicValue).string(Buffer.concat([seed, publicValue]))
  },
  writePublic(writer, numbers) {
    writer.string(own(numbers).publicValue)
  },
  signer: numbers => ed25519Signer(own(numbers)),
  encodeSignature: signature => signature,
  decodeSignature: signature => (signature.length === 64 ? signature : undefined),
  owns: numbers => numbers.kind === 'ed25519',
}
