import { appendFileSync, openSync, writeSync } from 'node:fs'
import type { Log } from '../../lib/log.ts'

/** LogLevel of ssh_config(5), quietest first. */
export const logLevels = ['QUIET', 'FATAL', 'ERROR', 'INFO', 'VERBOSE', 'DEBUG1', 'DEBUG2', 'DEBUG3'] as const
export type LogLevel = (typeof logLevels)[number]

/** The level that `-v` given `count` times asks for, when the configuration says `base`. */
export function raisedLevel(base: LogLevel, count: number): LogLevel {
  if (count === 0) return base
  return logLevels[Math.min(logLevels.indexOf('INFO') + 1 + count, logLevels.length - 1)]!
}

export type LineSink = (line: string) => void

/** Lines to stderr, written at once, with CR LF while a terminal is raw (so that lines do not stair-step). */
export function stderrSink(isRaw: () => boolean = () => false): LineSink {
  return line => {
    try {
      writeSync(2, `${line}${isRaw() ? '\r\n' : '\n'}`)
    } catch {
      // stderr is gone or full: a log line is not worth more.
    }
  }
}

/** Lines appended to a file (`-E`), created 0600. @throws when it cannot be opened. */
export function fileSink(path: string): LineSink {
  const fd = openSync(path, 'a', 0o600)
  return line => {
    try {
      appendFileSync(fd, `${line}\n`)
    } catch {
      // as above
    }
  }
}

/** A Log that passes lines up to `level` to `sink`, with OpenSSH's prefixes (`debug1: `). */
export function createLog(level: LogLevel, sink: LineSink): Log {
  const rank = logLevels.indexOf(level)
  const enabled = (name: LogLevel) => rank >= logLevels.indexOf(name)
  return {
    error: line => {
      if (enabled('ERROR')) sink(line)
    },
    ...(enabled('INFO') && { info: sink }),
    ...(enabled('VERBOSE') && { verbose: sink }),
    ...(enabled('DEBUG1') && { debug1: (line: string) => sink(`debug1: ${line}`) }),
    ...(enabled('DEBUG2') && { debug2: (line: string) => sink(`debug2: ${line}`) }),
    ...(enabled('DEBUG3') && { debug3: (line: string) => sink(`debug3: ${line}`) }),
  }
}
