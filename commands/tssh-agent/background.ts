import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, readdirSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { messageOf } from '../../lib/errors.ts'
import { CommandError } from '../../src/command/errors.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { type AgentCommandLine, program } from './command-line.ts'

/** Set for the process that becomes the agent. It gets the same arguments, and tells over IPC where it listens. */
const roleVariable = 'TSSH_AGENT_ROLE'

type Report = { readonly socket: string } | { readonly problem: string; readonly status: number }

/** Whether this process was started by `startInBackground`. */
export const isBackgroundAgent = (): boolean => process.env[roleVariable] === 'agent' && process.send !== undefined

/** An agent in a process of its own. */
export interface BackgroundAgent {
  readonly pid: number
  readonly socket: string
}

/** Starts this program again as the agent, without a terminal. @throws CommandError with what that process says */
export async function startInBackground(args: readonly string[]): Promise<BackgroundAgent> {
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { ...process.env, [roleVariable]: 'agent' },
  })
  const report = await firstReport(child)
  if ('problem' in report) throw new CommandError(report.problem, report.status)
  child.disconnect()
  child.unref()
  return { pid: child.pid ?? 0, socket: report.socket }
}

const firstReport = (child: ChildProcess): Promise<Report> =>
  new Promise(resolve => {
    child.once('message', message => resolve(message as Report))
    child.once('error', error => resolve({ problem: `${program}: ${messageOf(error)}`, status: 1 }))
    child.once('exit', () => resolve({ problem: `${program}: the agent ended before it listened`, status: 1 }))
  })

/** The other side of `startInBackground`. */
export async function runAsAgent(line: AgentCommandLine): Promise<number> {
  delete process.env[roleVariable]
  const parent = process.ppid
  const tell = (report: Report): Promise<void> =>
    new Promise(resolve => {
      process.send?.(report, () => resolve())
    })
  try {
    const { startServing } = await import('./serve.ts')
    const agent = await startServing({ line, parent: line.command.length > 0 ? parent : undefined })
    await tell({ socket: agent.socket ?? '' })
    if (process.connected) process.disconnect()
    closeInherited()
    process.chdir('/')
    return await agent.ended
  } catch (error) {
    const status = error instanceof CommandError ? error.exitStatus : 1
    await tell({ problem: messageOf(error), status })
    return status
  }
}

/** Bit of `fdinfo` for descriptors that no other program gets: Node's own all have it. */
const closeOnExec = 0o2000000

/** Closes what the caller's shell left open: an agent that lives on would hold pipes and files of others. Linux only. */
function closeInherited(): void {
  let names: string[]
  try {
    names = readdirSync('/proc/self/fdinfo')
  } catch {
    return
  }
  for (const descriptor of names.map(Number).filter(number => number > 2)) {
    try {
      const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8'))?.[1]
      if (flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0) closeSync(descriptor)
    } catch {
      // The folder's own descriptor is closed by now.
    }
  }
}

/** Runs a command with the agent in its environment, ends the agent after it. @returns the command's exit status */
export async function runCommand([name = '', ...args]: readonly string[], agent: BackgroundAgent): Promise<number> {
  const env = { ...process.env, SSH_AUTH_SOCK: agent.socket, SSH_AGENT_PID: String(agent.pid) }
  const child = spawn(name, args, { stdio: 'inherit', env })
  // The terminal sends these to the command as well: it decides what they mean.
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) process.on(signal, () => {})
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', error =>
        reject(new CommandError(`${name}: ${systemErrorText(error) ?? messageOf(error)}`, 1)),
      )
      child.once('exit', (status, signal) => resolve(status ?? 128 + (signal ? constants.signals[signal] : 0)))
    })
  } finally {
    try {
      process.kill(agent.pid, 'SIGTERM')
    } catch {
      // It ended first.
    }
  }
}
