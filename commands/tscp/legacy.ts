import { messageOf } from '../../lib/errors.ts'
import { Dialogue, ScpError } from '../../lib/scp/dialogue.ts'
import type { Meter } from '../../lib/scp/meter.ts'
import { receiveFiles } from '../../lib/scp/sink.ts'
import { sendFiles } from '../../lib/scp/source.ts'
import { matchName } from '../../lib/sftp/glob.ts'
import { joinStreams } from '../../lib/wire/join-streams.ts'
import type { FileHost, FileStream } from '../../src/connect/file-host.ts'
import type { RemoteOperand } from '../../src/connect/operands.ts'
import { createThrottle } from '../../src/connect/throttle.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import type { CopyContext } from './context.ts'
import { expandBraces } from './patterns.ts'

/** The old protocol (`-O`): scp programs on both sides. Each function resolves to how many files failed. */

/** The command of the far side; its shell expands the path, as users expect of scp. */
function farCommand(
  { invocation: { host, recursive, preserve, targetIsDirectory } }: CopyContext,
  role: 'f' | 't',
  path: string,
): string {
  const flags = [host.verbosity > 0 && '-v', recursive && '-r', preserve && '-p', targetIsDirectory && '-d', `-${role}`]
  return ['scp', ...flags.filter(Boolean), ...(path.startsWith('-') ? ['--'] : []), path || '.'].join(' ')
}

/** Starts a far program that ends when the user does not want it any more. */
async function startFar({ signal }: CopyContext, host: FileHost, command: string): Promise<FileStream> {
  const far = await host.start({ command })
  const stop = (): void => far.stream.abort()
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  return far
}

/** What went wrong, without the program's name that the other side puts before its words. */
const farText = (error: Error): string => messageOf(error).replace(/^scp: /, '')

/** Counts failures and shows them once. */
function failures({ reporter }: CopyContext) {
  let count = 0
  return {
    get count() {
      return count
    },
    add(error: Error, path: string): void {
      count++
      const text = farText(error)
      // The other side names what it means.
      const isWhole = path === '' || error instanceof ScpError || text.startsWith(path)
      reporter.failed(path, isWhole ? text : `${path}: ${text}`)
    },
  }
}

function meterOf({ invocation: { limit }, reporter }: CopyContext): Meter {
  const throttle = limit === undefined ? undefined : createThrottle(limit)
  return {
    begin(path, size) {
      let moved = 0
      reporter.started(path, '', size)
      return {
        advance(bytes) {
          moved += bytes
          reporter.progress(path, moved)
        },
        end() {
          if (moved === size) reporter.done(path, '', size)
        },
      }
    },
    throttle: bytes => throttle?.(bytes),
  }
}

export async function upload(
  context: CopyContext,
  host: FileHost,
  sources: readonly string[],
  target: string,
): Promise<number> {
  const { invocation } = context
  const meter = meterOf(context)
  const far = await startFar(context, host, farCommand(context, 't', target))
  const dialogue = new Dialogue(far.stream)
  const failed = failures(context)
  await dialogue.answer()
  await sendFiles(dialogue, new LocalFileSystem(), sources, {
    recursive: invocation.recursive,
    preserve: invocation.preserve,
    meter,
    onError: failed.add,
  })
  dialogue.end()
  return failed.count || statusOf(await far.exit)
}

export async function download(
  context: CopyContext,
  host: FileHost,
  { path }: RemoteOperand,
  target: string,
): Promise<number> {
  const { invocation } = context
  const meter = meterOf(context)
  const far = await startFar(context, host, farCommand(context, 'f', path))
  const failed = failures(context)
  const accepts = invocation.checkNames ? namesAskedFor(path, invocation.recursive) : undefined
  await receiveFiles(new Dialogue(far.stream), new LocalFileSystem(), target, {
    recursive: invocation.recursive,
    preserve: invocation.preserve,
    targetIsDirectory: invocation.targetIsDirectory,
    umask: process.umask(),
    ...(accepts && { accepts }),
    meter,
    onError: failed.add,
  })
  far.stream.eof()
  return failed.count || statusOf(await far.exit)
}

/** Two far scp programs, joined here. */
export async function relay(
  context: CopyContext,
  from: FileHost,
  source: RemoteOperand,
  to: FileHost,
  target: RemoteOperand,
): Promise<number> {
  const reading = await startFar(context, from, farCommand(context, 'f', source.path))
  const writing = await startFar(context, to, farCommand(context, 't', target.path))
  const meter = meterOf(context)
  joinStreams(reading.stream, writing.stream, bytes => meter.throttle(bytes))
  const [a, b] = await Promise.all([reading.exit, writing.exit])
  return statusOf(a) || statusOf(b)
}

/** `-R`: scp runs on the source's host, and reaches the other one by itself. */
export async function relayDirectly(
  context: CopyContext,
  from: FileHost,
  source: RemoteOperand,
  target: RemoteOperand,
): Promise<number> {
  const { host: reached, recursive, preserve } = context.invocation
  const flags = [reached.verbosity > 0 && '-v', recursive && '-r', preserve && '-p'].filter(Boolean)
  const host = target.host.includes(':') ? `[${target.host}]` : target.host
  const place = `${target.user === undefined ? '' : `${target.user}@`}${host}:${target.path}`
  const far = await startFar(context, from, ['scp', ...flags, source.path, place].join(' '))
  far.stream.sink = {
    data(data) {
      process.stdout.write(data)
      far.stream.consumed(data.length)
    },
  }
  far.stream.eof()
  return statusOf(await far.exit)
}

const statusOf = (exit: number | undefined): number => (exit === 0 ? 0 : 1)

/**
 * Whether a name is one that the operand can have asked for: its last component after brace expansion, as a pattern.
 * Undefined when only the far shell knows and a tree is asked for, as with `~`, `$X` or a path that ends in `..`: of single
 * files, scp takes none whose name it cannot tell.
 */
export function namesAskedFor(path: string, recursive: boolean): ((name: string) => boolean) | undefined {
  const patterns = expandBraces(path).map(text => text.replace(/\/+$/, '').split('/').at(-1)!)
  const isUnknown = (pattern: string): boolean =>
    pattern === '' || pattern === '.' || pattern === '..' || /^~|[$`]/.test(pattern)
  if (recursive && patterns.some(isUnknown)) return undefined
  return name => patterns.some(pattern => pattern === name || matchName(pattern, name))
}
