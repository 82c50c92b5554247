import type { LeveledLog } from '../../src/command/stderr-log.ts'
import type { Forwards } from '../../src/connect/forwards.ts'
import type { OpenedConnection } from '../../src/connect/open.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import type { Invocation } from './command-line.ts'
import type { Prompts } from './prompts.ts'

/** A session that is to run, and all it needs. */
export interface SessionRun {
  readonly opened: OpenedConnection
  readonly config: SshConfig
  readonly invocation: Invocation
  /** Whether to ask for a terminal. */
  readonly terminal: boolean
  readonly prompts: Prompts
  /** What goes through the connection beside the session, if anything does. */
  readonly forwards: Forwards | undefined
  readonly log: LeveledLog
  readonly env: Readonly<Record<string, string | undefined>>
}
