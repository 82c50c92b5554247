import { isatty } from 'node:tty'
import type { ClientSession, SessionOptions } from '../../lib/connection/client-session.ts'
import { type LeveledLog, type LogLevel, logLevels } from '../../src/command/stderr-log.ts'
import { terminalModes } from '../../src/terminal/modes.ts'
import { askTerminal } from '../../src/terminal/prompt.ts'
import { type RawTerminal, rawTerminal, readSettings, readSize } from '../../src/terminal/raw-terminal.ts'
import { type EscapeAction, EscapeFilter, escapeHelp } from './escapes.ts'
import type { InputFilter } from './input.ts'
import { KeystrokeTimer } from './keystrokes.ts'
import { terminalState } from './log.ts'
import { say } from './output.ts'
import type { SessionRun } from './session-run.ts'

/** The terminal on stdin, if it is one (`-tt` asks for a remote one all the same). */
export const openTerminal = (): RawTerminal | undefined => (isatty(0) ? rawTerminal(0) : undefined)

export function ptyOptions(env: SessionRun['env']): NonNullable<SessionOptions['pty']> {
  const settings = isatty(0) ? readSettings(0) : undefined
  return {
    term: env['TERM'] ?? '',
    ...terminalSize(),
    ...(settings !== undefined && { modes: terminalModes(settings) }),
  }
}

/** Of the terminal that shows the output, or else of the one that is typed on; 0 when there is neither (RFC 4254 §6.2). */
export function terminalSize(): { columns: number; rows: number } {
  const { stdout } = process
  if (stdout.isTTY) return { columns: stdout.columns, rows: stdout.rows }
  return (isatty(0) ? readSize(0) : undefined) ?? { columns: 0, rows: 0 }
}

/** Tells the far side how large the terminal is now. */
export function resize(session: ClientSession): void {
  const { columns, rows } = terminalSize()
  session.resize(columns, rows)
}

/** Takes escapes out of what is typed, and hides when it was typed. */
export function inputFilter(session: ClientSession, run: SessionRun, terminal: RawTerminal | undefined): InputFilter {
  const { config, opened, log } = run
  const { transport } = opened.client
  const escapes = typeof config.escapeChar === 'number' && terminal ? new EscapeFilter(config.escapeChar) : undefined
  const hides = config.obscureKeystrokeTiming > 0 && KeystrokeTimer.isPossible(transport)
  if (hides) log.debug3?.(`obscuring keystroke timing, interval ${config.obscureKeystrokeTiming}ms`)
  let timer: KeystrokeTimer | undefined
  return {
    take(data, send) {
      if (hides) timer ??= new KeystrokeTimer(transport, config.obscureKeystrokeTiming, send)
      const pass = (bytes: Buffer): void => (timer ? timer.write(bytes, session.channel) : send(bytes))
      if (!escapes) return pass(data)
      for (const event of escapes.push(data)) {
        if (event.kind === 'data') pass(event.data)
        else obey(event.action, session, run, terminal)
      }
    },
    stop: () => timer?.stop(),
  }
}

function obey(action: EscapeAction, session: ClientSession, run: SessionRun, terminal: RawTerminal | undefined): void {
  const { opened, config, log } = run
  const { transport, connection } = opened.client
  const escapeByte = typeof config.escapeChar === 'number' ? config.escapeChar : 0x7e
  const echo = (text: string): void => say(`${String.fromCharCode(escapeByte)}${text}`)
  switch (action) {
    case 'disconnect':
      terminal?.leave()
      terminalState.mode = 'cooked'
      log.info?.(`Connection to ${config.hostName} closed.`)
      process.exit(255)
      break
    case 'suspend':
      echo('^Z [suspend tssh]\r\n')
      terminal?.leave()
      terminalState.mode = 'cooked'
      process.once('SIGCONT', () => {
        terminal?.enter()
        terminalState.mode = 'raw'
        resize(session)
      })
      process.kill(0, 'SIGTSTP')
      break
    case 'help':
      echo(`?\r\n${escapeHelp(escapeByte)}`)
      break
    case 'break':
      echo('B\r\n')
      session.sendBreak(1000).catch(() => log.info?.('the server takes no BREAK'))
      break
    case 'rekey':
      transport.rekey()
      break
    case 'info': {
      const { bytesIn, bytesOut, rekeys } = transport.statistics
      const { kex, clientToServer, serverToClient } = transport.negotiated
      echo(`I\r\n${config.user}@${config.hostName}:${config.port}, ${kex}, `)
      say(`${clientToServer.cipher}/${serverToClient.cipher}\r\n`)
      say(`received ${bytesIn} bytes, sent ${bytesOut}, keys exchanged ${rekeys + 1} times\r\n`)
      break
    }
    case 'list':
      echo('#\r\nThe following connections are open:\r\n')
      for (const channel of [...connection.channels.values()].sort((a, b) => a.localId - b.localId)) {
        const { localId, type } = channel
        const about = run.forwards?.describe(channel)
        say(`  #${localId} ${type === 'session' ? 'client-session' : type}${about ? `: ${about}` : ''}\r\n`)
      }
      break
    case 'command-line':
      if (!config.enableEscapeCommandline) say('commandline disabled\r\n')
      else readCommand(run).catch(error => log.error(error instanceof Error ? error.message : String(error)))
      break
    case 'background':
      echo('&\r\ntssh cannot go to the background once it has a terminal; ~^Z suspends it\r\n')
      break
    case 'more-verbose':
    case 'less-verbose':
      echo(`${action === 'more-verbose' ? 'v' : 'V'} [LogLevel ${adjustLevel(log, action)}]\r\n`)
      break
  }
}

/** `~C`: one line, and what it asks for. The session waits. */
function readCommand({ opened, config, forwards, prompts, log }: SessionRun): Promise<void> {
  return prompts.alone(async () => {
    const line = await askTerminal('\nssh> ', { echo: true, interrupt: 'answer' })
    if (!line || !forwards) return
    const { obeyEscapeCommand } = await import('./escape-commands.ts')
    await obeyEscapeCommand(line, {
      forwards,
      connection: opened.client.connection,
      permitLocalCommand: config.permitLocalCommand,
      runLocal: async command => (await import('./local-command.ts')).runByShell(config, command),
      log,
    })
  })
}

/** How ssh shows levels. */
const shownLevels: Readonly<Partial<Record<LogLevel, string>>> = { QUIET: 'SILENT', DEBUG1: 'DEBUG' }

/** Makes the log say more, or less, from now on. @returns the level's name */
function adjustLevel(log: LeveledLog, action: 'more-verbose' | 'less-verbose'): string {
  const at = logLevels.indexOf(log.level) + (action === 'more-verbose' ? 1 : -1)
  log.level = logLevels[Math.min(Math.max(at, 0), logLevels.length - 1)]!
  return shownLevels[log.level] ?? log.level
}
