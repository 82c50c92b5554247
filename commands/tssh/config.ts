import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { homedir } from 'node:os'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { loadHostConfig } from '../../src/connect/host-config.ts'
import { ConfigError } from '../../src/openssh/errors.ts'
import type { LoadSshConfigOptions } from '../../src/openssh/load.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import { expandTilde } from '../../src/openssh/tokens.ts'
import type { Invocation } from './command-line.ts'

/** Runs a `Match exec` as ssh does: by a shell, its output dropped. */
const exec = (line: string): number | undefined =>
  spawnSync(process.env['SHELL'] || '/bin/sh', ['-c', line], { stdio: ['ignore', 'ignore', 'inherit'] }).status ??
  undefined

/** What of the command line also counts for hosts on the way. */
export const inherited = (
  { configFile }: Invocation,
  log: Log,
): Pick<LoadSshConfigOptions, 'file' | 'exec' | 'log'> => ({
  file: configFile,
  exec,
  log,
})

/** The configuration for the destination of a command line. @throws ConfigError, CommandError */
export async function resolveConfig(invocation: Invocation, log: Log): Promise<SshConfig> {
  const { host, user, command, stdioForward } = invocation
  try {
    return await loadHostConfig({
      ...inherited(invocation, log),
      host,
      user,
      options: [...invocation.options, ...identityOptions(invocation.identityFiles)],
      command: command.join(' '),
      stdioForward: stdioForward !== undefined,
    })
  } catch (error) {
    throw error instanceof ConfigError
      ? new CommandError(asFlag(error.message, invocation), 255, { cause: error })
      : error
  }
}

/** ssh names the flag's value alone where `-c` and `-m` are wrong. */
const asFlag = (message: string, { options }: Invocation): string =>
  message.replace(/^command-line line 0: Bad SSH2 (cipher|MAC) spec ('.*')\.$/, (line, kind: string, value: string) =>
    options.includes(`${kind === 'MAC' ? 'MACs' : 'Ciphers'} ${value.slice(1, -1)}`)
      ? `Unknown ${kind.toLowerCase()} type ${value}`
      : line,
  )

/** `-i` is for files that are there; another one is warned of, and the usual ones stay in use. */
function identityOptions(files: readonly string[]): string[] {
  return files.flatMap(file => {
    const path = expandTilde(file, { home: homedir() })
    if (statSync(path, { throwIfNoEntry: false })) return [`IdentityFile "${path}"`]
    process.stderr.write(`Warning: Identity file ${path} not accessible: No such file or directory.\n`)
    return []
  })
}
