import { hash } from '../../crypto/hash.ts'
import { mldsa44, mldsa44PublicKey, mldsa44Sign, mldsa44Verify } from '../../crypto/mldsa.ts'
import { edwardsLength, edwardsPublicValue, edwardsSigner, edwardsVerifier } from '../../crypto/signature.ts'
import { KeyError } from '../../errors.ts'
import type { Reader } from '../../wire/reader.ts'
import { type CompositePrivate, type KeyFamily, ownMaterial, plainSignature } from './family.ts'

/**
 * ML-DSA-44 and Ed25519 together: a signature holds as long as either does
 * (draft-miller-sshm-mldsa44-ed25519-composite-sigs, over draft-ietf-lamps-pq-composite-sigs).
 */

const type = 'ssh-mldsa44-ed25519@openssh.com'
const label = Buffer.from('COMPSIG-MLDSA44-Ed25519-SHA512')
const prefix = Buffer.from('CompositeAlgorithmSignatures2025')
const noContext = Buffer.of(0)

const publicLength = mldsa44.publicKeyLength + edwardsLength.ed25519
const seedsLength = mldsa44.seedLength + edwardsLength.ed25519
const signatureLength = mldsa44.signatureLength + 2 * edwardsLength.ed25519

/** What both algorithms sign in place of the data. */
const representative = (data: Buffer): Buffer => Buffer.concat([prefix, label, noContext, hash('sha512', data)])

const split = (bytes: Buffer, at: number): [Buffer, Buffer] => [bytes.subarray(0, at), bytes.subarray(at)]

function readPublicValue(reader: Reader): Buffer {
  const publicValue = reader.string()
  if (publicValue.length !== publicLength) throw new KeyError('malformed', 'ML-DSA-44 key of the wrong length')
  return publicValue
}

/** The private half of two seeds. */
export function compositeFromSeeds(seeds: Buffer): CompositePrivate {
  const [first, second] = split(seeds, mldsa44.seedLength)
  const publicValue = Buffer.concat([mldsa44PublicKey(first), edwardsPublicValue('ed25519', second)])
  return { kind: 'mldsa44-ed25519', publicValue, seeds }
}

export const compositeSeedsLength = seedsLength

export const mldsa44Ed25519: KeyFamily = {
  type,
  label: 'MLDSA44-ED25519',
  fileName: 'id_mldsa44_ed25519',
  algorithms: [{ name: type, hash: undefined }],
  readPublic(reader) {
    const [latticeKey, edwardsKey] = split(Buffer.from(readPublicValue(reader)), mldsa44.publicKeyLength)
    const verifyEdwards = edwardsVerifier('ed25519', edwardsKey)
    return {
      bits: 256,
      verify: plainSignature((_hash, data, signature) => {
        if (signature.length !== signatureLength) return false
        const signed = representative(data)
        const [lattice, edwards] = split(signature, mldsa44.signatureLength)
        return verifyEdwards(undefined, signed, edwards) && mldsa44Verify(latticeKey, signed, lattice, label)
      }),
    }
  },
  readPrivate(reader, publicFields = reader) {
    const publicValue = readPublicValue(publicFields)
    const seeds = reader.string()
    if (seeds.length !== seedsLength) throw new KeyError('malformed', 'ML-DSA-44 private key of the wrong length')
    const numbers = compositeFromSeeds(Buffer.from(seeds))
    if (!numbers.publicValue.equals(publicValue))
      throw new KeyError('mismatch', 'ML-DSA-44 private key does not fit its public half')
    return numbers
  },
  writePrivate(writer, numbers, certified = false) {
    const { publicValue, seeds } = ownMaterial(numbers, 'mldsa44-ed25519')
    if (!certified) writer.string(publicValue)
    writer.string(seeds)
  },
  writePublic(writer, numbers) {
    writer.string(ownMaterial(numbers, 'mldsa44-ed25519').publicValue)
  },
  signer(numbers) {
    const { seeds } = ownMaterial(numbers, 'mldsa44-ed25519')
    const [latticeSeed, seed] = split(seeds, mldsa44.seedLength)
    const signEdwards = edwardsSigner('ed25519', { seed })
    return (_hash, data) => {
      const signed = representative(data)
      return Buffer.concat([mldsa44Sign(latticeSeed, signed, label), signEdwards(undefined, signed)])
    }
  },
  encodeSignature: signature => signature,
  owns: numbers => numbers.kind === 'mldsa44-ed25519',
}
