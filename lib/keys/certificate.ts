import { KeyError } from '../errors.ts'
import type { PublicKey } from './public-key.ts'

/** An OpenSSH certificate (PROTOCOL.certkeys). */
export interface Certificate {
  /** Certificate type name as in the blob: `ssh-ed25519-cert-v01@openssh.com`. */
  readonly type: string
  readonly blob: Buffer
  readonly publicKey: PublicKey
  readonly kind: 'user' | 'host'
  readonly serial: bigint
  readonly keyId: string
  readonly principals: readonly string[]
  /** Seconds since 1970; valid from this second on, and before `validBefore`. */
  readonly validAfter: bigint
  readonly validBefore: bigint
  /** Name to data, in the certificate's order. */
  readonly criticalOptions: ReadonlyMap<string, Buffer>
  readonly extensions: ReadonlyMap<string, Buffer>
  readonly signatureKey: PublicKey
}

/**
 * Reads a certificate blob.
 * @throws KeyError `unsupported`: certificates are neither offered nor accepted by this release
 */
export function parseCertificate(_blob: Buffer): Certificate {
  throw new KeyError('unsupported', 'certificates are not supported')
}
