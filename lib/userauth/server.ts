import type { Certificate } from '../keys/certificate.ts'
import type { PublicKey } from '../keys/public-key.ts'
import type { AuthPrompt } from './client.ts'

/** What a login may do: from authorized_keys options and certificate extensions, the stricter rule of each. */
export interface Permissions {
  readonly forceCommand?: string
  readonly environment?: ReadonlyMap<string, string>
  readonly pty?: boolean
  readonly userRc?: boolean
  readonly x11Forwarding?: boolean
  readonly agentForwarding?: boolean
  readonly portForwarding?: boolean
  readonly permitOpen?: readonly string[]
  readonly permitListen?: readonly string[]
  readonly tunnel?: number
}

/** The outcome of one method. `partial` is decided by the engine from `requiredMethods`. */
export type Verdict = { readonly accepted: false } | { readonly accepted: true; readonly permissions?: Permissions }

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
  /** Whether this key (with its certificate) may log in as `user`; asked for the query and again before `verify`. */
  publicKey?(user: string, key: PublicKey, certificate: Certificate | undefined, algorithm: string): Promise<Verdict>
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
}

export interface ServerAuthentication {
  readonly user: string
  readonly method: string
  /** What proved the user: the key or certificate of a public key login. */
  readonly publicKey?: PublicKey
  readonly certificate?: Certificate
  readonly permissions: Permissions
}
