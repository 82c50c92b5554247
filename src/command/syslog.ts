import { spawn } from 'node:child_process'
import { NativeError } from '../native/ffi.ts'
import { openSyslog, type Severity } from '../native/syslog.ts'
import type { LineSink, LogLevel } from './stderr-log.ts'

const severityOf = (level: LogLevel): Severity => {
  if (level === 'FATAL') return 'crit'
  if (level === 'ERROR') return 'error'
  return level.startsWith('DEBUG') ? 'debug' : 'info'
}

/** Words that sshd puts before a line in the system's log. */
const prefixes: Partial<Record<LogLevel, string>> = { FATAL: 'fatal: ', ERROR: 'error: ' }

/** Longest line, in characters; longer ones are cut, as sshd does. */
const lineLimit = 1024

/**
 * Lines to the system's log: by syslog(3) where the C library can be called, by logger(1) otherwise.
 * @throws never: a system without a log drops the lines
 */
export function syslogSink(program: string, facility: string): LineSink {
  const write = openLog(program, facility)
  return (line, level) => write(severityOf(level), `${prefixes[level] ?? ''}${line}`.slice(0, lineLimit))
}

function openLog(program: string, facility: string): (severity: Severity, line: string) => void {
  try {
    return openSyslog(program, facility)
  } catch (error) {
    if (!(error instanceof NativeError)) throw error
  }
  return (severity, line) => {
    const priority = `${facility.toLowerCase()}.${severity === 'error' ? 'err' : severity}`
    const logger = spawn('logger', ['-t', `${program}[${process.pid}]`, '-p', priority, '--', line], {
      stdio: 'ignore',
    })
    logger.on('error', () => {})
  }
}
