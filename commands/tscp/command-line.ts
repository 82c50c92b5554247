import { CommandError } from '../../src/command/errors.ts'
import { type CommandLineSyntax, parseCommandLine, usage } from '../../src/command/options.ts'
import { type HostFlags, hostFlags, hostOptions, requestFlag, requestSettings } from '../../src/connect/host-flags.ts'

export const syntax: CommandLineSyntax = {
  program: 'tscp',
  synopsis:
    '[-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config] [-i identity_file] [-J destination]\n' +
    '            [-l limit] [-o ssh_option] [-P port] [-S program] [-X sftp_option] [--atomic] [--json] [--parallel n]\n' +
    '            [--resume] [--verify] source ... target',
  description: 'Copies files between hosts over SSH.',
  usageStatus: 1,
  flags: [
    ...hostFlags,
    { name: '1', description: 'refused: protocol version 1 is gone' },
    { name: '2', description: 'protocol version 2, which is always used' },
    { name: '3', description: 'copy between two remote hosts through this one (the default)' },
    { name: 'd', description: 'the target must be a directory (used between two scp programs)' },
    { name: 'f', description: 'send files to standard output (used between two scp programs)' },
    { name: 'l', argument: 'limit', description: 'use at most so many kbit/s' },
    { name: 'O', description: 'use the old protocol of scp instead of SFTP' },
    { name: 'p', description: 'keep times and modes' },
    { name: 'R', description: 'copy between two remote hosts by running scp on the first one' },
    { name: 'r', description: 'copy directories with what is in them; links are followed' },
    { name: 's', description: 'use SFTP (the default)' },
    { name: 'T', description: 'take files of other names than were asked for (old protocol)' },
    { name: 't', description: 'store files from standard input (used between two scp programs)' },
    requestFlag,
    { name: 'atomic', description: 'write to a temporary name and rename when a file is whole' },
    { name: 'json', description: 'report each file and the totals as lines of JSON on standard output' },
    { name: 'parallel', argument: 'n', description: 'files in flight at once' },
    { name: 'resume', description: 'go on where an earlier copy stopped, after checking what is there' },
    { name: 'verify', description: 'compare checksums when a file was copied' },
  ],
}

/** A command line of tscp, understood. */
export interface Invocation {
  /** `send`, `receive`: the far side of another scp, on standard input and output. */
  readonly mode: 'copy' | 'send' | 'receive'
  readonly sources: readonly string[]
  readonly target: string
  readonly protocol: 'sftp' | 'scp'
  readonly betweenHosts: 'through-here' | 'directly'
  readonly recursive: boolean
  readonly preserve: boolean
  readonly targetIsDirectory: boolean
  /** Bits per second; undefined: no limit. */
  readonly limit: number | undefined
  readonly checkNames: boolean
  readonly quiet: boolean
  readonly host: HostFlags
  /** READs or WRITEs in flight; undefined: as many as pay. */
  readonly requests: number | undefined
  /** Bytes of each. */
  readonly requestSize: number | undefined
  readonly atomic: boolean
  readonly resume: boolean
  readonly verify: boolean
  readonly parallel: number | undefined
  readonly report: 'progress' | 'json'
}

/** What scp calls fatal: 255, where a file that cannot be copied is 1. */
export const fatal = (text: string): CommandError => new CommandError(`tscp: ${text}`, 255)

/** Highest limit of `-l`, in kbit/s (scp.c). */
const highestLimit = 100 * 1024 * 1024

/** @throws CommandError (1) with the usage */
export function parseInvocation(args: readonly string[]): Invocation {
  const { flags, operands } = parseCommandLine(syntax, args)
  const has = (name: string): boolean => flags.some(flag => flag.name === name)
  const last = (name: string): string | undefined => flags.findLast(flag => flag.name === name)?.value
  if (has('1')) throw fatal('SSH protocol v.1 is no longer supported')
  const mode = has('f') ? 'send' : has('t') ? 'receive' : 'copy'
  if (operands.length < (mode === 'copy' ? 2 : 1) || (mode === 'receive' && operands.length > 1)) {
    throw new CommandError(usage(syntax), 1)
  }
  const { requests, requestSize, replyTimeout } = requestSettings('tscp: ', flags)
  const sources = mode === 'send' ? operands : operands.slice(0, -1)
  return {
    mode,
    sources,
    target: operands.at(-1)!,
    protocol: (flags.findLast(({ name }) => name === 'O' || name === 's')?.name ?? 's') === 'O' ? 'scp' : 'sftp',
    betweenHosts:
      (flags.findLast(({ name }) => name === '3' || name === 'R')?.name ?? '3') === 'R' ? 'directly' : 'through-here',
    recursive: has('r'),
    preserve: has('p'),
    targetIsDirectory: has('d') || sources.length > 1,
    limit: limitOf(last('l')),
    checkNames: !has('T'),
    quiet: has('q'),
    host: { ...hostOptions('tscp', flags), replyTimeout, noticesLoss: has('resume') },
    requests,
    requestSize,
    atomic: has('atomic'),
    resume: has('resume'),
    verify: has('verify'),
    parallel: countOf('parallel', last('parallel'), 1024),
    report: has('json') ? 'json' : 'progress',
  }
}

function limitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const limit = /^\d+$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > highestLimit) throw new CommandError(usage(syntax), 1)
  return limit * 1024
}

function countOf(flag: string, text: string | undefined, highest: number): number | undefined {
  if (text === undefined) return undefined
  const count = /^\d+$/.test(text) ? Number(text) : 0
  if (count < 1 || count > highest) throw new CommandError(`--${flag}: a number from 1 to ${highest} is needed`, 1)
  return count
}
