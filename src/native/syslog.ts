import { loadLibc } from './ffi.ts'

/** Facilities of syslog(3) by the names of sshd_config(5). */
const facilities: Readonly<Record<string, number>> = {
  DAEMON: 3,
  USER: 1,
  AUTH: 4,
  AUTHPRIV: 10,
  ...Object.fromEntries(Array.from({ length: 8 }, (_, index) => [`LOCAL${index}`, 16 + index])),
}

/** Severities of syslog(3). */
export type Severity = 'crit' | 'error' | 'info' | 'debug'
const severities: Readonly<Record<Severity, number>> = { crit: 2, error: 3, info: 6, debug: 7 }

/** Include the process in each line; connect at once, so that a later change of root or user does not cut us off. */
const logPid = 1
const logNoDelay = 8

/**
 * Opens the system's log. `program` is what lines begin with.
 * @throws NativeError when the C library cannot be called
 */
export function openSyslog(program: string, facility: string): (severity: Severity, line: string) => void {
  const libc = loadLibc()
  const openlog = libc.func('void openlog(const void *ident, int options, int facility)')
  const syslog = libc.func('void syslog(int priority, const char *format, ...)')
  const strdup = libc.func('void *strdup(const char *text)')
  // openlog keeps the pointer: the text must stay where it is.
  openlog(strdup(program), logPid | logNoDelay, (facilities[facility] ?? 4) << 3)
  return (severity, line) => {
    syslog(severities[severity], '%s', 'str', line)
  }
}
