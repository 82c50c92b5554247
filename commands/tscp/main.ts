import { stat } from 'node:fs/promises'
import { SshError } from '../../lib/errors.ts'
import { ScpError } from '../../lib/scp/dialogue.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { CommandError } from '../../src/command/errors.ts'
import { abortedBySignals } from '../../src/command/interruption.ts'
import { defineMain } from '../../src/command/run.ts'
import { FileHosts } from '../../src/connect/file-hosts.ts'
import { type Operand, parseOperand, type RemoteOperand } from '../../src/connect/operands.ts'
import { type Invocation, parseInvocation } from './command-line.ts'
import type { CopyContext } from './context.ts'
import { createReporter } from './reporter.ts'

export { run } from '../../src/command/run.ts'

export const main = defineMain({ program: 'tscp', failureStatus: 255 }, async args => {
  const invocation = parseInvocation(args)
  if (invocation.mode !== 'copy') return (await import('./far.ts')).serve(invocation)
  const reporter = await createReporter(invocation)
  const hosts = new FileHosts(invocation.host)
  const interrupted = abortedBySignals()
  try {
    return await copyAll({ invocation, hosts, reporter, signal: interrupted })
  } finally {
    reporter.end()
    await hosts.close()
  }
})

/** Copies each source in turn. Resolves to the exit status: 1 when something failed, 255 when a connection was lost. */
async function copyAll(context: CopyContext): Promise<number> {
  const { invocation, reporter, signal } = context
  const target = parseOperand(invocation.target)
  const sources = invocation.sources.map(parseOperand)
  if (invocation.protocol === 'scp') checkLegacy(invocation)
  if (target.kind === 'local' && invocation.targetIsDirectory) await checkDirectory(target.path)
  let status = 0
  for (const batch of batches(sources)) {
    if (signal.aborted) break
    try {
      if ((await copyBatch(context, batch, target)) > 0) status = Math.max(status, 1)
    } catch (error) {
      // Another source may come from a host that works; a target that does not work ends all.
      if (signal.aborted && error instanceof SshError) break
      const endsAll = target.kind === 'remote'
      // The old protocol's failures are 1, a lost connection too.
      if (!(error instanceof SshError) || (endsAll && !(error instanceof ScpError))) throw error
      reporter.error(error instanceof CommandError ? error.message : `tscp: ${error.message.replace(/^scp: /, '')}`)
      status = Math.max(status, isLoss(error) ? 255 : 1)
      if (endsAll) break
    }
  }
  return signal.aborted ? 1 : status
}

const isLoss = (error: SshError): boolean => error instanceof SftpError && error.code === 'connection-lost'

/** Local sources that follow one another go through one dialogue. */
function batches(sources: readonly Operand[]): Operand[][] {
  const all: Operand[][] = []
  for (const source of sources) {
    const last = all.at(-1)
    if (source.kind === 'local' && last?.[0]?.kind === 'local') last.push(source)
    else all.push([source])
  }
  return all
}

async function copyBatch(context: CopyContext, sources: readonly Operand[], target: Operand): Promise<number> {
  const { invocation, hosts } = context
  const first = sources[0]!
  const overLegacy =
    invocation.protocol === 'scp' || (invocation.betweenHosts === 'directly' && bothRemote(first, target))
  if (!overLegacy || (first.kind === 'local' && target.kind === 'local')) {
    return (await import('./sftp.ts')).copy(context, sources, target)
  }
  const legacy = await import('./legacy.ts')
  if (first.kind === 'local' && target.kind === 'remote') {
    const paths = sources.map(({ path }) => path)
    return legacy.upload(context, await hosts.open(target), paths, target.path)
  }
  const source = first as RemoteOperand
  if (target.kind === 'local') return legacy.download(context, await hosts.open(source), source, target.path)
  if (invocation.betweenHosts === 'directly')
    return legacy.relayDirectly(context, await hosts.open(source), source, target)
  return legacy.relay(context, await hosts.open(source), source, await hosts.open(target), target)
}

/** @throws CommandError as scp says it */
async function checkDirectory(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (!stats) throw new CommandError(`${path}: No such file or directory`, 1)
  if (!stats.isDirectory()) throw new CommandError(`${path}: Not a directory`, 1)
}

const bothRemote = (a: Operand, b: Operand): boolean => a.kind === 'remote' && b.kind === 'remote'

/** @throws CommandError for what the old protocol cannot do */
function checkLegacy({ atomic, resume, verify, host }: Invocation): void {
  const flag = atomic
    ? '--atomic'
    : resume
      ? '--resume'
      : verify
        ? '--verify'
        : host.localServer !== undefined
          ? '-D'
          : undefined
  if (flag) throw new CommandError(`tscp: ${flag} needs SFTP; it cannot be used with -O`, 1)
}
