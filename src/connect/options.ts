import type { Duplex } from 'node:stream'
import type { ConnectionOptions } from '../../lib/connection/connection.ts'
import type { Log } from '../../lib/log.ts'
import type { Credentials } from '../../lib/userauth/credentials.ts'
import type { Ask } from '../identity/ask.ts'
import type { JumpHost } from '../openssh/forwarding.ts'
import type { SshConfig } from '../openssh/resolve-ssh-config.ts'

/** A byte stream to the host. */
export interface Way {
  readonly stream: Duplex
  /** Where it goes; undefined behind a proxy. */
  readonly address?: string
}

/** What a connection to a host is opened with. */
export interface OpenOptions {
  readonly config: SshConfig
  readonly log: Log
  /** Undefined when nobody can be asked. */
  readonly ask: Ask | undefined
  /** A line for the user: warnings and banners. */
  print(text: string): void
  readonly env: Readonly<Record<string, string | undefined>>
  /** More ways to prove who the user is, or other ones. */
  readonly credentials?: Partial<Credentials>
  /** Channels and global requests of the server that are answered, beside what the configuration asks for. */
  readonly connection?: Pick<ConnectionOptions, 'channelTypes' | 'globalRequests'>
  /** The configuration of a host on the way (ProxyJump), which is reached through `before`. Default: the usual files'. */
  hopConfig?(hop: JumpHost, before: readonly string[]): SshConfig | Promise<SshConfig>
  /** What `reach` gives for this configuration, when it was begun before the engine was there. */
  readonly way?: Promise<Way>
  /** Whether Ctrl-C gives up something else than the connection, and must not end a ProxyCommand. */
  readonly survivesInterrupts?: boolean | undefined
  /** How many hosts this one is away from the destination. */
  readonly hops?: number
}
