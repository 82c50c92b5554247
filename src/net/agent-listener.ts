import { chmodSync, existsSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { uptime } from 'node:os'
import { dirname } from 'node:path'
import type { AgentClock, Keyring } from '../../lib/agent/keyring.ts'
import { serveAgent } from '../../lib/agent/server.ts'
import { AgentError, messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { AgentProtection } from '../native/agent-protection.ts'
import { stdioStream } from './stdio-stream.ts'
import { isSocketPath } from './unix-listener.ts'

/** Most clients at once. */
const connectionLimit = 1024
/** Longest delay that a Node timer takes, in milliseconds. */
const timerLimit = 0x7fff_ffff

/** The machine's clocks. `uptime` also counts while the machine sleeps, which process.hrtime does not. */
export const systemClock: AgentClock = {
  now: uptime,
  wallTime: () => BigInt(Math.floor(Date.now() / 1000)),
  after(seconds, action) {
    const timer = setTimeout(action, Math.min(seconds * 1000, timerLimit))
    // What waits for its time does not keep a process alive; the socket does.
    timer.unref()
    return () => clearTimeout(timer)
  },
}

export interface AgentListenOptions {
  readonly keyring: Keyring
  readonly log: Log
  /** Where to listen, or the number of a descriptor that listens already. */
  readonly at: string | { readonly fd: number }
  /** Without it, only the modes of socket and folder keep others away. */
  readonly protection: AgentProtection | undefined
}

/** Serves a keyring on a UNIX socket that only its user can open. @throws AgentError `unreachable` when it cannot listen */
export function listenForAgentClients({ keyring, log, at, protection }: AgentListenOptions): Promise<Server> {
  if (typeof at === 'string' && !isSocketPath(at)) {
    const problem = `unix_listener: path "${at}" too long for Unix domain socket`
    return Promise.reject(new AgentError('unreachable', problem))
  }
  const server = createServer(socket => {
    if (protection && !isOwn(socket, protection, log)) {
      socket.destroy()
      return
    }
    socket.on('error', () => {})
    serveAgent(stdioStream(socket, socket), { keyring, log })
  })
  server.maxConnections = connectionLimit
  return new Promise((resolve, reject) => {
    server.once('error', cause => {
      const where = typeof at === 'string' ? at : `descriptor ${at.fd}`
      const problem = `unix_listener: cannot bind to path ${where}: ${bindProblem(cause, where)}`
      reject(new AgentError('unreachable', problem, { cause }))
    })
    // The socket is bound before `listen` returns: it is never open to others, not even for a moment.
    const mask = process.umask(0o177)
    try {
      server.listen(at, () => resolve(server))
    } finally {
      process.umask(mask)
    }
    if (typeof at === 'string' && server.listening) chmodSync(at, 0o600)
  })
}

/** In strerror(3)'s words. Node says EACCES too where there is no such folder. */
function bindProblem(cause: Error, path: string): string {
  const code = 'code' in cause ? cause.code : undefined
  if (code === 'EADDRINUSE') return 'Address already in use'
  if (code !== 'EACCES') return messageOf(cause)
  return existsSync(dirname(path)) ? 'Permission denied' : 'No such file or directory'
}

/** Root may do what it likes anyway. A peer that the kernel cannot name is nobody. */
function isOwn(socket: Socket, protection: AgentProtection, log: Log): boolean {
  const descriptor = descriptorOf(socket)
  const uid = descriptor === undefined ? undefined : protection.peerUid(descriptor)
  if (uid === 0 || (uid !== undefined && uid === process.getuid?.())) return true
  log.error(`uid mismatch: peer euid ${uid ?? 'unknown'} != uid ${process.getuid?.()}`)
  return false
}

/** Node has no name for the descriptor of a socket, only this. */
function descriptorOf(socket: Socket): number | undefined {
  const handle = (socket as Socket & { _handle?: { fd?: number } })._handle
  return handle?.fd === undefined || handle.fd < 0 ? undefined : handle.fd
}
