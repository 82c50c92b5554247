import { readFileSync } from 'node:fs'
import { resolve as resolvePath } from 'node:path'
import { CommandError } from '../../src/command/errors.ts'
import { defineMain } from '../../src/command/run.ts'
import { versionLine } from '../../src/command/version.ts'
import { printSshdConfig } from '../../src/openssh/print.ts'
import { type Invocation, parseInvocation } from './command-line.ts'
import { unsafeEnvironment } from './privileges.ts'
import { roleOf } from './reexec.ts'

export { run } from '../../src/command/run.ts'

export const main = defineMain({ program: 'tsshd', failureStatus: 1 }, async args => {
  const part = roleOf(args)
  if (part?.role === 'connection') return (await import('./connection-process.ts')).connectionProcessMain()
  if (part?.role === 'pam') return (await import('./pam-helper.ts')).pamHelperMain()
  const given = part?.rest ?? args
  const invocation = parseInvocation(given)
  if (invocation.mode === 'print-version') {
    process.stderr.write(`${versionLine()}\n`)
    return 0
  }
  if (invocation.mode === 'query') return (await import('./query.ts')).printQuery(invocation.query ?? '')
  if (invocation.mode === 'password-entry') return printPasswordEntry(invocation)
  const findings = invocation.lint && (await import('./lint.ts')).printFindings(invocation)
  if (invocation.mode === 'lint') return findings ? 1 : 0
  const status = await startServer(absolute(invocation), given, part?.role === 'daemon')
  return findings && status === 0 ? 1 : status
})

/** A daemon has another working directory, and reads its files again. */
const absolute = (invocation: Invocation): Invocation => {
  const { configFile, logFile } = invocation
  return {
    ...invocation,
    configFile: configFile === undefined || configFile === 'none' ? configFile : resolvePath(configFile),
    logFile: logFile === undefined ? undefined : resolvePath(logFile),
  }
}

async function startServer(invocation: Invocation, args: readonly string[], isDaemon: boolean): Promise<number> {
  const unsafe = unsafeEnvironment()
  if (unsafe) throw new CommandError(`tsshd: ${unsafe}`, 1)
  const { hostOf, prepareHost, readConfig } = await import('./server-setup.ts')
  const { config, files } = readConfig(invocation)
  const { mode, connection } = invocation
  const print = (): void => {
    process.stdout.write(printSshdConfig(connection ? config.forConnection(connection) : config))
  }
  if (mode === 'print-config') {
    print()
    return 0
  }
  const spec = prepareHost(invocation, config, files)
  if (mode === 'test-and-print') print()
  if (mode === 'test-and-print' || mode === 'test') return 0
  if (mode === 'inetd') {
    const { serveStdio } = await import('./serve.ts')
    return serveStdio(hostOf(spec))
  }
  const detaches = !isDaemon && !invocation.foreground && invocation.configFile !== undefined
  if (detaches) return (await import('./daemon.ts')).detach(args)
  return (await import('./serve.ts')).serveSockets(invocation, spec, isDaemon)
}

async function printPasswordEntry({ entryFor = '' }: Invocation): Promise<number> {
  if (!/^[^:\s]+$/.test(entryFor)) throw new CommandError('tsshd: --password-entry: not a user name', 1)
  const [{ passwordEntry }, { askTerminal }] = await Promise.all([
    import('./password-file.ts'),
    import('../../src/terminal/prompt.ts'),
  ])
  // From a script the password is the first line of stdin.
  const password = process.stdin.isTTY
    ? await askTerminal(`Password for ${entryFor}: `, { echo: false })
    : readFileSync(0, 'utf8').split('\n')[0]
  if (!password) throw new CommandError('tsshd: no password given', 1)
  process.stdout.write(`${await passwordEntry(entryFor, password)}\n`)
  return 0
}
