import { spawn } from 'node:child_process'
import { DisconnectReason } from '../../lib/errors.ts'
import type { ByteStream } from '../../lib/wire/byte-stream.ts'
import { stdioStream } from '../net/stdio-stream.ts'
import { uninterruptible } from '../net/subprocess.ts'
import { markTraffic } from '../net/type-of-service.ts'
import { forwardedAgentOf } from './credentials.ts'
import type { Forwards } from './forwards.ts'
import { openConnection } from './open.ts'
import type { OpenOptions } from './options.ts'
import { sessionEnvironment } from './session-environment.ts'
import { startSessionStream } from './session-stream.ts'

/** What runs on the host to move files. */
export type FileProgram = { readonly subsystem: string } | { readonly command: string }

/** A host that files are moved to or from: as many programs as wanted, one after another or at once. */
export interface FileHost {
  /** Resolves once the program runs. @throws SshError */
  start(program: FileProgram): Promise<FileStream>
  /** Whether all programs share one connection, so that a further one needs no login. */
  readonly isShared: boolean
  close(): Promise<void>
}

export interface FileStream {
  readonly stream: ByteStream
  /** How the program ended: undefined when a signal or the end of the connection did it. */
  readonly exit: Promise<number | undefined>
}

/** Settings under which nothing but the file program runs (scp(1), sftp(1)): lines of ssh_config(5) that go first. */
export const fileHostSettings: readonly string[] = [
  'ForwardX11 no',
  'PermitLocalCommand no',
  'ClearAllForwardings yes',
  'RemoteCommand none',
  'RequestTTY no',
  'ControlMaster no',
]

/** Over a connection of this process. @throws SshError */
export async function connectFileHost(options: OpenOptions): Promise<FileHost> {
  const { config, env, log } = options
  const agentSocket = forwardedAgentOf(config, env)
  const forwards = agentSocket === undefined ? undefined : await agentForwards(options, agentSocket)
  const opened = await openConnection({
    ...options,
    ...(forwards && { connection: { channelTypes: forwards.channelTypes } }),
  })
  const { client } = opened
  const agentForwarding = forwards !== undefined && opened.judgement !== 'distrusted'
  if (agentForwarding) await forwards.start(client.connection)
  markTraffic(opened.stream, config.ipQoS.bulk)
  return {
    isShared: true,
    async start(program) {
      const session = { ...program, env: sessionEnvironment(config, env, log), agentForwarding }
      const { stream, exit } = await startSessionStream(client.connection, session, data => process.stderr.write(data))
      return {
        stream,
        exit: exit.then(
          ({ status }) => status,
          () => undefined,
        ),
      }
    },
    async close() {
      forwards?.close()
      client.transport.disconnect(DisconnectReason.byApplication, 'disconnected by user')
      await client.closed
    },
  }
}

/** Loaded where an agent is to be forwarded only. */
async function agentForwards({ config, log }: OpenOptions, agentSocket: string): Promise<Forwards> {
  return (await import('./forwards.ts')).createForwards({ config, agentSocket, log })
}

export interface OtherProgram {
  /** The program (`-S`), found as a shell would. */
  readonly program: string
  /** Flags of ssh(1) that go before the host. */
  readonly flags: readonly string[]
  readonly host: string
  readonly user?: string | undefined
  readonly port?: number | undefined
  /** As in `OpenOptions`. */
  readonly survivesInterrupts?: boolean | undefined
}

/** Through another program that takes the flags of ssh(1), started anew for each file program. */
export function fileHostThrough({ program, flags, host, user, port, survivesInterrupts }: OtherProgram): FileHost {
  return {
    isShared: false,
    async start(wanted) {
      const args = [
        ...fileHostSettings.flatMap(line => ['-o', line]),
        ...flags,
        ...(port === undefined ? [] : ['-p', String(port)]),
        ...(user === undefined ? [] : ['-l', user]),
        ...('subsystem' in wanted ? ['-s'] : []),
        '--',
        host,
        'subsystem' in wanted ? wanted.subsystem : wanted.command,
      ]
      // It keeps the terminal, to ask for passwords.
      return survivesInterrupts ? startLocal(...uninterruptible(program, args)) : startLocal(program, args)
    },
    async close() {},
  }
}

/** A server program of this machine (`-D`), as a host. */
export const localFileHost = (command: string, survivesInterrupts = false): FileHost => ({
  isShared: false,
  start: () => startLocal('/bin/sh', ['-c', `exec ${command}`], { detached: survivesInterrupts }),
  async close() {},
})

/** `detached`: away from the terminal, whose signals do not reach it then. */
async function startLocal(program: string, args: readonly string[], { detached = false } = {}): Promise<FileStream> {
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'], detached })
  const exit = new Promise<number | undefined>(resolve => {
    child.once('error', () => resolve(undefined))
    child.once('exit', status => resolve(status ?? undefined))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', reject)
  })
  return { stream: stdioStream(child.stdout, child.stdin), exit }
}
