import { isatty } from 'node:tty'
import type { Log } from '../../lib/log.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import type { Invocation } from './command-line.ts'

/** Whether the session shall have a terminal (RequestTTY): by itself, a shell does when stdin is one. */
export function wantsTerminal(config: SshConfig, { command, stdioForward }: Invocation, log: Log): boolean {
  const { requestTTY, sessionType, stdinNull, remoteCommand } = config
  if (requestTTY === 'no' || stdioForward !== undefined) return false
  const isShell = command.length === 0 && remoteCommand === undefined && sessionType === 'default'
  const wanted = isShell || requestTTY === 'yes' || requestTTY === 'force'
  if (!wanted || requestTTY === 'force') return wanted
  if (isatty(0) && !stdinNull) return true
  log.info?.('Pseudo-terminal will not be allocated because stdin is not a terminal.')
  return false
}
