import type { ServerSession, SessionHandler } from '../../lib/connection/server-session.ts'
import type { SessionProgram } from '../../lib/connection/types/session.ts'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { Permissions } from '../../lib/userauth/server.ts'
import type { Peer } from '../../src/api/server.ts'
import { matchPattern } from '../../src/openssh/pattern.ts'
import type { Account } from './account.ts'
import { type Program, type ProgramOutput, type ProgramStart, startOnPipes } from './child.ts'
import { startOnTerminal } from './pty.ts'

export interface SessionSettings {
  readonly account: Account
  readonly permissions: Permissions
  readonly peer: Peer
  /** Patterns of AcceptEnv. */
  readonly acceptEnv: readonly string[]
  /** Name to command line (Subsystem). */
  readonly subsystems: ReadonlyMap<string, string>
  readonly forceCommand: string | undefined
  readonly permitTty: boolean
  readonly log: Log
}

/** Variables that a client never sets, whatever AcceptEnv says: they change what a program loads or runs. */
const forbiddenVariables = /^(LD_|DYLD_|BASH_ENV$|ENV$|IFS$|NODE_OPTIONS$|PATH$|SHELL$|HOME$|USER$|LOGNAME$)/

/** Sessions of one user: shells and commands, on pipes or on a terminal. */
export function sessionHandler(settings: SessionSettings): SessionHandler {
  const { permissions, log } = settings
  const programs = new Map<ServerSession, Program>()
  return {
    pty: () => settings.permitTty && permissions.pty !== false,
    env: (_, { name }) =>
      !forbiddenVariables.test(name) && settings.acceptEnv.some(pattern => matchPattern(name, pattern)),
    start(session, program, reply) {
      const start = programStart(session, program, settings)
      if (!start) {
        log.info?.('subsystem request failed: no such subsystem')
        reply(false)
        return
      }
      try {
        programs.set(session, startProgram(session, start))
        reply(true)
      } catch (error) {
        log.error(`cannot start a program: ${messageOf(error)}`)
        reply(false)
      }
    },
    closed(session) {
      programs.get(session)?.hangUp()
      programs.delete(session)
    },
  }
}

function programStart(
  session: ServerSession,
  program: SessionProgram,
  settings: SessionSettings,
): ProgramStart | undefined {
  const { account, subsystems } = settings
  let asked: string | undefined
  if (program.kind === 'exec') asked = program.command
  if (program.kind === 'subsystem') {
    asked = subsystems.get(program.name)
    if (asked === undefined) return undefined
  }
  const forced = settings.forceCommand ?? settings.permissions.forceCommand
  return {
    shell: account.shell,
    command: forced ?? asked,
    directory: account.home,
    environment: {
      ...Object.fromEntries(session.environment),
      ...Object.fromEntries(settings.permissions.environment ?? []),
      ...environmentOf(settings),
      ...(session.pty && { TERM: session.pty.term || 'dumb' }),
      ...(forced !== undefined && asked !== undefined && { SSH_ORIGINAL_COMMAND: asked }),
    },
  }
}

/** What sshd(8) sets, LOGIN PROCESS. */
function environmentOf({ account, peer }: SessionSettings): Record<string, string> {
  const { TZ } = process.env
  return {
    USER: account.name,
    LOGNAME: account.name,
    HOME: account.home,
    PATH:
      account.uid === 0
        ? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
        : '/usr/local/bin:/usr/bin:/bin:/usr/games',
    SHELL: account.shell,
    MAIL: `/var/mail/${account.name}`,
    SSH_CLIENT: `${peer.address} ${peer.port} ${peer.localPort}`,
    SSH_CONNECTION: `${peer.address} ${peer.port} ${peer.localAddress} ${peer.localPort}`,
    ...(TZ !== undefined && { TZ }),
  }
}

function startProgram(session: ServerSession, start: ProgramStart): Program {
  const { channel } = session
  const output: ProgramOutput = {
    output: data => channel.write(data),
    errorOutput: data => channel.writeExtended(1, data),
    ended(end) {
      if ('status' in end) session.exit(end.status)
      else session.exitSignal(end.signal, end.coreDumped)
    },
  }
  const program = session.pty ? startOnTerminal(start, session.pty, output) : startOnPipes(start, output)
  session.attach({
    data: data => program.input(data, () => channel.consumed(data.length)),
    eof: () => program.endInput(),
    writable: () => program.resume(),
    windowChange: ({ columns, rows }) => program.resize(columns, rows),
    signal(name) {
      program.signal(name)
      return true
    },
    break: () => {
      program.signal('INT')
      return true
    },
  })
  return program
}
