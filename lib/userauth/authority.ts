import type { Certificate } from '../keys/certificate.ts'
import type { VerifyOptions } from '../keys/families/family.ts'
import type { PublicKey } from '../keys/public-key.ts'
import type { X509Chain } from '../keys/x509/chain.ts'
import type { AuthPrompt } from './credentials.ts'
import type { Permissions } from './permissions.ts'

/** The outcome of one method. `partial` is decided by the engine from `requiredMethods`. */
export type Verdict =
  | { readonly accepted: false }
  | {
      readonly accepted: true
      readonly permissions?: Permissions
      /** What the signature of a security key must say. Default: that it was touched. */
      readonly signature?: VerifyOptions
    }

/** How one attempt went, for the log of a server. */
export interface AuthenticationAttempt {
  readonly user: string
  readonly method: string
  /** `postponed`: a key that may log in was asked about; its signature is still to come. */
  readonly outcome: 'accepted' | 'partial' | 'failed' | 'postponed'
  /** The key that was shown, and its certificates; not necessarily proved. */
  readonly publicKey?: PublicKey
  readonly certificate?: Certificate
  readonly x509?: X509Chain
  /** Failures so far, this one included. */
  readonly failures: number
}

/** A conversation of keyboard-interactive on the server. */
export interface KeyboardInteractiveDialogue {
  ask(name: string, instruction: string, prompts: readonly AuthPrompt[]): Promise<readonly string[]>
}

/**
 * What a server asks about a user. It must take the same time and give the same answers for invented users as for real
 * ones. A method is offered only when its function is there.
 */
export interface Authority {
  /** Called at the first request of a user and when the user name changes. @throws to disconnect. */
  begin?(user: string): void | Promise<void>
  none?(user: string): Promise<Verdict>
  password?(user: string, password: string): Promise<Verdict | { readonly changeRequired: string }>
  /** A new password together with the old one (RFC 4252 §8). */
  changePassword?(user: string, oldPassword: string, newPassword: string): Promise<Verdict>
  /**
   * Whether this key may log in as `user`; asked for the query and again before the signature is verified. Of a
   * certificate only this is known: its authority signed it, under an algorithm that is allowed. Who names that authority
   * calls `checkCertificate` too. Of X.509 certificates nothing is known but that the first has this key: who trusts their
   * authority calls `checkX509Chain`.
   */
  publicKey?(
    user: string,
    key: PublicKey,
    certificate: Certificate | undefined,
    algorithm: string,
    x509?: X509Chain,
  ): Promise<Verdict>
  keyboardInteractive?(user: string, dialogue: KeyboardInteractiveDialogue, submethods: string): Promise<Verdict>
}

export interface ServerAuthenticationOptions {
  readonly authority: Authority
  /** Lists of methods of which one has to be completed in order (AuthenticationMethods); default: any one method. */
  readonly requiredMethods?: readonly (readonly string[])[]
  /** Failed attempts before DISCONNECT (MaxAuthTries, default 6). The first `none` does not count. */
  readonly maxAttempts?: number
  /** Shown before the first answer. */
  readonly banner?: string
  /** Signature algorithms taken from users, best first. */
  readonly signatureAlgorithms: readonly string[]
  /** Under which a certificate's authority may have signed (CASignatureAlgorithms). Default: all but SHA-1. */
  readonly authorityAlgorithms?: readonly string[]
  /** RSA keys of users below this many bits are refused (RequiredRSASize, default 1024). */
  readonly requiredRsaBits?: number
  /** Takes note of each attempt; without it, failures are logged by their method and user alone. */
  attempted?(attempt: AuthenticationAttempt): void
  /** Asked at the first request, once: what of these options is different for this user. @throws to disconnect. */
  forUser?(user: string): UserOptions | Promise<UserOptions>
  /** Called before the pump takes the next packet, so that what follows a login finds its connection. */
  authenticated?(login: ServerAuthentication): void
}

/** What may depend on the user. What is absent stays as it was. */
export type UserOptions = Partial<
  Pick<
    ServerAuthenticationOptions,
    | 'authority'
    | 'requiredMethods'
    | 'maxAttempts'
    | 'banner'
    | 'signatureAlgorithms'
    | 'authorityAlgorithms'
    | 'requiredRsaBits'
    | 'attempted'
  >
>

export interface ServerAuthentication {
  readonly user: string
  readonly method: string
  /** What proved the user: the key or certificate of the last public key method that succeeded. */
  readonly publicKey?: PublicKey
  readonly certificate?: Certificate
  readonly x509?: X509Chain
  readonly permissions: Permissions
}
