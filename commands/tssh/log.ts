import { AuthenticationError, HostKeyError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import {
  createLog,
  fileSink,
  type LeveledLog,
  type LineSink,
  levelNamed,
  raisedLevel,
  stderrSink,
} from '../../src/command/stderr-log.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import type { Invocation } from './command-line.ts'

/** Whether lines go to a raw terminal, where a line feed alone does not return the carriage. */
export const terminalState: { mode: 'cooked' | 'raw' } = { mode: 'cooked' }

let sink: LineSink | undefined

function sinkOf({ logFile }: Invocation): LineSink {
  if (logFile === undefined) return stderrSink(() => terminalState.mode === 'raw')
  try {
    return fileSink(logFile)
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    throw new CommandError(
      `Couldn't open logfile ${logFile}: ${missing ? 'No such file or directory' : 'Permission denied'}`,
      1,
    )
  }
}

/** Says why the command fails where everything else is said: in the file of -E, and nowhere with -q. @returns its exit status */
export function tellFailure({ message, exitStatus, cause }: CommandError, log: LeveledLog): number {
  // What ssh dies of is told also where mere errors are not (LogLevel FATAL).
  const isFatal = cause instanceof AuthenticationError || cause instanceof HostKeyError
  if (message) for (const line of message.split('\n')) log[isFatal ? 'fatal' : 'error'](line)
  return exitStatus
}

/** What is logged while the configuration is not known yet. */
export function earlyLog(invocation: Invocation): Log {
  if (invocation.verbosity === 0) return { error: line => process.stderr.write(`${line}\n`) }
  sink ??= sinkOf(invocation)
  return createLog(raisedLevel('INFO', invocation.verbosity), sink)
}

/** The log that the configuration and the flags ask for. @throws CommandError when it cannot be written */
export async function logOf(invocation: Invocation, config: SshConfig): Promise<LeveledLog> {
  if (invocation.logToSyslog) {
    const { syslogSink } = await import('../../src/command/syslog.ts')
    sink = syslogSink('tssh', config.syslogFacility)
  }
  sink ??= sinkOf(invocation)
  // OpenSSH's patterns name places of its own source; the one that names them all is understood.
  const all = config.logVerbose.some(pattern => /^[*:]+$/.test(pattern))
  const log = createLog(all ? 'DEBUG3' : raisedLevel(levelNamed(config.logLevel), invocation.verbosity), sink)
  if (!all && config.logVerbose.length > 0)
    log.info?.('Warning: LogVerbose names places in the source of OpenSSH, which tssh has not; only * has an effect.')
  return log
}
