import { type FSWatcher, statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, SshError, sanitize } from '../../lib/errors.ts'
import type { Rule } from '../../lib/sftp/rules.ts'
import { applySync, planSync, type SyncOptions, type SyncPlan } from '../../lib/sftp/sync.ts'
import type { Retry, TransferEnd } from '../../lib/sftp/transfer.ts'
import { CommandError } from '../../src/command/errors.ts'
import { abortedBySignals } from '../../src/command/interruption.ts'
import { type CommandLineSyntax, type Flag, parseCommandLine, usage } from '../../src/command/options.ts'
import { FileHosts } from '../../src/connect/file-hosts.ts'
import { type HostFlags, hostFlags, hostOptions } from '../../src/connect/host-flags.ts'
import { type Operand, parseOperand } from '../../src/connect/operands.ts'
import { expandHome, type Place, placeOf } from '../../src/connect/places.ts'
import { insist, retryOf, retryText } from '../../src/connect/retrying.ts'
import { reasonText } from '../../src/sftp/texts.ts'

const flags: readonly Flag[] = [
  ...hostFlags,
  { name: 'checksum', description: 'compare contents instead of size and modification time' },
  { name: 'delete', description: 'remove from the target what the source does not have' },
  { name: 'dry-run', description: 'only say what would be done' },
  { name: 'exclude', argument: 'pattern', description: 'leave out; of several rules the first that matches counts' },
  { name: 'include', argument: 'pattern', description: 'take part in spite of a later --exclude' },
  { name: 'json', description: 'report in lines of JSON' },
  { name: 'l', argument: 'limit', description: 'use at most so many kbit/s' },
  { name: 'parallel', argument: 'n', description: 'files in flight at once' },
  { name: 'watch', description: 'go on until interrupted: again after each change of the source' },
]

export const syntax: CommandLineSyntax = {
  program: 'tsftp sync',
  synopsis:
    '[-46ABCqv] [-c cipher] [-D sftp_server] [-F ssh_config] [-i identity_file] [-J destination] [-l limit]\n' +
    '                  [-o ssh_option] [-P port] [-S program] [--checksum] [--delete] [--dry-run] [--exclude pattern]\n' +
    '                  [--include pattern] [--json] [--parallel n] [--watch] source target',
  description: 'Makes the target like the source, a file or a directory: copies only what differs.',
  usageStatus: 1,
  flags,
}

interface SyncInvocation {
  readonly source: Operand
  readonly target: Operand
  readonly host: HostFlags
  readonly sync: SyncOptions
  readonly mode: 'once' | 'dry-run' | 'watch'
  readonly json: boolean
  readonly quiet: boolean
}

/** @throws CommandError (1) with the usage */
export function parseSync(args: readonly string[]): SyncInvocation {
  const line = parseCommandLine(syntax, args)
  const has = (name: string): boolean => line.flags.some(flag => flag.name === name)
  const number = (name: string): number | undefined => {
    const text = line.flags.findLast(flag => flag.name === name)?.value
    if (text === undefined) return undefined
    if (!/^[1-9]\d{0,8}$/.test(text)) throw new CommandError(usage(syntax), 1)
    return Number(text)
  }
  const [source, target, ...more] = line.operands
  if (source === undefined || target === undefined || more.length > 0) throw new CommandError(usage(syntax), 1)
  const limit = number('l')
  const rules = line.flags.flatMap(({ name, value }): Rule[] =>
    name === 'include' || name === 'exclude' ? [{ action: name, pattern: value }] : [],
  )
  return {
    source: parseOperand(source),
    target: parseOperand(target),
    host: hostOptions('tsftp', line.flags),
    sync: {
      compare: has('checksum') ? 'contents' : 'times',
      remove: has('delete'),
      rules,
      maximumFiles: number('parallel'),
      rate: limit === undefined ? undefined : (limit * 1024) / 8,
    },
    mode: has('dry-run') ? 'dry-run' : has('watch') ? 'watch' : 'once',
    json: has('json'),
    quiet: has('q'),
  }
}

/** `tsftp sync`. Resolves to the exit status: 1 when something failed. */
export async function runSync(args: readonly string[]): Promise<number> {
  const invocation = parseSync(args)
  const hosts = new FileHosts(invocation.host)
  const interrupted = abortedBySignals()
  try {
    const [from, to] = [await placeOf(hosts, invocation.source), await placeOf(hosts, invocation.target)]
    const ends = {
      source: await endOf(from, invocation.source.path),
      target: await endOf(to, invocation.target.path),
      retry: retryOf(from, to),
    }
    if (invocation.mode !== 'watch') return await syncOnce(invocation, ends, interrupted)
    let status = 0
    for await (const _ of changes(from, ends.source, interrupted)) {
      status = await syncOnce(invocation, ends, interrupted)
    }
    return status
  } catch (error) {
    if (error instanceof CommandError || !(error instanceof SshError)) throw error
    throw new CommandError(`tsftp: ${sanitize(messageOf(error), true)}`, 1, { cause: error })
  } finally {
    await hosts.close()
  }
}

/** Its files are those of the connection that there is at the time. */
async function endOf(place: Place, typed: string): Promise<TransferEnd> {
  const path = await expandHome(place, typed)
  return {
    path,
    get files() {
      return place.files
    },
  }
}

async function syncOnce(
  invocation: SyncInvocation,
  { source, target, retry }: { source: TransferEnd; target: TransferEnd; retry: Retry | undefined },
  signal: AbortSignal,
): Promise<number> {
  const say = speaker(invocation)
  const retrying = (attempt: number, milliseconds: number, error: Error): void =>
    say('retry', undefined, { attempt, seconds: milliseconds / 1000, error: retryText(attempt, milliseconds, error) })
  const plan = await insist(retry, { signal, retrying }, () => planSync(source, target, invocation.sync))
  if (invocation.mode === 'dry-run') {
    sayPlan(plan, say)
    return 0
  }
  const report = await applySync(source, target, plan, {
    ...invocation.sync,
    signal,
    retry,
    observer: {
      retrying,
      done: file => say('copied', file.source, { bytes: file.bytes }),
      removed: path => say('removed', path),
      failed: failure => say('failed', failure.source, { error: failure.message }),
      notRemoved: (path, error) => say('failed', path, { error: error.message }),
    },
  })
  if (report.files + report.links + report.removed > 0 || invocation.mode === 'once') {
    const { files, links, removed, bytes } = report
    say('total', undefined, { files, links, removed, bytes, failed: report.failures.length + report.kept })
  }
  return report.failures.length + report.kept > 0 || report.end !== 'complete' ? 1 : 0
}

type Event = 'copied' | 'removed' | 'failed' | 'retry' | 'total' | 'make' | 'copy' | 'remove'
type Say = (event: Event, path: string | undefined, more?: Readonly<Record<string, string | number>>) => void

function sayPlan(plan: SyncPlan, say: Say): void {
  for (const path of plan.make) say('make', path || '.')
  for (const path of plan.copy) say('copy', path || '.')
  for (const path of plan.remove) say('remove', path)
  say('total', undefined, { files: plan.copy.length, removed: plan.remove.length, bytes: plan.bytes })
}

/** Lines for people, or JSON for scripts. Failures go to stderr. */
function speaker({ json, quiet }: SyncInvocation): Say {
  if (json) return (event, path, more) => process.stdout.write(`${JSON.stringify({ event, path, ...more })}\n`)
  return (event, path, more = {}) => {
    if (event === 'failed' || (event === 'retry' && !quiet))
      process.stderr.write(`tsftp: ${sanitize(String(more['error']), true)}\n`)
    else if (quiet) return
    else if (event === 'total') process.stdout.write(`${totalText(more)}\n`)
    else process.stdout.write(`${event.padEnd(8)} ${sanitize(path ?? '', true)}\n`)
  }
}

const totalText = ({
  files = 0,
  removed = 0,
  bytes = 0,
  failed = 0,
}: Readonly<Record<string, string | number>>): string =>
  `${files} files, ${bytes} bytes copied, ${removed} removed${failed ? `, ${failed} failed` : ''}`

/** How long changes are gathered before they are copied, in milliseconds. */
const settling = 200
/** How often a remote source is looked at, in milliseconds: SFTP tells of no changes. */
const pollInterval = 2000

/** Yields at once, and then whenever the source may have changed, until the signal. */
async function* changes(from: Place, source: TransferEnd, signal: AbortSignal): AsyncGenerator<void, void> {
  let wake: () => void = () => {}
  let changed = false
  // From before the first copy on, so that no change falls between the two.
  const watcher =
    from.kind === 'local'
      ? watchLocal(source.path, () => {
          changed = true
          wake()
        })
      : undefined
  signal.addEventListener('abort', () => wake())
  try {
    while (!signal.aborted) {
      changed = false
      yield
      if (watcher && !changed && !signal.aborted) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      await sleep(watcher ? settling : pollInterval, undefined, { signal }).catch(() => {})
    }
  } finally {
    watcher?.close()
  }
}

/** @throws CommandError when nothing is there, or the system watches no more */
function watchLocal(path: string, changed: () => void): FSWatcher {
  try {
    const isTree = statSync(path).isDirectory()
    // The name of a single file may come to stand for another file, which a watch of the file would not see.
    const watcher = isTree
      ? watch(path, { recursive: true }, changed)
      : watch(dirname(path), (_event, name) => {
          if (name === null || name === basename(path)) changed()
        })
    // A directory that is gone meanwhile is for the next comparison to tell.
    return watcher.on('error', changed)
  } catch (error) {
    throw new CommandError(`tsftp: ${sanitize(path, true)}: ${reasonText(error)}`, 1, { cause: error })
  }
}
