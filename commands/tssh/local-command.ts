import { spawn } from 'node:child_process'
import type { Log } from '../../lib/log.ts'
import { expandConfigCommand, type SshConfig } from '../../src/openssh/resolve-ssh-config.ts'

/** LocalCommand: what the configuration asks for, its tokens replaced. */
export function runLocalCommand(config: SshConfig, command: string, log: Log): Promise<void> {
  const line = expandConfigCommand(config, command, { T: 'NONE' })
  log.debug1?.(`Executing local command: '${line}'`)
  return runByShell(config, line)
}

/** Runs a command of this machine by the user's shell, to its end. What it returns does not matter. */
export function runByShell(config: SshConfig, line: string): Promise<void> {
  const shell = config.env['SHELL'] || '/bin/sh'
  return new Promise(resolve => {
    const child = spawn(shell, ['-c', line], { stdio: 'inherit' })
    child.on('error', () => resolve())
    child.on('close', () => resolve())
  })
}
