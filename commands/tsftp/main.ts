import { createReadStream, openSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { messageOf, SshError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { CommandError } from '../../src/command/errors.ts'
import { defineMain } from '../../src/command/run.ts'
import { createLog, raisedLevel, stderrSink } from '../../src/command/stderr-log.ts'
import { versionLine } from '../../src/command/version.ts'
import type { FileHost } from '../../src/connect/file-host.ts'
import { FileHosts, type HostName } from '../../src/connect/file-hosts.ts'
import { remoteFiles } from '../../src/connect/places.ts'
import { lossText, reasonText } from '../../src/sftp/texts.ts'
import { visible } from '../../src/terminal/names.ts'
import { type Invocation, parseInvocation } from './command-line.ts'
import { CommandFailure, Context } from './context.ts'
import { obey } from './dispatch.ts'
import { linesOf } from './input.ts'
import { Prompt } from './prompt.ts'
import { download } from './transfers.ts'

export { run } from '../../src/command/run.ts'

/** Exit status of sftp when it never got to its commands. */
const connectionStatus = 255

export const main = defineMain({ program: 'tsftp', failureStatus: connectionStatus }, async args => {
  const [first, ...rest] = args
  if (first === 'sync' && rest.length > 1) return (await import('./sync.ts')).runSync(rest)
  if (first === 'browse' && rest.length > 0) return (await import('./browse.ts')).runBrowse(rest)
  const invocation = parseInvocation(args)
  if (invocation.mode === 'print-version') {
    process.stderr.write(`${versionLine()}\n`)
    return 0
  }
  // Before connecting, as sftp does: a missing file should not cost a login.
  const batch = invocation.batchFile === undefined ? undefined : openBatch(invocation.batchFile)
  diesOfSignals()
  const log = createLog(raisedLevel(invocation.quiet ? 'ERROR' : 'INFO', invocation.host.verbosity), stderrSink())
  const hosts = new FileHosts(invocation.host)
  const context = await begin(invocation, hosts, log)
  try {
    const failed = await work(invocation, context, batch)
    context.files.session.end()
    return failed ? 1 : 0
  } catch (error) {
    if (!(error instanceof SshError) || error instanceof CommandError) throw error
    log.debug1?.(messageOf(error))
    const reason = lossText(error)
    const text = reason === undefined ? 'Connection closed' : `${reason}\nConnection closed`
    throw new CommandError(text, connectionStatus, { cause: error })
  } finally {
    await hosts.close()
  }
})

function openBatch(path: string): Readable {
  if (path === '-') return process.stdin
  try {
    return createReadStream(path, { fd: openSync(path, 'r') })
  } catch (error) {
    throw new CommandError(`${reasonText(error)} (${visible(path)}).`, connectionStatus)
  }
}

const hostName = ({ destination }: Invocation): HostName => {
  const { host = '', user, port } = destination ?? {}
  return { host, user, port: port === undefined ? undefined : Number(port) }
}

async function reach(invocation: Invocation, hosts: FileHosts): Promise<FileHost> {
  try {
    return await hosts.open(hostName(invocation))
  } catch (error) {
    throw withConnectionClosed(error)
  }
}

async function openFiles(
  { subsystem = 'sftp' }: Invocation,
  host: FileHost,
  log: Log,
  replyTimeout: number | undefined,
): Promise<RemoteFileSystem> {
  const program = subsystem.includes('/') ? { command: subsystem } : { subsystem }
  return remoteFiles(host, program, { log, ...(replyTimeout !== undefined && { replyTimeout }) })
}

/** sftp(1) ends with this line after what ssh said. */
function withConnectionClosed(error: unknown): unknown {
  if (!(error instanceof SshError)) return error
  return new CommandError(`${error.message}\nConnection closed`, connectionStatus, { cause: error })
}

async function begin(invocation: Invocation, hosts: FileHosts, log: Log): Promise<Context> {
  const host = await reach(invocation, hosts)
  const { destination, host: flags } = invocation
  const quiet = (invocation.quiet || invocation.batchFile !== undefined) && !invocation.noisy
  try {
    const files = await openFiles(invocation, host, log, hosts.replyTimeout)
    if (!quiet) {
      const where = destination ? `Connected to ${destination.host}.` : `Attached to ${flags.localServer}.`
      process.stderr.write(`${visible(where)}\n`)
    }
    const { recurse, resume, preserve, sync, blockSize, maximumRequests, rate } = invocation
    const showProgress =
      invocation.batchFile === undefined && !invocation.quiet && process.stderr.isTTY && process.stdout.isTTY
    const settings = { quiet, showProgress, recurse, resume, preserve, sync, blockSize, maximumRequests, rate }
    const reconnect = async (): Promise<RemoteFileSystem> =>
      openFiles(invocation, await hosts.reopen(hostName(invocation)), log, hosts.replyTimeout)
    return new Context(files, settings, await files.realpath('.'), reconnect)
  } catch (error) {
    await host.close()
    const text = error instanceof SshError && destination ? `tsftp: ${messageOf(error)}` : messageOf(error)
    throw new CommandError(`${visible(text)}\nConnection closed`, connectionStatus, { cause: error })
  }
}

/** Runs what the command line and the input ask for. @returns whether it failed */
async function work(invocation: Invocation, context: Context, batch: Readable | undefined): Promise<boolean> {
  process.on('SIGINT', () => {
    // The second time, a server that does not answer is not waited for.
    if (context.state === 'idle' || context.interrupted.signal.aborted) process.exit(1)
    process.stderr.write('\rInterrupt  \n')
    context.interrupted.abort()
  })
  const path = invocation.destination?.path
  if (path !== undefined) {
    const start = await enterOrFetch(invocation, context, path)
    if (start !== 'entered') return start === 'failed'
  }
  const isInteractive = batch === undefined && process.stdin.isTTY
  if (isInteractive) return converse(context)
  for await (const line of linesOf(batch ?? process.stdin)) {
    const outcome = await obey(context, line, { isBatch: batch !== undefined, echo: true })
    if (outcome !== 'go on') return outcome === 'failed'
  }
  return false
}

/** A directory of the command line is where the session begins; a file is fetched, and that is all. */
async function enterOrFetch(
  { localTarget }: Invocation,
  context: Context,
  path: string,
): Promise<'entered' | 'fetched' | 'failed'> {
  const whole = context.absolute(path)
  const { type } = await context.files.stat(whole).catch(() => ({ type: undefined }))
  try {
    if (type === 'directory' && localTarget === undefined) {
      if (!context.settings.quiet) context.print(`Changing to: ${visible(whole)}\n`)
      context.directory = await context.attempt(`realpath ${visible(whole)}`, () => context.files.realpath(whole))
      return 'entered'
    }
    const paths = localTarget === undefined ? [path] : [path, localTarget]
    context.state = 'busy'
    await download(context, { action: 'get', flags: new Set(), paths, number: 0, rest: '' })
    return 'fetched'
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error
    if (error.message !== '') context.error(error.message)
    return 'failed'
  }
}

async function converse(context: Context): Promise<boolean> {
  const prompt = new Prompt(context)
  try {
    for (;;) {
      const lost = context.files.session.closed
      const line = await Promise.race([prompt.next(), lost.then(() => null)])
      if (line === null) throw new CommandError('\rConnection closed.  ', connectionStatus)
      if (line === undefined) return false
      if ((await obey(context, line, { isBatch: false, echo: false })) === 'quit') return false
    }
  } finally {
    prompt.close()
  }
}

/** Ends by a signal as by an error. */
function diesOfSignals(): void {
  for (const name of ['SIGHUP', 'SIGTERM'] as const) process.on(name, () => process.exit(1))
}
