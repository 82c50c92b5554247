import { spawnSync } from 'node:child_process'
import { DisconnectReason } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { defineMain } from '../../src/command/run.ts'
import { createLog, fileSink, type LogLevel, raisedLevel, stderrSink } from '../../src/command/stderr-log.ts'
import { versionLine } from '../../src/command/version.ts'
import { openConnection } from '../../src/connect/open.ts'
import { interactiveAsk } from '../../src/identity/ask.ts'
import { loadSshConfig } from '../../src/openssh/load.ts'
import { printSshConfig } from '../../src/openssh/print.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import { type Invocation, parseInvocation } from './command-line.ts'
import { explain } from './failures.ts'
import { runSession } from './session.ts'
import { reportUnsupported } from './unsupported.ts'

export { run } from '../../src/command/run.ts'

export const main = defineMain({ program: 'tssh', failureStatus: 255 }, async args => {
  const invocation = parseInvocation(args)
  if (invocation.mode === 'print-version') {
    process.stderr.write(`${versionLine()}\n`)
    return 0
  }
  const config = resolve(invocation)
  if (invocation.mode === 'print-config') {
    process.stdout.write(printSshConfig(config))
    return 0
  }
  return connectAndRun(invocation, config)
})

function resolve({ destination, options, configFile, command }: Invocation): SshConfig {
  const { user, host, port } = parseDestination(destination)
  return loadSshConfig({
    host,
    user,
    options: port === undefined ? options : [...options, `Port ${port}`],
    file: configFile,
    command: command.join(' '),
    exec: line => spawnSync('/bin/sh', ['-c', line], { stdio: ['ignore', 'ignore', 'inherit'] }).status ?? undefined,
  })
}

/** `[user@]host` or `ssh://[user@]host[:port]`. */
export function parseDestination(text: string): { user: string | undefined; host: string; port: string | undefined } {
  const uri = /^ssh:\/\/(?:([^@]+)@)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?\/?$/.exec(text)
  if (uri) return { user: uri[1] && decodeURIComponent(uri[1]), host: uri[2]!.replace(/^\[|\]$/g, ''), port: uri[3] }
  const at = text.lastIndexOf('@')
  const host = text.slice(at + 1)
  if (!host || host.startsWith('-')) throw new CommandError('hostname contains invalid characters', 255)
  return { user: at > 0 ? text.slice(0, at) : undefined, host, port: undefined }
}

async function connectAndRun(invocation: Invocation, config: SshConfig): Promise<number> {
  const log = logOf(invocation, config)
  diesOfSignals(log)
  reportUnsupported(config, log)
  log.debug1?.(`${versionLine()}`)
  try {
    const opened = await openConnection({
      config,
      log,
      ask: interactiveAsk(process.env),
      print: text => process.stderr.write(`${text}\n`),
      env: process.env,
    })
    if (config.sessionType === 'none') throw await opened.client.closed
    const status = await runSession({ opened, config, command: invocation.command.join(' '), log, env: process.env })
    opened.client.transport.disconnect(DisconnectReason.byApplication, 'disconnected by user')
    log.debug1?.(`Exit status ${status}`)
    return status
  } catch (error) {
    throw explain(error, config)
  }
}

function logOf({ logFile, verbosity }: Invocation, config: SshConfig): Log {
  const sink = logFile === undefined ? stderrSink() : fileSink(logFile)
  const level: LogLevel = config.logLevel === 'DEBUG' ? 'DEBUG1' : config.logLevel
  return createLog(raisedLevel(level, verbosity), sink)
}

/** A signal ends the command as an error does, so that the terminal is restored. */
function diesOfSignals(log: Log): void {
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const
  for (const name of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      log.error(`Killed by signal ${numbers[name]}.`)
      process.exit(255)
    })
  }
}
