import { readFileSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { AgentClient } from '../../lib/agent/client.ts'
import { AgentError, messageOf } from '../../lib/errors.ts'
import { isSocketPath } from './unix-listener.ts'

/** An agent reached over its socket (or named pipe). Call `close` when done. */
export interface ConnectedAgent {
  readonly client: AgentClient
  close(): void
}

/** Where the agent of Windows' own OpenSSH listens. */
const windowsPipe = '\\\\.\\pipe\\openssh-ssh-agent'

/** The agent that the environment names; on Windows, else the system's own. */
export const agentPathOf = (
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
): string | undefined => env['SSH_AUTH_SOCK'] || (platform === 'win32' ? windowsPipe : undefined)

/** @throws AgentError `unreachable` */
export function connectAgent(path: string): Promise<ConnectedAgent> {
  return new Promise((resolve, reject) => {
    if (!isSocketPath(path)) {
      const cause = Object.assign(new Error('path is too long for a socket'), { code: 'ENAMETOOLONG' })
      throw new AgentError('unreachable', cause.message, { cause })
    }
    const socket = openAgentSocket(path)
    const client = new AgentClient(bytes => {
      socket.ref()
      socket.write(bytes)
    })
    socket.on('data', (chunk: Buffer) => {
      client.receive(chunk)
      if (!client.isWaiting) socket.unref()
    })
    socket.on('close', () => client.end())
    socket.on('error', error => {
      reject(new AgentError('unreachable', messageOf(error), { cause: error }))
    })
    socket.once('connect', () => {
      // An idle agent does not keep the process alive; one that owes an answer does.
      socket.unref()
      resolve({ client, close: () => socket.destroy() })
    })
  })
}

function openAgentSocket(path: string): Socket {
  const emulated = readEmulatedSocket(path)
  if (!emulated) return connect(path)
  const socket = connect(emulated.port, '127.0.0.1')
  socket.write(emulated.nonce)
  return socket
}

/** What libassuan writes where there are no UNIX sockets: a port on this machine, and what proves that one may read the file. */
interface EmulatedSocket {
  readonly port: number
  readonly nonce: Buffer
}

const nonceLength = 16
/** Five digits, a newline and the nonce. */
const emulatedLimit = 6 + nonceLength

/** gpg-agent on Windows listens on TCP and leaves a file in the socket's place. */
function readEmulatedSocket(path: string): EmulatedSocket | undefined {
  try {
    const status = statSync(path)
    if (!status.isFile() || status.size > emulatedLimit) return undefined
    const contents = readFileSync(path)
    const newline = contents.indexOf('\n')
    const port = Number(contents.toString('latin1', 0, Math.max(newline, 0)))
    const nonce = contents.subarray(newline + 1)
    return nonce.length === nonceLength && port > 0 && port < 65_536 ? { port, nonce } : undefined
  } catch {
    return undefined
  }
}
