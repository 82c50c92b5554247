import { constants } from 'node:os'
import { foundOnce } from '../../lib/found-once.ts'
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

interface DescriptorCalls {
  fcntl(descriptor: number, command: number, type: 'int', value: number): number
  pipe(ends: number[]): number
}

/** Undefined where there is no C library to call. */
const callsOnDescriptors = foundOnce(bindCalls)

function bindCalls(): DescriptorCalls | undefined {
  try {
    const libc = loadLibc()
    return {
      fcntl: libc.func('int fcntl(int fd, int command, ...)'),
      pipe: libc.func('int pipe(_Out_ int *ends)'),
    }
  } catch {
    return undefined
  }
}

/**
 * Keeps a descriptor from the programs that are started from now on (FD_CLOEXEC). Where there is no C library to call,
 * nothing happens.
 */
export function closeOnExec(descriptor: number): void {
  callsOnDescriptors()?.fcntl(descriptor, setDescriptorFlags, 'int', closeOnExecFlag)
}

/** Whether `openPipe` gives pipes. The first call loads the C library, which takes some milliseconds. */
export const hasPipes = (): boolean => callsOnDescriptors() !== undefined

/** F_SETPIPE_SZ of Linux. */
const setPipeSize = 1031

/** Has a pipe hold up to so many bytes, where the system can do that and lets this user. */
export function resizePipe(descriptor: number, bytes: number): void {
  if (process.platform === 'linux') callsOnDescriptors()?.fcntl(descriptor, setPipeSize, 'int', bytes)
}

/** The descriptors of a pipe. */
export interface Pipe {
  readonly readEnd: number
  readonly writeEnd: number
}

/**
 * A pipe whose ends no program inherits that is not given them. Only for the thread that starts programs. Undefined where
 * there is no C library to call. @throws NativeError when the system has none left
 */
export function openPipe(): Pipe | undefined {
  const calls = callsOnDescriptors()
  if (!calls) return undefined
  const ends = [-1, -1]
  if (calls.pipe(ends) !== 0) throw new NativeError(`pipe: ${errorName()}`)
  const [readEnd, writeEnd] = ends as [number, number]
  closeOnExec(readEnd)
  closeOnExec(writeEnd)
  return { readEnd, writeEnd }
}

function errorName(): string {
  const number = foreignFunctions().errno()
  return Object.entries(constants.errno).find(([, value]) => value === number)?.[0] ?? `error ${number}`
}
