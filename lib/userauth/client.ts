import type { Signer } from '../keys/signer.ts'
import type { Transport } from '../transport/transport.ts'

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
  /** Text to show before authentication (RFC 4252 §5.4); already without control characters. */
  banner?(text: string): void
  /** Signature algorithms that may be used (PubkeyAcceptedAlgorithms), best first. */
  readonly signatureAlgorithms?: readonly string[]
  /** Password and keyboard-interactive rounds (NumberOfPasswordPrompts, default 3). */
  readonly passwordPrompts?: number
}

/** How it went. */
export interface ClientAuthentication {
  /** The method that ended it. */
  readonly method: string
  /** Every method that had partial or full success, in order. */
  readonly path: readonly string[]
}

/** A client's user authentication (RFC 4252): asks for the service, tries methods, survives partial success. */
export interface ClientAuthenticator {
  /** Messages of the layers `service` and `userauth`, from the Transport. */
  receive(number: number, payload: Buffer): void | Promise<void>
  /** Resolves once USERAUTH_SUCCESS came and `transport.authenticated()` was called. @throws AuthenticationError */
  run(transport: Transport): Promise<ClientAuthentication>
  closed(error: Error): void
}
