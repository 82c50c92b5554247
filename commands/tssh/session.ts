import { write } from 'node:fs'
import type { Channel } from '../../lib/connection/channel.ts'
import { type ClientSession, type SessionOptions, startSession } from '../../lib/connection/client-session.ts'
import { ConnectionLostError } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { OpenedConnection } from '../../src/connect/open.ts'
import { matchPattern } from '../../src/openssh/pattern.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'
import { terminalModes } from '../../src/terminal/modes.ts'
import { type RawTerminal, rawTerminal, readSettings } from '../../src/terminal/raw-terminal.ts'
import { type EscapeAction, EscapeFilter, escapeHelp } from './escapes.ts'

export interface SessionRun {
  readonly opened: OpenedConnection
  readonly config: SshConfig
  /** The words of the command line after the destination, joined. */
  readonly command: string
  readonly log: Log
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Runs the session that the configuration asks for. @returns its exit status */
export async function runSession(run: SessionRun): Promise<number> {
  const { config, opened, log } = run
  const terminal = wantsTerminal(run) ? rawTerminal(0) : undefined
  const pty = wantsTerminal(run) ? ptyOptions(run.env) : undefined
  const session = await startSession(
    opened.client.connection,
    { ...programOf(run), env: sentEnvironment(run), ...(pty && { pty }) },
    outputSink(),
  )
  if (pty && session.refused.has('pty-req')) log.info?.('PTY allocation request failed on channel 0')
  const stopInput = forwardInput(session, run, terminal)
  if (pty) {
    terminal?.enter()
    process.on('SIGWINCH', () => session.resize(process.stdout.columns ?? 80, process.stdout.rows ?? 24))
  }
  try {
    const { status, signal } = await session.exit
    if (signal) log.debug1?.(`the remote program was ended by signal ${signal.name}`)
    return status ?? 255
  } catch (error) {
    throw error instanceof ConnectionLostError
      ? new ConnectionLostError(error.code, `Connection to host ${config.hostName} closed by remote host.`, {
          cause: error,
        })
      : error
  } finally {
    stopInput()
    terminal?.leave()
    if (pty && terminal) log.info?.(`Connection to ${config.host} closed.`)
  }
}

function programOf({ config, command }: SessionRun): SessionOptions {
  if (config.sessionType === 'subsystem') return { subsystem: command }
  if (command) return { command }
  return config.remoteCommand && config.remoteCommand !== 'none' ? { command: config.remoteCommand } : {}
}

/** RequestTTY: by itself, a shell gets a terminal when stdin is one. */
function wantsTerminal({ config, command }: SessionRun): boolean {
  const local = process.stdin.isTTY === true
  switch (config.requestTTY) {
    case 'force':
      return true
    case 'yes':
      if (!local) process.stderr.write('Pseudo-terminal will not be allocated because stdin is not a terminal.\n')
      return local
    case 'no':
      return false
    default:
      return local && !command && !config.remoteCommand && config.sessionType === 'default' && !config.stdinNull
  }
}

function ptyOptions(env: SessionRun['env']): NonNullable<SessionOptions['pty']> {
  const settings = process.stdin.isTTY ? readSettings(0) : undefined
  return {
    term: env['TERM'] ?? '',
    columns: process.stdout.columns ?? 80,
    rows: process.stdout.rows ?? 24,
    ...(settings !== undefined && { modes: terminalModes(settings) }),
  }
}

/** SetEnv, then the variables that SendEnv names. */
function sentEnvironment({ config, env }: SessionRun): [string, string][] {
  const set = config.setEnv.map(({ name, value }): [string, string] => [name, value])
  const sent = Object.entries(env).flatMap(([name, value]): [string, string][] =>
    value !== undefined &&
    config.sendEnv.some(pattern => matchPattern(name, pattern)) &&
    !set.some(([taken]) => taken === name)
      ? [[name, value]]
      : [],
  )
  return [...set, ...sent]
}

/**
 * Output goes straight to the file descriptors. Data count as taken once written, so a reader that stops stops the
 * server too.
 */
function outputSink() {
  let channel: Channel
  const streams = [process.stdout, process.stderr] as const
  const print = (stream: NodeJS.WriteStream, data: Buffer) => stream.write(data, () => channel.consumed(data.length))
  return {
    opened(own: Channel) {
      channel = own
    },
    data: (data: Buffer) => print(streams[0], data),
    extendedData: (_type: number, data: Buffer) => print(streams[1], data),
    writable: () => {
      process.stdin.resume()
    },
  }
}

/** Passes stdin on, escapes taken out when there is a terminal. @returns how to stop */
function forwardInput(session: ClientSession, run: SessionRun, terminal: RawTerminal | undefined): () => void {
  const { config } = run
  const { channel } = session
  if (config.stdinNull) {
    channel.eof()
    return () => {}
  }
  const { stdin } = process
  const escapeByte = typeof config.escapeChar === 'number' && terminal ? config.escapeChar : undefined
  const filter = escapeByte === undefined ? undefined : new EscapeFilter(escapeByte)
  const send = (data: Buffer) => {
    if (!channel.write(data)) stdin.pause()
  }
  const onData = (data: Buffer) => {
    if (!filter) return send(data)
    for (const event of filter.push(data)) {
      if (event.kind === 'data') send(event.data)
      else obey(event.action, session, run, terminal)
    }
  }
  stdin.on('data', onData)
  stdin.on('end', () => channel.eof())
  stdin.on('error', () => channel.eof())
  return () => {
    stdin.off('data', onData)
    stdin.pause()
  }
}

function obey(
  action: EscapeAction,
  session: ClientSession,
  { opened, config, log }: SessionRun,
  terminal: RawTerminal | undefined,
): void {
  const { transport, connection } = opened.client
  const escapeByte = typeof config.escapeChar === 'number' ? config.escapeChar : 0x7e
  const say = (text: string) => write(2, `${String.fromCharCode(escapeByte)}${text}`, () => {})
  switch (action) {
    case 'disconnect':
      say('.\r\n')
      terminal?.leave()
      process.exit(255)
      break
    case 'suspend':
      say('^Z [suspend tssh]\r\n')
      terminal?.leave()
      process.once('SIGCONT', () => terminal?.enter())
      process.kill(0, 'SIGTSTP')
      break
    case 'help':
      say(`?\r\n${escapeHelp(escapeByte)}`)
      break
    case 'break':
      session.sendBreak(1000).catch(() => log.info?.('the server takes no BREAK'))
      break
    case 'rekey':
      transport.rekey()
      break
    case 'info': {
      const { bytesIn, bytesOut, rekeys } = transport.statistics
      const { kex, clientToServer, serverToClient } = transport.negotiated
      say(
        `I\r\n${config.user}@${config.hostName}:${config.port}, ${kex}, ${clientToServer.cipher}/${serverToClient.cipher}\r\n`,
      )
      write(2, `received ${bytesIn} bytes, sent ${bytesOut}, keys exchanged ${rekeys + 1} times\r\n`, () => {})
      break
    }
    case 'list':
      say('#\r\n')
      for (const { localId, type } of connection.channels.values()) write(2, `  #${localId} ${type}\r\n`, () => {})
      break
  }
}
