import { appendFileSync, openSync, writeSync } from 'node:fs'
import type { Log } from '../../lib/log.ts'

/** LogLevel of ssh_config(5), quietest first. */
export const logLevels = ['QUIET', 'FATAL', 'ERROR', 'INFO', 'VERBOSE', 'DEBUG1', 'DEBUG2', 'DEBUG3'] as const
export type LogLevel = (typeof logLevels)[number]

/** LogLevel as configurations name it: DEBUG is DEBUG1. */
export const levelNamed = (name: LogLevel | 'DEBUG'): LogLevel => (name === 'DEBUG' ? 'DEBUG1' : name)

/** The level that `-v` given `count` times asks for, when the configuration says `base`. */
export function raisedLevel(base: LogLevel, count: number): LogLevel {
  if (count === 0) return base
  return logLevels[Math.min(logLevels.indexOf('INFO') + 1 + count, logLevels.length - 1)]!
}

/** Takes a finished line; the level is for sinks that keep it apart. */
export type LineSink = (line: string, level: LogLevel) => void

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

/** A Log whose level can be changed while it is in use. */
export interface LeveledLog extends Log {
  level: LogLevel
  /** What a command ends with, unless it is to be QUIET. */
  fatal(line: string): void
  /** A log to the same place, with a level of its own. */
  another(): LeveledLog
}

type Line = (line: string) => void

/** One function for each method of a Log, which all logs of a sink share. */
type Lines = Readonly<Record<keyof typeof methods, Line>>

const methods = {
  fatal: ['', 'FATAL'],
  error: ['', 'ERROR'],
  info: ['', 'INFO'],
  verbose: ['', 'VERBOSE'],
  debug1: ['debug1: ', 'DEBUG1'],
  debug2: ['debug2: ', 'DEBUG2'],
  debug3: ['debug3: ', 'DEBUG3'],
} as const

const silent: Line = () => {}

class SharedLinesLog {
  fatal: Line = silent
  error: Line = silent
  info: Line | undefined
  verbose: Line | undefined
  debug1: Line | undefined
  debug2: Line | undefined
  debug3: Line | undefined
  readonly #lines: Lines
  #rank = 0

  constructor(level: LogLevel, lines: Lines) {
    this.#lines = lines
    this.level = level
  }

  get level(): LogLevel {
    return logLevels[this.#rank]!
  }

  set level(wanted: LogLevel) {
    this.#rank = logLevels.indexOf(wanted)
    const line = (method: keyof Lines): Line | undefined =>
      this.#rank < logLevels.indexOf(methods[method][1]) ? undefined : this.#lines[method]
    this.fatal = line('fatal') ?? silent
    this.error = line('error') ?? silent
    this.info = line('info')
    this.verbose = line('verbose')
    this.debug1 = line('debug1')
    this.debug2 = line('debug2')
    this.debug3 = line('debug3')
  }

  another(): LeveledLog {
    return new SharedLinesLog(this.level, this.#lines) as LeveledLog
  }
}

/** A Log that passes lines up to `level` to `sink`, with OpenSSH's prefixes (`debug1: `). */
export function createLog(level: LogLevel, sink: LineSink): LeveledLog {
  const lines = Object.fromEntries(
    Object.entries(methods).map(([method, [prefix, own]]) => [method, (line: string) => sink(`${prefix}${line}`, own)]),
  ) as Lines
  return new SharedLinesLog(level, lines) as LeveledLog
}
