import type { ServerSession } from '../../lib/connection/server-session.ts'
import { messageOf } from '../../lib/errors.ts'
import { loggingFileSystem } from '../../lib/sftp/logging-filesystem.ts'
import { SftpServer } from '../../lib/sftp/server.ts'
import type { ByteStream } from '../../lib/wire/byte-stream.ts'
import { type LeveledLog, type LogLevel, levelNamed } from '../../src/command/stderr-log.ts'
import type { Account } from '../../src/net/accounts.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { expandTilde, expandTokens } from '../../src/openssh/tokens.ts'
import { handleLimit, parseSftpServerFlags, splitWords } from '../../src/sftp/server-options.ts'

/** The program's name in Subsystem and ForceCommand that means the server inside tsshd. */
const program = 'internal-sftp'

export const isInternalSftp = (command: string | undefined): boolean =>
  command !== undefined && (command === program || /^internal-sftp[ \t]/.test(command))

export interface InternalSftpOptions {
  readonly account: Account
  /** Inside a ChrootDirectory homes lie elsewhere: paths that are not there begin at the root. */
  readonly home: string
  readonly address: string
  /** Whether this process serves one connection alone, so that its umask may change. */
  readonly ownProcess: boolean
  readonly log: LeveledLog
}

/** Serves SFTP on a session, without another program. @returns how to stop; undefined when the flags are wrong */
export function serveInternalSftp(
  session: ServerSession,
  command: string,
  { account, home, address, ownProcess, log: connectionLog }: InternalSftpOptions,
): (() => void) | undefined {
  const log = connectionLog.another()
  const flags = parseSftpServerFlags(splitWords(command).slice(1))
  if ('problem' in flags) {
    log.error(`internal-sftp: ${flags.problem}`)
    return undefined
  }
  // A line for each file by default would cost more than the files.
  log.level = levelNamed((flags.logLevel ?? 'ERROR') as LogLevel)
  let start = home
  try {
    if (flags.startDirectory !== undefined) {
      const tokens = { d: account.home, h: account.home, u: account.name, U: String(account.uid) }
      start = expandTokens(expandTilde(flags.startDirectory, { home: account.home }), tokens)
    }
  } catch (error) {
    log.error(`internal-sftp: ${messageOf(error)}`)
    return undefined
  }
  if (flags.umask !== undefined && ownProcess) process.umask(flags.umask)
  const files = new LocalFileSystem({
    start,
    blocking: 'briefly',
    ...(flags.umask !== undefined && { umask: flags.umask }),
  })
  log.info?.(`session opened for local user ${account.name} from [${address}]`)
  const { channel } = session
  const stream: ByteStream = {
    sink: { data() {} },
    write: data => channel.write(data),
    get queued() {
      return channel.queued
    },
    consumed: count => channel.consumed(count),
    eof: () => channel.eof(),
    close: () => session.exit(0),
    abort: () => session.exit(255),
  }
  // AsyncSSH sends the paths of SYMLINK in OpenSSH's order only to servers that call themselves so.
  const symlinkOrder = /^SSH-2\.0-AsyncSSH/.test(session.connection.transport.peerIdentification) ? 'draft' : 'openssh'
  const logged = loggingFileSystem(files, log)
  const server = new SftpServer(stream, logged, { ...flags.server, maximumHandles: handleLimit(), symlinkOrder, log })
  session.attach({
    data: data => stream.sink.data(data),
    eof: () => stream.sink.eof?.(),
    writable: () => stream.sink.writable?.(),
    closed: error => stream.sink.closed?.(error),
  })
  server.closed.then(() => {
    files.close()
    log.info?.(`session closed for local user ${account.name} from [${address}]`)
  })
  return () => undefined
}
