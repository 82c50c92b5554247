import { createRequire } from 'node:module'

/** What an agent asks of the kernel beyond what Node offers. Works on Linux with the optional package koffi; else not at all. */
export interface AgentProtection {
  /** The user id of the process at the other end of a UNIX socket; undefined when the kernel does not say. */
  peerUid(descriptor: number): number | undefined
  /** Refuses core dumps of this process, and debuggers of the same user. @returns whether it worked */
  refuseTracing(): boolean
}

/** Linux: SOL_SOCKET and SO_PEERCRED; PR_SET_DUMPABLE. */
const socketLevel = 1
const peerCredentials = 17
const setDumpable = 4
/** struct ucred: pid, uid and gid. */
const credentialsLength = 12

/** @returns undefined where there is none */
export function loadAgentProtection(): AgentProtection | undefined {
  if (process.platform !== 'linux') return undefined
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi').default
    const libc = koffi.load(null)
    const getsockopt = libc.func('int getsockopt(int, int, int, _Out_ uint8_t *, _Inout_ uint32_t *)')
    const prctl = libc.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)')
    return {
      peerUid(descriptor) {
        const credentials = Buffer.alloc(credentialsLength)
        const length = Uint32Array.of(credentialsLength)
        const failed = getsockopt(descriptor, socketLevel, peerCredentials, credentials, length) !== 0
        return failed || length[0] !== credentialsLength ? undefined : credentials.readUInt32LE(4)
      },
      refuseTracing: () => prctl(setDumpable, 0, 0, 0, 0) === 0,
    }
  } catch {
    return undefined
  }
}
