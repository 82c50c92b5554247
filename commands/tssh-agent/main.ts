import { messageOf } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { defineMain } from '../../src/command/run.ts'
import { versionLine } from '../../src/command/version.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { type AgentCommandLine, program, readCommandLine } from './command-line.ts'
import { setVariable, unsetVariable } from './shell-output.ts'

export { run } from '../../src/command/run.ts'

const socketVariable = 'SSH_AUTH_SOCK'
const pidVariable = 'SSH_AGENT_PID'

export const main = defineMain({ program, failureStatus: 1 }, async args => {
  const line = readCommandLine(args, process.env['SHELL'])
  switch (line.action) {
    case 'version':
      process.stderr.write(`${versionLine()}\n`)
      return 0
    case 'kill':
      return killAgent(line)
    case 'clean':
      return cleanStale(line)
    case 'serve':
      return serve(line, args)
  }
})

async function serve(line: AgentCommandLine, args: readonly string[]): Promise<number> {
  const { isBackgroundAgent, runAsAgent, runCommand, startInBackground } = await import('./background.ts')
  if (isBackgroundAgent()) return runAsAgent(line)
  for (const flag of line.ineffective) {
    process.stderr.write(`${program}: ${flag} has no effect: this agent loads no PKCS#11 or FIDO libraries\n`)
  }
  if (line.foreground !== 'no') {
    const { startServing } = await import('./serve.ts')
    const { socket, ended } = await startServing({ line, parent: undefined })
    if (socket !== undefined) process.stdout.write(setVariable(line.shell, socketVariable, socket))
    if (socket !== undefined) process.stdout.write(`echo Agent pid ${process.pid};\n`)
    return ended
  }
  const agent = await startInBackground(args)
  if (line.command.length > 0) return runCommand(line.command, agent)
  process.stdout.write(setVariable(line.shell, socketVariable, agent.socket))
  process.stdout.write(setVariable(line.shell, pidVariable, String(agent.pid)))
  process.stdout.write(`echo Agent pid ${agent.pid};\n`)
  return 0
}

function killAgent({ shell }: AgentCommandLine): number {
  const text = process.env[pidVariable]
  if (text === undefined) throw new CommandError(`${pidVariable} not set, cannot kill agent`, 1)
  const problem = pidProblem(text)
  if (problem) throw new CommandError(`${pidVariable}="${text}", which is not a good PID: ${problem}`, 1)
  try {
    process.kill(Number(text), 'SIGTERM')
  } catch (error) {
    throw new CommandError(`kill: ${systemErrorText(error) ?? messageOf(error)}`, 1)
  }
  process.stdout.write(`${unsetVariable(shell, socketVariable)}${unsetVariable(shell, pidVariable)}`)
  process.stdout.write(`echo Agent pid ${Number(text)} killed;\n`)
  return 0
}

/** As strtonum(3) names it. */
function pidProblem(text: string): string | undefined {
  if (!/^\s*[+-]?\d+$/.test(text)) return 'invalid'
  if (Number(text) < 2) return 'too small'
  return Number(text) > 0x7fff_ffff ? 'too large' : undefined
}

async function cleanStale({ cleanAnyHost }: AgentCommandLine): Promise<number> {
  const [{ removeStaleSockets }, { homeFolder }] = await Promise.all([
    import('../../src/net/agent-folder.ts'),
    import('./serve.ts'),
  ])
  await removeStaleSockets(homeFolder(), { anyHost: cleanAnyHost, log: silentLog })
  process.stdout.write('Deleted stale agent sockets in ~/.ssh/agent\n')
  return 0
}
