import { keyFamilies } from './families/index.ts'

export { defaultPlainSignatureAlgorithms, defaultSignatureAlgorithms } from '../algorithms/signature.ts'

const certificateSuffix = '-cert-v01@openssh.com'
const vendorSuffix = '@openssh.com'
const x509Prefix = 'x509v3-'

/** Of RSA with SHA-256, X.509 certificates have a name of their own (RFC 6187 §3.3). */
const x509RsaFormat = 'rsa2048-sha256'
const x509RsaAlgorithm = 'rsa-sha2-256'

/** Types of keys that X.509 certificates are for. */
const x509KeyTypes = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
  'ssh-ed448',
  'ecdsa-sha2-1.3.132.0.10',
  'ssh-dss',
]

/** The algorithms under which a key of this type is shown with X.509 certificates, best first. */
export const x509AlgorithmsOf = (keyType: string): readonly string[] =>
  x509KeyTypes.includes(keyType)
    ? [...(keyType === 'ssh-rsa' ? [x509Prefix + x509RsaFormat] : []), x509Prefix + keyType]
    : []

/** Whether OpenSSH's certificates are shown under it (PROTOCOL.certkeys). */
export const isCertificateAlgorithm = (algorithm: string): boolean => algorithm.endsWith(certificateSuffix)

/** Whether X.509 certificates are shown under it (RFC 6187). */
export const isX509Algorithm = (algorithm: string): boolean => algorithm.startsWith(x509Prefix)

/** Whether the bare key is shown under it. */
export const isPlainAlgorithm = (algorithm: string): boolean =>
  !isCertificateAlgorithm(algorithm) && !isX509Algorithm(algorithm)

/** The name for a certificate: `ssh-ed25519-cert-v01@openssh.com`. A type with a vendor ending keeps only one. */
export const certificateAlgorithmOf = (algorithm: string): string =>
  (algorithm.endsWith(vendorSuffix) ? algorithm.slice(0, -vendorSuffix.length) : algorithm) + certificateSuffix

const plainSignatureAlgorithms: readonly string[] = keyFamilies.flatMap(({ algorithms }) =>
  algorithms.map(({ name }) => name),
)

/** The name that stands in a signature under a public key algorithm. */
export const signatureFormatOf = (algorithm: string): string =>
  isX509Algorithm(algorithm) ? algorithm.slice(x509Prefix.length) : signatureAlgorithmOf(algorithm)

/** The signature algorithm of the key under a public key algorithm: a certificate's name without its ending. */
export function signatureAlgorithmOf(algorithm: string): string {
  if (isX509Algorithm(algorithm)) {
    const format = signatureFormatOf(algorithm)
    return format === x509RsaFormat ? x509RsaAlgorithm : format
  }
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
  ...x509KeyTypes.flatMap(x509AlgorithmsOf),
]
