import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { hasMagic } from '../../lib/sftp/glob.ts'
import { OpenFlag } from '../../lib/sftp/messages.ts'
import { baseName, joinPath } from '../../lib/sftp/paths.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { commonPrefix } from '../../lib/sftp/transfer/resume.ts'
import { type TransferError, type TransferOptions, type TransferReport, transfer } from '../../lib/sftp/transfer.ts'
import { collect, glob, typeOf, walk } from '../../lib/sftp/tree.ts'
import type { Operand } from '../../src/connect/operands.ts'
import { expandHome, type Place, placeOf } from '../../src/connect/places.ts'
import { insist, retryOf } from '../../src/connect/retrying.ts'
import { withoutOptimizing } from '../../src/native/optimizing.ts'
import { lossText, reasonText } from '../../src/sftp/texts.ts'
import { visible } from '../../src/terminal/names.ts'
import { fatal } from './command-line.ts'
import type { CopyContext } from './context.ts'

/**
 * Copies over SFTP, or within this machine. Resolves to how many sources failed, in part or as a whole.
 * @throws SshError when a host cannot be reached
 */
export async function copy(context: CopyContext, sources: readonly Operand[], target: Operand): Promise<number> {
  const to = await placeOf(context.hosts, target)
  const targetPath = await expandHome(to, target.path)
  let failed = 0
  for (const source of sources) {
    if (context.signal.aborted) break
    const from = await placeOf(context.hosts, source)
    const found = await again(context, from, to, () => prepare(context, from, source.path, to, targetPath))
    for (const [path, into] of found?.copies ?? []) {
      if (await copyTree(context, from, path, to, into)) continue
      found!.whole = false
      if (from.kind === 'local' && to.kind === 'remote' && !context.signal.aborted)
        await tellUpload(context, from, path, targetPath)
    }
    if (!found?.whole) failed++
  }
  return failed
}

/** scp says this after the reason, of what it was told to send. */
async function tellUpload({ invocation, reporter }: CopyContext, from: Place, source: string, target: string) {
  if (invocation.report === 'json') return
  const isTree = invocation.recursive && (await typeOf(from.files, source).catch(() => undefined)) === 'directory'
  const kind = isTree ? 'directory' : 'file'
  reporter.error(`tscp: failed to upload ${kind} ${visible(source)} to ${visible(target)}`)
}

/** With `--resume`, does something again after each lost connection. */
function again<T>(context: CopyContext, from: Place, to: Place, action: () => Promise<T>): Promise<T> {
  const { invocation, reporter, signal } = context
  return insist(invocation.resume ? retryOf(from, to) : undefined, { signal, retrying: reporter.retrying }, action)
}

/** Which paths an operand names, and where each goes; undefined when it was told why not. */
async function prepare(
  context: CopyContext,
  from: Place,
  typed: string,
  to: Place,
  target: string,
): Promise<{ copies: [string, string][]; whole: boolean } | undefined> {
  const { invocation, reporter } = context
  const fail = (text: string): undefined => {
    reporter.failed(typed, text)
    return undefined
  }
  const paths = await sourcePaths(from, await expandHome(from, typed))
  if (paths.length === 0) {
    // The user's own file: nothing more is done, as scp has it.
    if (from.kind === 'local' && to.kind === 'remote') throw fatal(`stat local "${typed}": No such file or directory`)
    return fail(`${visible(typed)}: No such file or directory`)
  }
  let targetType = await typeOf(to.files, target)
  if (targetType !== 'directory' && (invocation.targetIsDirectory || paths.length > 1)) {
    if (from.kind === 'remote' && to.kind === 'remote')
      return fail(`${visible(target)}: destination is not a directory`)
    try {
      await to.files.mkdir(target)
    } catch (error) {
      throw fatal(`${to.kind} mkdir "${visible(target)}": ${reasonText(error)}`)
    }
    targetType = 'directory'
  }
  return {
    whole: true,
    copies: paths.map(path => {
      const name = baseName(path)
      // `dir/..` and `.` are copied into the target itself.
      const inside = name === '..' || name === '.' || name === '' ? '' : name
      return [path, targetType === 'directory' ? joinPath(target, inside) || target : target]
    }),
  }
}

/** The local shell has expanded its own patterns; those of the other side are for us. */
async function sourcePaths({ kind, files }: Place, path: string): Promise<string[]> {
  if (kind === 'local' || !hasMagic(path)) return (await typeOf(files, path)) === undefined ? [] : [path]
  const found = (await collect(glob(files, path))).map(match => match.path)
  if (found.length > 0) return found
  // A name may hold the characters of a pattern.
  return (await typeOf(files, path)) === undefined ? [] : [path]
}

/** Bytes of a request under `-l`. */
const slowBlock = 16 * 1024

async function copyTree(
  context: CopyContext,
  from: Place,
  source: string,
  to: Place,
  target: string,
): Promise<boolean> {
  const { invocation, reporter, signal } = context
  const type = await again(context, from, to, () => typeOf(from.files, source))
  if (type !== 'file' && !(type === 'directory' && invocation.recursive)) {
    const marked = type === 'directory' && !source.endsWith('/') ? `${source}/` : source
    const text = from.kind === 'local' ? `local "${visible(source)}" is not` : `download ${visible(marked)}: not`
    reporter.failed(source, `${text} a regular file`)
    return false
  }
  const arrived: { source: string; target: string; size: number }[] = []
  const options: TransferOptions = {
    recurse: invocation.recursive,
    preserve: invocation.preserve,
    links: 'follow',
    // What is fetched can be written by its owner, as scp has it.
    modes: from.kind === 'remote' && to.kind === 'local' ? 'writable' : 'source',
    // At a low rate, data goes in small steps.
    blockSize: invocation.requestSize ?? (invocation.limit === undefined ? undefined : slowBlock),
    maximumRequests: invocation.requests,
    maximumFiles: invocation.parallel,
    atomic: invocation.atomic,
    resume: invocation.resume ? 'verify' : 'no',
    retry: invocation.resume ? retryOf(from, to) : undefined,
    rate: invocation.limit === undefined ? undefined : invocation.limit / 8,
    signal,
    observer: {
      started: file => reporter.started(file.source, file.target, file.size),
      progress: file => reporter.progress(file.source, file.bytes),
      done(file) {
        if (invocation.verify) arrived.push({ ...file, size: file.bytes })
        reporter.done(file.source, file.target, file.bytes)
      },
      failed: failure =>
        reporter.failed(
          failure.source,
          failureText(failure, from, to),
          failure.code === 'connection-lost' ? 'lost' : undefined,
        ),
      retrying: reporter.retrying,
    },
  }
  const count = countFiles(context, from, source)
  const copy = () => transfer({ files: from.files, path: source }, { files: to.files, path: target }, options)
  const report = type === 'directory' ? await withoutOptimizing(copy) : await copy()
  await count
  if (report.left > 0) reporter.left(report.left)
  if (report.end === 'lost') throw lost(report)
  let whole = report.failures.length === 0 && report.end === 'complete'
  for (const file of arrived) {
    const difference = await again(context, from, to, () => differenceOf(from, to, file))
    if (difference === undefined) continue
    whole = false
    reporter.failed(file.source, difference)
  }
  return whole
}

function lost({ failures }: TransferReport): Error {
  const reason = failures.map(lossText).find(text => text !== undefined)
  return new SftpError('connection-lost', {
    message: reason === undefined ? 'Connection closed' : `${reason}\nConnection closed`,
  })
}

/** Finds out how large the job is while it runs. What cannot be read here fails there. */
async function countFiles({ reporter, signal }: CopyContext, { files }: Place, source: string): Promise<void> {
  if (!reporter.found) return
  try {
    const { type, size = 0 } = await files.stat(source)
    if (type !== 'directory') return reporter.found(1, size)
    for await (const found of walk(files, source)) {
      if (signal.aborted) return
      reporter.found(
        found.files.length,
        found.files.reduce((total, { attributes }) => total + (attributes.size ?? 0), 0),
      )
    }
  } catch {
    // The copy says why.
  }
}

const verifiedBlock = 256 * 1024

/**
 * `--verify`: by the servers' checksums where both have them, else by reading both. Undefined: the copy is right, else what
 * is wrong. @throws SftpError connection-lost
 */
async function differenceOf(
  from: Place,
  to: Place,
  { source, target, size }: { source: string; target: string; size: number },
): Promise<string | undefined> {
  try {
    return (await isSame(from.files, to.files, source, target, size))
      ? undefined
      : `${visible(target)} is not the same as ${visible(source)}`
  } catch (error) {
    if (!(error instanceof SftpError) || error.code === 'connection-lost') throw error
    return `verify "${visible(target)}": ${reasonText(error)}`
  }
}

async function isSame(
  from: FileSystem,
  to: FileSystem,
  source: string,
  target: string,
  size: number,
): Promise<boolean> {
  const a = await from.open(source, OpenFlag.read)
  try {
    const b = await to.open(target, OpenFlag.read)
    try {
      return (await b.stat()).size === size && (await commonPrefix(a, b, size, verifiedBlock)) === size
    } finally {
      await b.close().catch(() => {})
    }
  } finally {
    await a.close().catch(() => {})
  }
}

/** What scp says of a failure. */
function failureText({ step, source, target, reason }: TransferError, from: Place, to: Place): string {
  const text = reasonText(reason)
  const [one, other] = [visible(source), visible(target)]
  switch (step) {
    case 'open-source':
      return from.kind === 'local' ? `open local "${one}": ${text}` : `remote open "${one}": ${text}`
    case 'read':
      return `read ${from.kind} "${one}": ${text}`
    case 'open-target':
      return to.kind === 'local' ? `open local "${other}": ${text}` : `dest open "${other}": ${text}`
    case 'write':
      return `write ${to.kind} "${other}": ${text}`
    case 'mkdir':
      return to.kind === 'local' ? `mkdir "${other}": ${text}` : `remote mkdir "${other}": ${text}`
    case 'attributes':
    case 'finish':
    case 'rename':
      return `${other}: ${text}`
    case 'resume':
      return `resume "${other}": ${text}`
    default:
      return `${one}: ${text}`
  }
}
