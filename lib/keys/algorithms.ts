import { keyFamilies } from './families/index.ts'

const certificateSuffix = '-cert-v01@openssh.com'

export const isCertificateAlgorithm = (algorithm: string): boolean => algorithm.endsWith(certificateSuffix)

/** The signature algorithm under a public key algorithm: a certificate's name without its ending. */
export const signatureAlgorithmOf = (algorithm: string): string =>
  isCertificateAlgorithm(algorithm) ? algorithm.slice(0, -certificateSuffix.length) : algorithm

/** The key type that an algorithm belongs to: `ssh-rsa` for `rsa-sha2-512`. */
export const keyTypeOf = (algorithm: string): string | undefined =>
  keyFamilies.find(({ algorithms }) => algorithms.some(({ name }) => name === signatureAlgorithmOf(algorithm)))?.type

/** Every signature algorithm there is. */
export const allSignatureAlgorithms: readonly string[] = keyFamilies.flatMap(({ algorithms }) =>
  algorithms.map(({ name }) => name),
)

/** What is taken and used by default: all but SHA-1. */
export const defaultSignatureAlgorithms: readonly string[] = allSignatureAlgorithms.filter(name => name !== 'ssh-rsa')
