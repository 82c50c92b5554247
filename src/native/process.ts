import { constants } from 'node:os'
import { foreignFunctions, loadLibc, NativeError } from './ffi.ts'

/** Makes `path` the root directory of this process. Its working directory is to be changed next. @throws NativeError */
export function changeRoot(path: string): void {
  const chroot = loadLibc().func('int chroot(const char *path)')
  if (chroot(path) !== 0) throw new NativeError(`chroot("${path}"): ${errorName()}`)
}

/** Socket levels and options of Linux, as sshd uses them. */
const ipv4 = { level: 0, trafficClass: 1 } as const
const ipv6 = { level: 41, trafficClass: 67 } as const

/** Sets the type of service of a TCP connection's packets (IPQoS). @returns whether the system took it */
export function setTrafficClass(descriptor: number, family: 'ipv4' | 'ipv6', value: number): boolean {
  const { level, trafficClass } = family === 'ipv4' ? ipv4 : ipv6
  const setsockopt = loadLibc().func('int setsockopt(int fd, int level, int name, const int *value, uint32_t length)')
  return setsockopt(descriptor, level, trafficClass, [value], 4) === 0
}

const setDescriptorFlags = 2
const closeOnExecFlag = 1

/**
 * Keeps a descriptor from the programs that are started from now on (FD_CLOEXEC). Where there is no C library to call,
 * nothing happens.
 */
export function closeOnExec(descriptor: number): void {
  try {
    loadLibc().func('int fcntl(int fd, int command, ...)')(descriptor, setDescriptorFlags, 'int', closeOnExecFlag)
  } catch (error) {
    if (!(error instanceof NativeError)) throw error
  }
}

function errorName(): string {
  const number = foreignFunctions().errno()
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `error ${number}`
}
