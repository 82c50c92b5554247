import { messageOf, sanitize } from '../../lib/errors.ts'
import { baseName } from '../../lib/sftp/paths.ts'
import { retryText } from '../../src/connect/retrying.ts'
import { visible } from '../../src/terminal/names.ts'
import type { Invocation } from './command-line.ts'

/** What the user, or a script, is told of a copy. */
export interface Reporter {
  /** The job is larger by so much. Absent: nobody wants to know. */
  found?(files: number, bytes: number): void
  started(source: string, target: string, size: number): void
  /** `bytes`: of this file, so far. */
  progress(source: string, bytes: number): void
  done(source: string, target: string, size: number): void
  /** `lost`: with the connection, which is told on its own. */
  failed(source: string, text: string, why?: 'lost'): void
  /** A line that is about no single file. */
  error(text: string): void
  /** The connection is lost, and is tried again after so many milliseconds. */
  retrying(attempt: number, milliseconds: number, error: Error): void
  /** So many things were not begun. */
  left(count: number): void
  end(): void
}

/** `manyFiles`: totals are shown, not the meter of one file. */
export async function createReporter({ report, quiet, recursive, sources, resume }: Invocation): Promise<Reporter> {
  if (report === 'json') return jsonReporter()
  const reporter =
    quiet || !process.stdout.isTTY
      ? lineReporter(quiet)
      : await (recursive || sources.length > 1 ? totalsReporter() : meterReporter())
  return resume ? summarized(reporter) : reporter
}

/** Files that a summary names. */
const namedFailures = 20

/** Says once more at the end what was not copied: above it there may be pages. */
function summarized(reporter: Reporter): Reporter {
  const failures: string[] = []
  let failed = 0
  let left = 0
  return {
    ...reporter,
    failed(source, text, why) {
      failed++
      if (failures.length < namedFailures) failures.push(source)
      reporter.failed(source, text, why)
    },
    left(count) {
      left += count
    },
    end() {
      reporter.end()
      if (failed + left < 2) return
      errorLine(`tscp: ${failed} not copied${left > 0 ? `, ${left} more not begun` : ''}:`)
      for (const name of failures) errorLine(`  ${visible(name)}`)
      if (failed > failures.length) errorLine(`  and ${failed - failures.length} more`)
    },
  }
}

const leftText = (count: number): string => `tscp: ${count} not begun`

const errorLine = (text: string): void => void process.stderr.write(`${sanitize(text)}\n`)
const nothing = (): void => {}

/** Errors alone, on stderr, as scp writes them. */
const lineReporter = (quiet: boolean): Reporter => ({
  started: nothing,
  progress: nothing,
  done: nothing,
  failed: (_source, text, why) => why === 'lost' || errorLine(`tscp: ${text}`),
  error: errorLine,
  retrying: (...what) => quiet || errorLine(`tscp: ${retryText(...what)}`),
  left: count => errorLine(leftText(count)),
  end: nothing,
})

/** A meter as scp has it. */
async function meterReporter(): Promise<Reporter> {
  const { ProgressMeter } = await import('../../src/terminal/progress.ts')
  const meter = new ProgressMeter({
    write: text => process.stdout.write(text),
    get columns() {
      return process.stdout.columns || 80
    },
  })
  const say = (text: string): void => {
    meter.clear()
    errorLine(text)
  }
  return {
    started: (source, _target, size) => meter.start(source, baseName(source), size),
    progress: (source, bytes) => meter.progress(source, bytes),
    done: (source, _target, size) => meter.done(source, size),
    failed(source, text, why) {
      meter.failed(source)
      if (why !== 'lost') errorLine(`tscp: ${text}`)
    },
    error: say,
    retrying: (...what) => say(`tscp: ${retryText(...what)}`),
    left: count => say(leftText(count)),
    end: () => meter.stop(),
  }
}

/** A bar for the whole job, and a line for each file that is there. */
async function totalsReporter(): Promise<Reporter> {
  const { JobProgress } = await import('../../src/terminal/job-progress.ts')
  const job = new JobProgress(process.stdout)
  const moved = new Map<string, number>()
  return {
    found: (files, bytes) => job.found(files, bytes),
    started: source => void moved.set(source, 0),
    progress(source, bytes) {
      job.moved(bytes - (moved.get(source) ?? 0))
      moved.set(source, bytes)
    },
    done(source) {
      moved.delete(source)
      job.done(visible(source))
    },
    failed(source, text, why) {
      moved.delete(source)
      if (why !== 'lost') job.say(`tscp: ${sanitize(text, true)}`)
    },
    error: text => job.say(sanitize(text, true)),
    retrying: (...what) => job.say(`tscp: ${retryText(...what)}`),
    left: count => job.say(leftText(count)),
    end: () => job.end(),
  }
}

/** One JSON value a line (`--json`): `file` for each that arrived, `failed`, `error`, `retry`, `total` last. */
function jsonReporter(): Reporter {
  const begun = performance.now()
  const total = { files: 0, bytes: 0, failed: 0, left: 0 }
  const write = (value: object): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
  return {
    started: nothing,
    progress: nothing,
    done(source, target, size) {
      total.files++
      total.bytes += size
      write({ event: 'file', source, target, bytes: size })
    },
    failed(source, error) {
      total.failed++
      write({ event: 'failed', source, error })
    },
    error: text => write({ event: 'error', error: text }),
    retrying: (attempt, milliseconds, error) =>
      write({ event: 'retry', attempt, seconds: milliseconds / 1000, error: messageOf(error) }),
    left: count => {
      total.left += count
    },
    end: () => write({ event: 'total', ...total, seconds: (performance.now() - begun) / 1000 }),
  }
}
