import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { loggingFileSystem } from '../../lib/sftp/logging-filesystem.ts'
import { SftpServer, sftpRequestNames } from '../../lib/sftp/server.ts'
import { CommandError } from '../../src/command/errors.ts'
import { defineMain } from '../../src/command/run.ts'
import { createLog, type LogLevel, stderrSink } from '../../src/command/stderr-log.ts'
import { versionLine } from '../../src/command/version.ts'
import { type Account, ownAccount } from '../../src/net/accounts.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { stdioStream } from '../../src/net/stdio-stream.ts'
import { expandTilde, expandTokens } from '../../src/openssh/tokens.ts'
import { handleLimit, parseSftpServerFlags, type SftpServerFlags } from '../../src/sftp/server-options.ts'
import { reasonText } from '../../src/sftp/texts.ts'

export { run } from '../../src/command/run.ts'

const usage =
  'usage: tsftp-server [-cehRV] [-d start_directory] [-f log_facility] [-l log_level]\n' +
  '                    [-P denied_requests] [-p allowed_requests] [-u umask]\n' +
  '       tsftp-server -Q protocol_feature'

const help = `${usage}

Serves the files of this machine to an SFTP client on stdin and stdout.

  -c  ignore what follows, as a login shell is called
  -d  start directory, with the tokens %d, %u, %U and %%
  -e  log to stderr
  -f  facility of the system's log
  -h  show the usage
  -l  least important level that is logged
  -P  requests to refuse, separated by commas
  -p  requests to serve
  -Q  "requests": print the names of requests
  -R  change nothing
  -u  umask
  -V  print the version
`

export const main = defineMain({ program: 'tsftp-server', failureStatus: 1 }, async args => {
  if (args[0] === '-V') {
    process.stderr.write(`${versionLine()}\n`)
    return 0
  }
  if (args[0] === '--help') {
    process.stdout.write(help)
    return 0
  }
  const flags = parseSftpServerFlags(args)
  if ('problem' in flags) {
    const { problem } = flags
    if (problem === 'usage') throw new CommandError(usage, 1)
    throw new CommandError(problem, problem === 'Invalid query type' ? 1 : 255)
  }
  if (flags.queryRequests) {
    process.stdout.write(sftpRequestNames.map(name => `${name}\n`).join(''))
    return 0
  }
  const log = await logOf(flags)
  return serve(flags, ownAccount(), log)
})

/** stderr with `-e`, else the system's log; ERROR and above by default, as sftp-server. */
async function logOf({ logToStderr, logLevel, facility }: SftpServerFlags): Promise<Log> {
  const level = (logLevel === 'DEBUG' ? 'DEBUG1' : (logLevel ?? 'ERROR')) as LogLevel
  if (logToStderr) return createLog(level, stderrSink())
  const { syslogSink } = await import('../../src/command/syslog.ts')
  return createLog(level, syslogSink('tsftp-server', facility ?? 'AUTH'))
}

async function serve(flags: SftpServerFlags, account: Account, log: Log): Promise<number> {
  const address = process.env['SSH_CONNECTION']?.split(' ')[0] || 'UNKNOWN'
  if (flags.umask !== undefined) process.umask(flags.umask)
  log.info?.(`session opened for local user ${account.name} from [${address}]`)
  if (flags.startDirectory !== undefined) enter(flags.startDirectory, account, log)
  const files = loggingFileSystem(new LocalFileSystem({ blocking: 'always' }), log)
  const server = new SftpServer(stdioStream(process.stdin, process.stdout), files, {
    ...flags.server,
    maximumHandles: handleLimit(),
    log,
  })
  const failure = await server.closed
  log.info?.(`session closed for local user ${account.name} from [${address}]`)
  // The client is gone, whether it said so or not.
  return failure === undefined ? 0 : 1
}

/** A directory that is not there is no reason to refuse service, as sftp-server has it. */
function enter(directory: string, account: Account, log: Log): void {
  try {
    const tokens = { d: account.home, h: account.home, u: account.name, U: String(account.uid) }
    const wanted = expandTokens(expandTilde(directory, { home: account.home }), tokens)
    try {
      process.chdir(wanted)
    } catch (error) {
      log.error(`chdir to "${wanted}" failed: ${reasonText(error)}`)
    }
  } catch (error) {
    throw new CommandError(`tsftp-server: ${messageOf(error)}`, 255)
  }
}
