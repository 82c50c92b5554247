import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { unescapeName } from '../../lib/sftp/glob.ts'
import { baseName, joinPath } from '../../lib/sftp/paths.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { type Retry, type TransferObserver, type TransferOptions, transfer } from '../../lib/sftp/transfer.ts'
import { attributesOrNothing, collect, type GlobMatch, glob } from '../../lib/sftp/tree.ts'
import { isFinalFailure, reconnectAttempts, retryText } from '../../src/connect/retrying.ts'
import { withoutOptimizing } from '../../src/native/optimizing.ts'
import { LocalFileSystem } from '../../src/net/local-filesystem.ts'
import { transferFailureText } from '../../src/sftp/texts.ts'
import { visible } from '../../src/terminal/names.ts'
import { ProgressMeter } from '../../src/terminal/progress.ts'
import { CommandFailure, type Context } from './context.ts'
import type { Command } from './verbs.ts'

type Way = 'get' | 'put'

/** get and reget. */
export async function download(context: Context, command: Command): Promise<void> {
  const pattern = context.absolutePattern(command.paths[0]!)
  const found = await collect(glob(context.files, pattern))
  if (found.length === 0) throw new CommandFailure(`File "${visible(pattern)}" not found.`)
  await move(context, command, 'get', found)
}

/** put and reput. */
export async function upload(context: Context, command: Command): Promise<void> {
  const pattern = command.paths[0]!
  const found = await collect(glob(new LocalFileSystem(), pattern))
  if (found.length === 0) found.push({ path: unescapeName(pattern), attributes: {} })
  await move(context, command, 'put', found)
}

const isDirectory = async (files: FileSystem, path: string): Promise<boolean> => {
  const attributes = await attributesOrNothing(() => files.stat(path)).catch(error => {
    if (error instanceof SftpError && error.code !== 'connection-lost') return undefined
    throw error
  })
  return attributes?.type === 'directory'
}

async function move(context: Context, command: Command, way: Way, sources: readonly GlobMatch[]): Promise<void> {
  const local = new LocalFileSystem({ blocking: 'always' })
  const [from, to] = way === 'get' ? [context.files, local] : [local, context.files]
  const [, word] = command.paths
  const target = word === undefined ? undefined : way === 'get' ? word : context.absolute(word)
  const into = target !== undefined && (await isDirectory(to, target))
  if (sources.length > 1 && target !== undefined && !into) {
    const what = way === 'get' ? 'Multiple source paths' : 'Multiple paths match'
    throw new CommandFailure(`${what}, but destination "${visible(target)}" is not a directory`)
  }
  let failed = false
  for (const { path } of sources) {
    if (context.interrupted.signal.aborted) break
    // What `..` is called here must not be a way out of the target.
    if (way === 'put' && !(await isThere(context, path))) {
      failed = true
      continue
    }
    const name = baseName(path) === '..' ? '.' : baseName(path) || '.'
    const place = target === undefined ? placeOf(context, way, name) : into ? joinPath(target, name) : target
    if (!(await moveOne(context, command, way, { files: from, path }, { files: to, path: place }))) failed = true
  }
  if (failed || context.interrupted.signal.aborted) throw new CommandFailure('')
}

async function isThere(context: Context, path: string): Promise<boolean> {
  try {
    await new LocalFileSystem().stat(path)
    return true
  } catch (error) {
    context.fail(`stat ${visible(path)}`, error)
    return false
  }
}

const placeOf = (context: Context, way: Way, name: string): string => (way === 'get' ? name : context.absolute(name))

async function moveOne(
  context: Context,
  command: Command,
  way: Way,
  source: { files: FileSystem; path: string },
  target: { files: FileSystem; path: string },
): Promise<boolean> {
  const { settings } = context
  const { flags, action } = command
  const recurse = settings.recurse || flags.has('r') || flags.has('R')
  const resume = settings.resume || flags.has('a') || action === 'reget' || action === 'reput'
  const directory = await isDirectory(source.files, source.path)
  const marked = directory && !source.path.endsWith('/') ? { ...source, path: `${source.path}/` } : source
  announce(context, way, resume, marked.path, target.path)
  const isTree = directory && recurse
  const whole = isTree ? await canonical(way, marked, target) : { source: marked, target }
  const meter = settings.showProgress ? new ProgressMeter(terminalOutput()) : undefined
  try {
    const options: TransferOptions = {
      recurse,
      preserve: settings.preserve || flags.has('p') || flags.has('P'),
      sync: settings.sync || flags.has('f'),
      resume: resume ? 'verify' : 'no',
      links: 'skip',
      modes: way === 'get' ? 'writable' : 'source',
      blockSize: settings.blockSize,
      maximumRequests: settings.maximumRequests,
      rate: settings.rate,
      signal: context.interrupted.signal,
      retry: resume ? retryOf(context, way) : undefined,
      observer: observerOf(context, way, isTree, meter),
    }
    const move = () => transfer(whole.source, whole.target, options)
    const report = isTree ? await withoutOptimizing(move) : await move()
    if (report.left > 0 && report.end === 'lost') context.error(`${report.left} not begun`)
    if (resume && way === 'get' && !directory && report.files === 1 && report.bytes === 0)
      context.error(`File "${visible(target.path)}" was not modified`)
    if (report.end === 'lost')
      throw new SftpError('connection-lost', { message: 'Connection closed', cause: report.failures.at(-1) })
    return report.failures.length === 0 && report.end === 'complete'
  } finally {
    meter?.stop()
  }
}

/** What goes on after a cut goes on by itself when the cut is now. */
const retryOf = (context: Context, way: Way): Retry => ({
  attempts: reconnectAttempts,
  isFinal: isFinalFailure,
  async reconnect() {
    context.files = await context.reconnect()
    return way === 'get' ? { source: context.files } : { target: context.files }
  },
})

function announce(context: Context, way: Way, resume: boolean, source: string, target: string): void {
  if (context.settings.quiet) return
  const verb = resume ? (way === 'get' ? 'Resuming' : 'Resuming upload of') : way === 'get' ? 'Fetching' : 'Uploading'
  context.print(`${verb} ${visible(source)} to ${visible(target)}\n`)
}

/** A tree is moved from or to the real path of the remote directory. */
async function canonical(
  way: Way,
  source: { files: FileSystem; path: string },
  target: { files: FileSystem; path: string },
) {
  const remote = way === 'get' ? source : target
  const what = `${way === 'get' ? 'download' : 'upload'} "${visible(remote.path)}": path canonicalization failed`
  try {
    const path = await remote.files.realpath(remote.path)
    return way === 'get' ? { source: { ...source, path }, target } : { source, target: { ...target, path } }
  } catch (error) {
    if (!(error instanceof SftpError) || error.code === 'connection-lost') throw error
    throw new CommandFailure(what)
  }
}

const terminalOutput = () => ({
  write: (text: string) => process.stdout.write(text),
  get columns() {
    return process.stdout.columns ?? 80
  },
})

function observerOf(context: Context, way: Way, isTree: boolean, meter: ProgressMeter | undefined): TransferObserver {
  const say = (text: string): void => {
    meter?.clear()
    context.error(text)
  }
  return {
    directory(source) {
      meter?.clear()
      context.print(`${way === 'get' ? 'Retrieving' : 'Entering'} ${visible(source)}\n`)
    },
    skipped(source, reason) {
      if (reason === 'filter') return
      const name = visible(way === 'get' ? source : baseName(source))
      if (!context.settings.quiet)
        say(way === 'get' ? `download "${name}": not a regular file` : `${name}: not a regular file`)
    },
    retrying: (attempt, milliseconds, error) => say(retryText(attempt, milliseconds, error)),
    failed(failure) {
      meter?.failed(failure.source)
      if (failure.code === 'connection-lost') return
      say(transferFailureText(failure, way))
      if (!isTree || failure.step === 'mkdir' || failure.step === 'list') return
      const [from, to] = [visible(failure.source), visible(failure.target)]
      say(way === 'get' ? `Download of file ${from} to ${to} failed` : `upload "${from}" to "${to}" failed`)
    },
    ...(meter && {
      started: ({ source, size, bytes }) => meter.start(source, baseName(source), size, bytes),
      progress: ({ source, bytes }) => meter.progress(source, bytes),
      done: ({ source, bytes }) => meter.done(source, bytes),
    }),
  }
}
