import type { SessionOptions } from '../../lib/connection/client-session.ts'
import type { Connection } from '../../lib/connection/connection.ts'
import { type RemoteProcess, startProcess } from '../../lib/connection/process.ts'
import { DisconnectReason } from '../../lib/errors.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import type { SftpClient } from '../../lib/sftp/client.ts'
import type { SessionOptions as SftpSessionOptions } from '../../lib/sftp/session.ts'
import type { NegotiatedAlgorithms } from '../../lib/transport/transport.ts'
import type { ClientAuthentication } from '../../lib/userauth/client.ts'
import type { Credentials } from '../../lib/userauth/credentials.ts'
import { loadHostConfig } from '../connect/host-config.ts'
import { openConnection } from '../connect/open.ts'
import type { Ask } from '../identity/ask.ts'

export interface ConnectOptions {
  /** A name of the configuration, a host name or an address. */
  readonly host: string
  readonly port?: number
  readonly user?: string
  /** Private key files to try, instead of the configured ones. */
  readonly identityFiles?: readonly string[]
  /** Ways to prove who the user is, instead of asking for them. */
  readonly credentials?: Partial<Credentials>
  /** Lines of ssh_config(5) that go before every file. */
  readonly options?: readonly string[]
  /** A configuration file instead of the usual ones; `none` reads no file. */
  readonly configFile?: string
  /** Asks the user. Default: nobody is asked, and what would need it fails. */
  readonly ask?: Ask
  /** Banners and warnings. Default: dropped. */
  print?(text: string): void
  readonly log?: Log
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** A finished command. */
export interface CompletedProcess {
  /** Undefined when a signal ended it. */
  readonly status: number | undefined
  readonly signal: string | undefined
  readonly stdout: Buffer
  readonly stderr: Buffer
}

export interface RunOptions extends Omit<SessionOptions, 'command' | 'subsystem'> {
  /** What the command reads. Default: nothing. */
  readonly input?: string | Uint8Array
  /** Most bytes of output that are kept, of each kind. Default 64 MiB. @throws RangeError past it */
  readonly maxOutput?: number
}

export interface SftpOptions extends SftpSessionOptions {
  /** Runs this instead of the subsystem `sftp`. */
  readonly command?: string
}

/** A login on a host. Dispose of it, or call `close`. */
export interface SshClient extends AsyncDisposable {
  readonly connection: Connection
  readonly authentication: ClientAuthentication
  readonly algorithms: NegotiatedAlgorithms
  /** Runs a command to its end. @throws SshError when the connection ends first */
  run(command: string, options?: RunOptions): Promise<CompletedProcess>
  /** Starts a command, a subsystem or a shell, with streams. @throws ChannelOpenError, RequestError */
  start(options?: SessionOptions): Promise<RemoteProcess>
  /** Begins an SFTP session, with the files of this machine for `get` and `put`. @throws SshError */
  sftp(options?: SftpOptions): Promise<SftpClient>
  close(): Promise<void>
}

/**
 * Logs in to a host as tssh would: with the user's configuration, known hosts, keys and agent.
 * @throws ConnectionLostError, NegotiationError, HostKeyError, AuthenticationError, ConfigError
 */
export async function connect(options: ConnectOptions): Promise<SshClient> {
  const config = await loadHostConfig({
    host: options.host,
    ...(options.user !== undefined && { user: options.user }),
    options: [
      ...(options.port === undefined ? [] : [`Port ${options.port}`]),
      ...(options.identityFiles ?? []).map(file => `IdentityFile "${file}"`),
      ...(options.options ?? []),
    ],
    ...(options.configFile !== undefined && { file: options.configFile }),
    ...(options.env && { env: options.env }),
  })
  const { client, authentication } = await openConnection({
    config,
    log: options.log ?? silentLog,
    ask: options.ask,
    print: text => options.print?.(text),
    env: options.env ?? process.env,
    ...(options.credentials && { credentials: options.credentials }),
  })
  const close = async (): Promise<void> => {
    client.transport.disconnect(DisconnectReason.byApplication, 'disconnected by user')
    await client.closed
  }
  return {
    connection: client.connection,
    authentication,
    algorithms: client.transport.negotiated,
    run: (command, runOptions) => runCommand(client.connection, command, runOptions),
    start: (sessionOptions = {}) => startProcess(client.connection, sessionOptions),
    sftp: sftpOptions => openSftp(client.connection, sftpOptions),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** Logs in, runs one command to its end, and leaves. @throws as `connect` does */
export async function run(
  options: ConnectOptions,
  command: string,
  runOptions?: RunOptions,
): Promise<CompletedProcess> {
  const client = await connect(options)
  try {
    return await client.run(command, runOptions)
  } finally {
    await client.close()
  }
}

/** Loaded when it is first asked for: who only runs commands does without. */
async function openSftp(connection: Connection, { command, ...options }: SftpOptions = {}): Promise<SftpClient> {
  const [{ SftpClient }, { LocalFileSystem }, { startSessionStream }] = await Promise.all([
    import('../../lib/sftp/client.ts'),
    import('../net/local-filesystem.ts'),
    import('../connect/session-stream.ts'),
  ])
  const program = command === undefined ? { subsystem: 'sftp' } : { command }
  const { stream } = await startSessionStream(connection, program, () => {})
  return SftpClient.open(stream, { ...options, local: new LocalFileSystem() })
}

const defaultMaxOutput = 64 * 1024 * 1024

async function runCommand(
  connection: Connection,
  command: string,
  { input, maxOutput = defaultMaxOutput, ...session }: RunOptions = {},
): Promise<CompletedProcess> {
  const remote = await startProcess(connection, { ...session, command })
  remote.stdin.on('error', () => {})
  remote.stdin.end(input ?? '')
  try {
    const [stdout, stderr, exit] = await Promise.all([
      collect(remote.stdout, maxOutput),
      collect(remote.stderr, maxOutput),
      remote.exit,
    ])
    return { status: exit.status, signal: exit.signal?.name, stdout, stderr }
  } finally {
    remote.close()
  }
}

async function collect(stream: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    length += chunk.length
    if (length > limit) throw new RangeError(`more than ${limit} bytes of output`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
