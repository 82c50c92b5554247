import { KeyError } from '../../errors.ts'
import { signatureAlgorithmOf, signatureFormatOf, x509AlgorithmsOf } from '../algorithms.ts'
import type { Signer } from '../signer.ts'
import type { X509Certificate } from './certificate.ts'
import { isLongEnough, makeX509Chain, withFormat } from './chain.ts'

/**
 * The same Signer showing X.509 certificates for its key, its own first; one for each algorithm, as each names itself in what
 * it shows. @throws KeyError `mismatch` when they are for another key
 */
export function x509Signers(signer: Signer, certificates: readonly X509Certificate[]): Signer[] {
  const { publicKey, comment } = signer
  if (!certificates[0]?.publicKey.equals(publicKey))
    throw new KeyError('mismatch', 'certificate is for another key than the signer has')
  return x509AlgorithmsOf(publicKey.type).flatMap(algorithm => {
    const own = signatureAlgorithmOf(algorithm)
    if (!isLongEnough(algorithm, publicKey) || !signer.algorithms.includes(own)) return []
    const x509 = makeX509Chain(algorithm, certificates)
    const sign = async (data: Buffer) => withFormat(await signer.sign(data, own), signatureFormatOf(algorithm))
    return [{ publicKey, x509, algorithms: [algorithm], blob: x509.blob, comment, sign }]
  })
}
