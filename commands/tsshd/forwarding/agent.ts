import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Connection } from '../../../lib/connection/connection.ts'
import { authAgent } from '../../../lib/connection/types/auth-agent.ts'
import { messageOf } from '../../../lib/errors.ts'
import type { Log } from '../../../lib/log.ts'
import { socketSink } from '../../../src/net/socket-sink.ts'
import { isSocketPath, listenUnix } from '../../../src/net/unix-listener.ts'

/** The client's agent, as a socket here: whoever may open it is asked for by nothing but the file's mode. */
export interface AgentForwarding {
  /** For SSH_AUTH_SOCK of every session after the request; undefined when it was not asked for or failed. */
  readonly socketPath: string | undefined
  /** A session asks for it. @returns whether it is granted: once per connection, as in sshd */
  request(connection: Connection): boolean
  close(): void
}

/** Only the owner may connect. */
const socketMask = 0o177

/** Makes the socket when it is first asked for, below the home folder, or in a folder of its own where that cannot be. */
export function agentForwarding(home: string, sockets: Set<Socket>, log: Log): AgentForwarding {
  let socketPath: string | undefined
  let server: Server | undefined
  let closed = false
  let temporaryFolder: string | undefined
  const forget = (): void => {
    socketPath = undefined
    if (temporaryFolder !== undefined) rmSync(temporaryFolder, { recursive: true, force: true })
    temporaryFolder = undefined
  }
  return {
    get socketPath() {
      return socketPath
    },
    request(connection) {
      if (socketPath !== undefined) {
        log.error('authentication forwarding requested twice.')
        return false
      }
      const place = placeFor(home, log)
      if (!place) return false
      socketPath = place.path
      temporaryFolder = place.temporary
      const options = { mask: socketMask, unlinkFirst: false }
      listenUnix(place.path, options, socket => {
        sockets.add(socket)
        socket.once('close', () => sockets.delete(socket))
        authAgent.open(connection, undefined, socketSink(socket)).catch(() => socket.destroy())
      }).then(
        listening => {
          server = listening
          server.on('error', () => {})
          if (closed) server.close(forget)
        },
        error => {
          log.error(`agent forwarding disabled: ${messageOf(error)}`)
          forget()
        },
      )
      return true
    },
    close() {
      closed = true
      server?.close(forget)
    },
  }
}

/** A folder that nobody else can look into, and a name in it that nobody can guess. */
function placeFor(home: string, log: Log): { path: string; temporary?: string } | undefined {
  const name = `s.${randomBytes(8).toString('hex')}.sshd.${process.pid}`
  try {
    const path = join(home, '.ssh', 'agent', name)
    if (isSocketPath(path)) {
      makePrivate(dirname(dirname(path)))
      makePrivate(dirname(path))
      return { path }
    }
  } catch (error) {
    log.debug1?.(`no agent socket in ${home}: ${messageOf(error)}`)
  }
  try {
    const temporary = mkdtempSync(join(tmpdir(), 'ssh-'))
    return { path: join(temporary, `agent.${process.pid}`), temporary }
  } catch (error) {
    log.error(`Agent forwarding disabled: couldn't create listener socket: ${messageOf(error)}`)
    return undefined
  }
}

/** @throws when it is no folder of ours, or others may use it */
function makePrivate(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const { uid, mode } = statSync(folder)
  if (uid !== process.geteuid?.() || (mode & 0o022) !== 0) throw new Error(`unsafe folder ${folder}`)
}
