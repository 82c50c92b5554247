import {
  type EdwardsCurve,
  edwardsLength,
  edwardsPublicValue,
  edwardsSigner,
  edwardsVerifier,
  type PrivateNumbers,
  type Verifier,
} from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import type { Reader } from '../../wire/reader.ts'
import { type KeyFamily, type PrivateMaterial, plainSignature } from './family.ts'

/** Reads a public value of the right length. @throws KeyError */
export function readEdwardsPublic(curve: EdwardsCurve, reader: Reader): Buffer {
  const publicValue = reader.string()
  if (publicValue.length !== edwardsLength[curve]) throw new KeyError('malformed', `${curve} key of the wrong length`)
  return publicValue
}

function row(curve: EdwardsCurve, label: string, bits: number, fileName: string | undefined): KeyFamily {
  const type = `ssh-${curve}`
  const length = edwardsLength[curve]
  const own = (numbers: PrivateMaterial): Extract<PrivateNumbers, { kind: EdwardsCurve }> => {
    if (numbers.kind !== curve) throw new KeyError('mismatch', `not a key of kind ${curve}`)
    return numbers
  }
  return {
    type,
    label,
    fileName,
    algorithms: [{ name: type, hash: undefined }],
    readPublic(reader) {
      const publicValue = readEdwardsPublic(curve, reader)
      // Most keys are only looked at; OpenSSL takes any bytes of this length.
      let verifier: Verifier | undefined
      const verify: Verifier = (...signed) => {
        verifier ??= edwardsVerifier(curve, publicValue)
        return verifier(...signed)
      }
      return { bits, verify: plainSignature(verify, bytes => (bytes.length === 2 * length ? bytes : undefined)) }
    },
    // The public value is written even beside a certificate (OpenSSH does so).
    readPrivate(reader) {
      const publicValue = readEdwardsPublic(curve, reader)
      const secret = reader.string()
      if (secret.length !== 2 * length || !secret.subarray(length).equals(publicValue)) {
        throw new KeyError('malformed', `${curve} private key of the wrong length`)
      }
      const seed = Buffer.from(secret.subarray(0, length))
      if (!edwardsPublicValue(curve, seed).equals(publicValue)) {
        throw new KeyError('mismatch', `${curve} private key does not fit its public half`)
      }
      return { kind: curve, seed, publicValue: Buffer.from(publicValue) }
    },
    writePrivate(writer, numbers) {
      const { seed, publicValue } = own(numbers)
      writer
        .string(publicValue)
        .uint32(2 * length)
        .bytes(seed)
        .bytes(publicValue)
    },
    writePublic(writer, numbers) {
      writer.string(own(numbers).publicValue)
    },
    signer: numbers => edwardsSigner(curve, own(numbers)),
    encodeSignature: signature => signature,
    owns: numbers => numbers.kind === curve,
  }
}

/** Ed25519 (RFC 8709). */
export const ed25519 = row('ed25519', 'ED25519', 256, 'id_ed25519')
/** Ed448 (RFC 8709), which OpenSSH does not have. */
export const ed448 = row('ed448', 'ED448', 456, undefined)
