import { type SessionOptions, startSession } from '../../lib/connection/client-session.ts'
import { sendNoMoreSessions } from '../../lib/connection/requests/no-more-sessions.ts'
import { authAgent } from '../../lib/connection/types/auth-agent.ts'
import { ConnectionLostError, RequestError } from '../../lib/errors.ts'
import { CommandError } from '../../src/command/errors.ts'
import { sessionEnvironment } from '../../src/connect/session-environment.ts'
import { markTraffic } from '../../src/net/type-of-service.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import { forwardInput, type Input, noInput } from './input.ts'
import { tellFailure, terminalState } from './log.ts'
import { outputSink } from './output.ts'
import type { SessionRun } from './session-run.ts'

/** Runs what the configuration asks for on the connection. @returns its exit status */
export async function runSession(run: SessionRun): Promise<number> {
  const { opened, config, invocation } = run
  const { connection } = opened.client
  try {
    await startForwards(run)
    if (config.permitLocalCommand && config.localCommand !== undefined) {
      const { runLocalCommand } = await import('./local-command.ts')
      await runLocalCommand(config, config.localCommand, run.log)
    }
    if (config.forkAfterAuthentication) (await import('./background.ts')).enterBackground()
    if (invocation.stdioForward) {
      const { forwardStdio } = await import('./stdio-forward.ts')
      return await forwardStdio(connection, invocation.stdioForward)
    }
    if (config.sessionType === 'none') throw await opened.client.closed
    const status = await runProgram(run)
    await Promise.race([run.forwards?.idle(), opened.client.closed])
    return status
  } catch (error) {
    throw closedByHost(error, config)
  } finally {
    run.forwards?.close()
  }
}

/** A host that may be another one gets nothing that could be used elsewhere. */
async function startForwards({ forwards, opened }: SessionRun): Promise<void> {
  if (opened.judgement !== 'distrusted') await forwards?.start(opened.client.connection)
}

/** The end of a connection that was in use. */
function closedByHost(error: unknown, { hostName }: SshConfig): unknown {
  if (!(error instanceof ConnectionLostError) || error.code === 'keepalive' || error.code === 'timeout') return error
  if (/forwarding/.test(error.message)) return new CommandError(error.message, 255, { cause: error })
  const text =
    error.code === 'reset'
      ? `Read from remote host ${hostName}: Connection reset by peer`
      : `Connection to ${hostName} closed by remote host.`
  return new ConnectionLostError(error.code, text, { cause: error })
}

async function runProgram(run: SessionRun): Promise<number> {
  const { config, opened, log } = run
  const { connection } = opened.client
  const tty = run.terminal ? await import('./terminal-session.ts') : undefined
  const terminal = tty?.openTerminal()
  const pty = tty?.ptyOptions(run.env)
  let input: Input | undefined
  const output = outputSink(connection, () => input?.resume())
  // What is shown before the terminal is raw could be answered by keys that mean something else.
  if (terminal) void output.hold()
  const program = programOf(run)
  const forwardsAgent = run.forwards?.channelTypes.has(authAgent.name) === true && opened.judgement !== 'distrusted'
  const session = await startSession(
    connection,
    { ...program, env: sessionEnvironment(config, run.env, log), ...(pty && { pty }), agentForwarding: forwardsAgent },
    output,
  ).catch(error => {
    if (!(error instanceof RequestError) || error.code !== 'refused') throw error
    const kind = program.subsystem !== undefined ? 'subsystem' : program.command !== undefined ? 'exec' : 'shell'
    throw new CommandError(`${kind} request failed on channel 0`, 255, { cause: error })
  })
  log.debug1?.('Requesting no-more-sessions@openssh.com')
  sendNoMoreSessions(connection)
  log.debug1?.('Entering interactive session.')
  markTraffic(opened.stream, pty ? config.ipQoS.interactive : config.ipQoS.bulk)
  if (tty && session.refused.has('pty-req')) log.info?.('PTY allocation request failed on channel 0')
  input = config.stdinNull
    ? noInput(session.channel)
    : forwardInput(session.channel, tty?.inputFilter(session, run, terminal))
  if (terminal) {
    terminal.enter()
    terminalState.mode = 'raw'
    output.release()
    process.on('SIGWINCH', () => tty?.resize(session))
    // It may have changed while the session was opened.
    const size = tty?.terminalSize()
    if (pty?.columns !== size?.columns || pty?.rows !== size?.rows) tty?.resize(session)
    run.prompts.session = {
      async pause() {
        input?.pause()
        await output.hold()
        terminal.leave()
        terminalState.mode = 'cooked'
      },
      resume() {
        terminal.enter()
        terminalState.mode = 'raw'
        output.release()
        input?.resume()
      },
    }
  }
  try {
    const { status, signal } = await session.exit
    await output.flushed()
    if (signal) log.debug1?.(`the remote program was ended by signal ${signal.name}`)
    return status ?? 255
  } catch (error) {
    if (!tty) throw error
    // The reason comes before the news that the terminal's connection is closed.
    const { explain } = await import('../../src/connect/failures.ts')
    const reason = explain(closedByHost(error, config), config)
    if (!(reason instanceof CommandError)) throw reason
    throw new CommandError('', tellFailure(reason, log))
  } finally {
    input.stop()
    terminal?.leave()
    terminalState.mode = 'cooked'
    run.prompts.session = undefined
    if (tty) log.info?.(`Connection to ${config.hostName} closed.`)
  }
}

function programOf({ config, invocation, log }: SessionRun): SessionOptions {
  const command = invocation.command.join(' ')
  if (config.sessionType === 'subsystem') {
    log.debug1?.(`Sending subsystem: ${command}`)
    return { subsystem: command }
  }
  const program = command || config.remoteCommand
  if (program) log.debug1?.(`Sending command: ${program}`)
  return program ? { command: program } : {}
}
