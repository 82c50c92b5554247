import { keyFamilies } from './families/index.ts'

export { defaultPlainSignatureAlgorithms, defaultSignatureAlgorithms } from '../algorithms/signature.ts'

const certificateSuffix = '-cert-v01@openssh.com'
const vendorSuffix = '@openssh.com'

export const isCertificateAlgorithm = (algorithm: string): boolean => algorithm.endsWith(certificateSuffix)

/** The name for a certificate: `ssh-ed25519-cert-v01@openssh.com`. A type with a vendor ending keeps only one. */
export const certificateAlgorithmOf = (algorithm: string): string =>
  (algorithm.endsWith(vendorSuffix) ? algorithm.slice(0, -vendorSuffix.length) : algorithm) + certificateSuffix

const plainSignatureAlgorithms: readonly string[] = keyFamilies.flatMap(({ algorithms }) =>
  algorithms.map(({ name }) => name),
)

/** The signature algorithm under a public key algorithm: a certificate's name without its ending. */
export function signatureAlgorithmOf(algorithm: string): string {
  if (!isCertificateAlgorithm(algorithm)) return algorithm
  const name = algorithm.slice(0, -certificateSuffix.length)
  return plainSignatureAlgorithms.includes(name + vendorSuffix) ? name + vendorSuffix : name
}

/** The key type that an algorithm belongs to: `ssh-rsa` for `rsa-sha2-512`. */
export const keyTypeOf = (algorithm: string): string | undefined =>
  keyFamilies.find(({ algorithms }) => algorithms.some(({ name }) => name === signatureAlgorithmOf(algorithm)))?.type

/** Whether certificates of this algorithm exist: ssh.com's names have none. */
const certifiable = (name: string): boolean => !name.endsWith('@ssh.com')

/** Every public key algorithm name there is, plain and for certificates. */
export const allSignatureAlgorithms: readonly string[] = [
  ...plainSignatureAlgorithms.filter(certifiable).map(certificateAlgorithmOf),
  ...plainSignatureAlgorithms,
]
