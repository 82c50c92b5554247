import type { Signer } from '../../lib/keys/signer.ts'
import type { LeveledLog, LogLevel } from '../../src/command/stderr-log.ts'
import type { Account } from '../../src/net/accounts.ts'
import type { SshdConfig } from '../../src/openssh/resolve-sshd-config.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import type { PasswordSource } from './passwords.ts'

/** What every connection of a server is served with. */
export interface Host {
  readonly config: SshdConfig
  readonly hostKeys: readonly Signer[]
  /** Root serves every user of the machine; anybody else the own account only. */
  readonly service: 'everyone' | Account
  readonly passwords: PasswordSource
  readonly log: LeveledLog
  /** A log into the same place whose level is its own: that of the configuration at first. */
  newLog(): LeveledLog
  /** `Last login: …` for a user, where the system keeps records of logins. */
  lastLogin(account: Account): string | undefined
  /** The level that these options ask for, under what the command line says. */
  levelOf(options: SshdOptions): LogLevel
}
