/**
 * Where log lines go. An absent method is a disabled level, so `log.debug3?.(...)` neither formats nor allocates when
 * the level is off. The levels are OpenSSH's (ssh_config(5), LogLevel); a line has no newline at its end.
 */
export interface Log {
  error(line: string): void
  info?(line: string): void
  verbose?(line: string): void
  debug1?(line: string): void
  debug2?(line: string): void
  debug3?(line: string): void
}

/** Says nothing: the default of the engine. */
export const silentLog: Log = { error() {} }
