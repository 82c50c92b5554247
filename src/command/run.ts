import { messageOf, SshError } from '../../lib/errors.ts'
import { collectYoungGarbage } from '../native/garbage.ts'
import { CommandError } from './errors.ts'

export interface MainOptions {
  /** Name that error lines begin with, and that `$0` would have. */
  readonly program: string
  /** Exit status of an error that does not name its own: 255 for tssh and tsshd, 1 for the others. */
  readonly failureStatus: number
}

/** A command: takes the arguments after the program's name, resolves to its exit status. */
export type Main = ((args: readonly string[]) => Promise<number>) & { readonly options: MainOptions }

/** Declares a command's main function. */
export function defineMain(options: MainOptions, main: (args: readonly string[]) => Promise<number>): Main {
  return Object.assign(main, { options })
}

/**
 * Runs a command as a process: the only place that turns an error into text and an exit status. What was written to
 * stdout and stderr is flushed before the process ends.
 */
export async function run(main: Main): Promise<void> {
  const { program, failureStatus } = main.options
  ignoreBrokenPipes()
  // Nothing is left to wait for, and yet the command has not ended: that must not look like success.
  process.once('beforeExit', () => {
    process.stderr.write(`${program}: ended before its work was done\n`)
    process.exitCode = failureStatus
  })
  collectYoungGarbage()
  let status: number
  try {
    status = await main(process.argv.slice(2))
  } catch (error) {
    status = error instanceof CommandError ? error.exitStatus : failureStatus
    const text = describeFailure(program, error)
    if (text) process.stderr.write(`${text}\n`)
  }
  await Promise.all(streams.map(flushed))
  process.exit(status)
}

function describeFailure(program: string, error: unknown): string {
  if (error instanceof CommandError) return error.message
  if (error instanceof SshError) return `${program}: ${error.message}`
  // A bug of ours: the stack is what a report needs.
  return error instanceof Error && error.stack ? `${program}: ${error.stack}` : `${program}: ${messageOf(error)}`
}

/** The streams that were made: Node makes each when it is first asked for, which takes a while. */
const streams: NodeJS.WriteStream[] = []

/** A reader that went away (`tssh host cmd | head`) is not a crash: writes to it fail and are dropped. */
function ignoreBrokenPipes(): void {
  for (const name of ['stdout', 'stderr'] as const) {
    const own = Object.getOwnPropertyDescriptor(process, name)
    if (!own?.get || !own.configurable) streams.push(process[name].on('error', () => {}))
    else {
      Object.defineProperty(process, name, {
        ...own,
        get() {
          Object.defineProperty(process, name, own)
          streams.push(process[name].on('error', () => {}))
          return process[name]
        },
      })
    }
  }
}

const flushed = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise(resolve => {
    if (stream.writableLength === 0 || stream.destroyed) resolve()
    else stream.write('', () => resolve())
  })
