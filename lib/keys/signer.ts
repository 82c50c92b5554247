import { KeyError } from '../errors.ts'
import { certificateAlgorithmOf, signatureAlgorithmOf } from './algorithms.ts'
import type { Certificate } from './certificate.ts'
import { findFamily } from './families/index.ts'
import type { PrivateKey } from './private-key.ts'
import type { PublicKey } from './public-key.ts'
import type { X509Chain } from './x509/chain.ts'

/**
 * Anything that can sign with a public key it shows: a file key, an agent key, a certificate over either, a token.
 * User authentication, host keys, SSHSIG and certificate signing see nothing else.
 */
export interface Signer {
  readonly publicKey: PublicKey
  /** When set, it is shown to the peer instead of the bare key, under the `-cert-v01@openssh.com` algorithm names. */
  readonly certificate?: Certificate
  /** When set, these X.509 certificates are shown instead, under the one algorithm that they name. */
  readonly x509?: X509Chain
  /**
   * Public key algorithm names it can be used under, best first, as in RFC 8332 §3 and PROTOCOL.certkeys: for an RSA key
   * `rsa-sha2-512`, `rsa-sha2-256`, `ssh-rsa`; with a certificate, the certificate algorithm names.
   */
  readonly algorithms: readonly string[]
  /** What goes on the wire as "public key blob": the certificate's, else the key's. */
  readonly blob: Buffer
  /** From where it comes: a file's name, or the comment that the agent holds. For logs. */
  readonly comment: string
  /** How it came to be offered, as `-v` shows it: `explicit`, `agent`. */
  readonly origin?: string
  /**
   * Signs under one of `algorithms`; resolves to the encoded signature (string format, string bytes).
   * @throws KeyError | AgentError
   */
  sign(data: Buffer, algorithm: string): Promise<Buffer>
}

/** Whether it shows its bare key. */
export const isPlainSigner = ({ certificate, x509 }: Signer): boolean => !certificate && !x509

/** The algorithms under which a key of this type can sign: those that only others make left out. */
export const signingAlgorithms = ({ type }: PublicKey): readonly string[] =>
  findFamily(type)
    ?.algorithms.filter(({ verifyOnly }) => !verifyOnly)
    .map(({ name }) => name) ?? []

const certified = (algorithms: readonly string[]): readonly string[] =>
  algorithms.filter(name => !name.endsWith('@ssh.com')).map(certificateAlgorithmOf)

/** The algorithms under which a certificate of this key can be used. */
export const certificateAlgorithms = (key: PublicKey): readonly string[] => certified(signingAlgorithms(key))

/** The Signer of a private key in memory. */
export function keySigner(key: PrivateKey, comment: string = key.comment): Signer {
  const { publicKey } = key
  return {
    publicKey,
    algorithms: signingAlgorithms(publicKey),
    blob: publicKey.blob,
    comment,
    sign: async (data, algorithm) => key.sign(data, algorithm),
  }
}

/** A Signer whose private half is loaded, once, when it first has to sign (a passphrase may be asked for then). */
export function lazySigner(publicKey: PublicKey, comment: string, load: () => Promise<PrivateKey>): Signer {
  let loading: Promise<PrivateKey> | undefined
  return {
    publicKey,
    algorithms: signingAlgorithms(publicKey),
    blob: publicKey.blob,
    comment,
    async sign(data, algorithm) {
      loading ??= load()
      return (await loading).sign(data, algorithm)
    },
  }
}

/** The same Signer showing a certificate for its key. @throws KeyError `mismatch` when it is for another key */
export function certifiedSigner(signer: Signer, certificate: Certificate): Signer {
  if (!certificate.publicKey.equals(signer.publicKey))
    throw new KeyError('mismatch', 'certificate is for another key than the signer has')
  return {
    publicKey: signer.publicKey,
    certificate,
    algorithms: certified(signer.algorithms),
    blob: certificate.blob,
    comment: signer.comment,
    sign: (data, algorithm) => signer.sign(data, signatureAlgorithmOf(algorithm)),
  }
}
