import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { versionLine } from '../../src/command/version.ts'
import type { Forwards } from '../../src/connect/forwards.ts'
import { reach } from '../../src/connect/way.ts'
import type { JumpHost } from '../../src/openssh/forwarding.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import { type Invocation, parseInvocation } from './command-line.ts'
import { inherited, resolveConfig } from './config.ts'
import { earlyLog, logOf, tellFailure } from './log.ts'
import { Prompts } from './prompts.ts'
import { wantsTerminal } from './terminal-request.ts'
import { reportUnsupported } from './unsupported.ts'

/** Does what a command line asks for. @returns the exit status */
export async function invoke(args: readonly string[]): Promise<number> {
  const invocation = parseInvocation(args)
  if (invocation.mode === 'print-version') {
    process.stderr.write(`${versionLine()}\n`)
    return 0
  }
  if (invocation.mode === 'query') return (await import('./query.ts')).printQuery(invocation.query ?? '')
  if (invocation.mode === 'lint') {
    const { lintReport } = await import('./print-config.ts')
    const { text, status } = lintReport(invocation.destination, invocation.json)
    process.stdout.write(text)
    return status
  }
  const log = earlyLog(invocation)
  log.debug1?.(versionLine())
  const config = await resolveConfig(invocation, log)
  if (invocation.mode === 'print-config') {
    const { printSshConfig } = await import('../../src/openssh/print.ts')
    process.stdout.write(printSshConfig(config))
    return 0
  }
  if (invocation.mode === 'explain-config') {
    const { explanationText } = await import('./print-config.ts')
    process.stdout.write(explanationText(config, invocation.json))
    return 0
  }
  if (invocation.mode === 'list-keys') {
    const { listKeys } = await import('./list-keys.ts')
    process.stdout.write(await listKeys(config, await logOf(invocation, config)))
    return 0
  }
  if (config.forkAfterAuthentication) {
    const background = await import('./background.ts')
    if (!background.isBackground()) return background.startInBackground(args)
  }
  return connectAndRun(invocation, config)
}

async function connectAndRun(invocation: Invocation, config: SshConfig): Promise<number> {
  const log = await logOf(invocation, config)
  const terminal = wantsTerminal(config, invocation, log)
  reportUnsupported(config, log)
  const started = performance.now()
  const prompts = new Prompts(process.env)
  const options = {
    config,
    log,
    ask: prompts.ask,
    print: (text: string) => void process.stderr.write(`${text}\n`),
    env: process.env,
    hopConfig: async (hop: JumpHost, before: readonly string[]) =>
      (await import('../../src/connect/hop-config.ts')).hopConfig(hop, before, inherited(invocation, log)),
  }
  // The server gets to work while the engine is loaded. Some promises lie before the connection is asked for: without a
  // turn of the event loop, loading would come before them.
  const way = reach(options)
  way.catch(() => {})
  await new Promise(setImmediate)
  try {
    const { openConnection } = await import('../../src/connect/open.ts')
    const forwards = await forwardsOf(config, log)
    const opened = await openConnection({
      ...options,
      way,
      ...(forwards && { connection: { channelTypes: forwards.channelTypes } }),
    })
    diesOfSignals(config, log)
    const { runSession } = await import('./session.ts')
    const status = await runSession({ opened, config, invocation, terminal, prompts, forwards, log, env: process.env })
    opened.close()
    sayStatistics(opened.client.transport.statistics, started, log)
    log.debug1?.(`Exit status ${status}`)
    return status
  } catch (error) {
    const explained = (await import('../../src/connect/failures.ts')).explain(error, config)
    if (!(explained instanceof CommandError)) throw explained
    return tellFailure(explained, log)
  }
}

/** Forwarding is loaded only where something is to be forwarded. */
async function forwardsOf(config: SshConfig, log: Log): Promise<Forwards | undefined> {
  const { localForward, remoteForward, dynamicForward, forwardAgent, enableEscapeCommandline } = config
  // The command line of the escapes may ask for some later.
  if (
    !forwardAgent &&
    !enableEscapeCommandline &&
    localForward.length + remoteForward.length + dynamicForward.length === 0
  )
    return undefined
  const { createForwards } = await import('../../src/connect/forwards.ts')
  const { forwardedAgentOf } = await import('../../src/connect/credentials.ts')
  return createForwards({ config, agentSocket: forwardedAgentOf(config, process.env), log })
}

function sayStatistics(
  { bytesIn, bytesOut }: { readonly bytesIn: number; readonly bytesOut: number },
  started: number,
  log: Log,
): void {
  const seconds = Math.max((performance.now() - started) / 1000, 0.001)
  const rate = (bytes: number): string => (bytes / seconds).toFixed(1)
  log.verbose?.(`Transferred: sent ${bytesOut}, received ${bytesIn} bytes, in ${seconds.toFixed(1)} seconds`)
  log.verbose?.(`Bytes per second: sent ${rate(bytesOut)}, received ${rate(bytesIn)}`)
}

/** Once a session runs, a signal ends the command as an error does, so that the terminal is restored. */
function diesOfSignals({ sessionType }: SshConfig, log: Log): void {
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
  for (const name of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      log.verbose?.(`Killed by signal ${numbers[name]}.`)
      // Without a session there is no other way to end it.
      process.exit(sessionType === 'none' && name === 'SIGTERM' ? 0 : 255)
    })
  }
}
