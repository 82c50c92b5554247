import { existsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { AgentClient } from '../../lib/agent/client.ts'
import type { KeyConstraints } from '../../lib/agent/constraints.ts'
import { AgentError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { defineMain } from '../../src/command/run.ts'
import { createLog, raisedLevel, stderrSink } from '../../src/command/stderr-log.ts'
import { agentPathOf, type ConnectedAgent, connectAgent } from '../../src/net/agent-socket.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'
import { type AddCommandLine, program, readCommandLine } from './command-line.ts'
import { problemText } from './problems.ts'

export { run } from '../../src/command/run.ts'

/** No agent to talk to. */
const unreachableStatus = 2
/** Files that are added, or removed, when none is named. */
const defaultFiles = ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk', 'id_mldsa44_ed25519']

export const main = defineMain({ program, failureStatus: 1 }, async args => {
  const line = readCommandLine(args, process.env)
  const log = createLog(raisedLevel('INFO', line.verbosity), stderrSink())
  const agent = await reachAgent(agentPathOf(process.env), log)
  try {
    return (await act(line, agent.client, log)) ? 0 : 1
  } finally {
    agent.close()
  }
})

async function reachAgent(path: string | undefined, log: Log): Promise<ConnectedAgent> {
  if (!path) {
    throw new CommandError('Could not open a connection to your authentication agent.', unreachableStatus)
  }
  log.debug1?.(`agent at ${path}`)
  try {
    return await connectAgent(path)
  } catch (error) {
    const cause = error instanceof AgentError ? error.cause : error
    throw new CommandError(
      `Error connecting to agent: ${systemErrorText(cause) ?? problemText(error)}`,
      unreachableStatus,
    )
  }
}

/** What an action needs is loaded when it is asked for: listing must not wait for what opens key files. */
async function act(line: AddCommandLine, client: AgentClient, log: Log): Promise<boolean> {
  const asking = () => import('./ask-agent.ts')
  switch (line.action) {
    case 'list-fingerprints':
      return (await asking()).listKeys(client, line.fingerprintHash)
    case 'list-keys':
      return (await asking()).listKeys(client, undefined)
    case 'lock':
      return (await asking()).changeLock(client, true)
    case 'unlock':
      return (await asking()).changeLock(client, false)
    case 'query':
      await (await asking()).printExtensions(client)
      return true
    case 'test': {
      if (line.operands.length === 0) throw new CommandError('no keys to test', 255)
      const { testKey } = await asking()
      return forEach(line.operands, file => testKey(client, file))
    }
    case 'delete-all':
      return (await import('./remove.ts')).removeAll(client, line.quiet)
    case 'delete': {
      const { removeFile } = await import('./remove.ts')
      return forFiles(line.operands, file => removeFile(client, file, line))
    }
    case 'add-token':
    case 'remove-token':
      return (await import('./tokens.ts')).changeToken(client, line, await constraintsOf(line, log))
    case 'resident':
      throw new CommandError('Unable to load resident keys: no security key library is driven by this release', 1)
    case 'add': {
      const { KeyAdder } = await import('./add.ts')
      const adder = new KeyAdder(client, line, await constraintsOf(line, log), log)
      return forFiles(line.operands, file => adder.add(file))
    }
  }
}

/** All are tried, and all must work. */
async function forEach(files: readonly string[], action: (file: string) => Promise<boolean>): Promise<boolean> {
  let good = true
  for (const file of files) good = (await action(file)) && good
  return good
}

/** The files named, else those of the usual ones that are there, of which there must be one. */
async function forFiles(files: readonly string[], action: (file: string) => Promise<boolean>): Promise<boolean> {
  if (files.length > 0) return forEach(files, action)
  const folder = join(userInfo().homedir, '.ssh')
  const usual = defaultFiles.map(name => join(folder, name)).filter(path => existsSync(path))
  return usual.length > 0 && forEach(usual, action)
}

async function constraintsOf(line: AddCommandLine, log: Log): Promise<KeyConstraints> {
  const { lifetime, confirm, destinations, hostKeyFiles } = line
  if (destinations.length === 0) return { ...(lifetime && { lifetime }), confirm }
  const { readDestination } = await import('./destinations.ts')
  return {
    ...(lifetime && { lifetime }),
    confirm,
    destinations: destinations.map(text => readDestination(text, hostKeyFiles, log)),
  }
}
