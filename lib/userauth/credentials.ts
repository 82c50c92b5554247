import type { FingerprintHash } from '../keys/fingerprint.ts'
import type { Signer } from '../keys/signer.ts'

/** One question of keyboard-interactive (RFC 4256 §3.2). */
export interface AuthPrompt {
  readonly text: string
  readonly echo: boolean
}

/** What a client can prove itself with. Each is asked only when its method's turn comes. */
export interface Credentials {
  readonly user: string
  /** Method names in the order to try them (PreferredAuthentications). */
  readonly methods: readonly string[]
  /** Keys in the order to offer them; an async iterable so that files and agents are read only when needed. */
  signers?(): AsyncIterable<Signer> | Iterable<Signer>
  /** A password, or undefined to give the method up. `attempt` counts from 1. */
  password?(attempt: number): Promise<string | undefined>
  /** A new password, when the server says that it expired (RFC 4252 §8). */
  newPassword?(prompt: string): Promise<{ old: string; new: string } | undefined>
  /** Answers, one per prompt, or undefined to give the method up. */
  keyboardInteractive?(name: string, instruction: string, prompts: readonly AuthPrompt[]): Promise<string[] | undefined>
  /** Which devices the server should ask with (RFC 4256, 3.1), separated by commas. Default: its choice. */
  readonly keyboardInteractiveSubmethods?: string
  /** Text to show before authentication (RFC 4252 §5.4); already without control characters. */
  banner?(text: string): void
  /** Signature algorithms that may be used (PubkeyAcceptedAlgorithms), best first. */
  readonly signatureAlgorithms?: readonly string[]
  /** For the keys that the log names (FingerprintHash). */
  readonly fingerprintHash?: FingerprintHash
  /** Signs with each key at once instead of asking first whether the server takes it: a round trip less. */
  readonly signWithoutQuery?: boolean
  /** Password and keyboard-interactive rounds (NumberOfPasswordPrompts, default 3). */
  readonly passwordPrompts?: number
}
