import { readFileSync, statSync } from 'node:fs'
import type { ServerSession } from '../../lib/connection/server-session.ts'
import { nameSession } from '../../lib/connection/timeouts.ts'
import type { SessionProgram } from '../../lib/connection/types/session.ts'
import { messageOf, sanitize } from '../../lib/errors.ts'
import type { Permissions } from '../../lib/userauth/permissions.ts'
import { giveBack } from '../../lib/wire/room.ts'
import type { LoginHandler, Peer } from '../../src/api/server.ts'
import type { LeveledLog } from '../../src/command/stderr-log.ts'
import type { Account } from '../../src/net/accounts.ts'
import { matchPattern } from '../../src/openssh/pattern.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { type Program, type ProgramOutput, type ProgramStart, startOnPipes } from './child.ts'
import { buildEnvironment } from './environment.ts'
import type { ForwardingServices } from './forwarding/services.ts'
import { isInternalSftp, serveInternalSftp } from './internal-sftp.ts'
import { startOnTerminal } from './pty.ts'

/** Keywords that sessions obey. */
export type SessionOptions = Pick<
  SshdOptions,
  | 'acceptEnv'
  | 'setEnv'
  | 'permitUserEnvironment'
  | 'permitUserRC'
  | 'permitTTY'
  | 'forceCommand'
  | 'printMotd'
  | 'subsystem'
>

export interface SessionSettings {
  readonly account: Account
  readonly permissions: Permissions
  readonly peer: Peer
  readonly options: SessionOptions
  /** Absent: nothing is forwarded. */
  readonly forwarding?: ForwardingServices
  readonly log: LeveledLog
  /** Texts for the user's terminal: warnings, PAM's messages, the last login. */
  readonly notes?: readonly string[]
  readonly pamEnvironment?: ReadonlyMap<string, string>
  /** Variables of every session of this login (SSH_USER_AUTH). */
  readonly loginEnvironment?: Readonly<Record<string, string>>
  /** The password has expired: nothing runs but passwd(1). */
  readonly mustChangePassword?: boolean
  /** Says what the connection carries from now on. */
  markTraffic?(use: 'interactive' | 'bulk'): void
  /** This process serves this login alone. */
  readonly ownProcess?: boolean
}

/** Variables that a client never sets, whatever AcceptEnv says: they change what a program loads or runs. */
const forbiddenVariables = /^(LD_|DYLD_|BASH_ENV$|ENV$|IFS$|NODE_OPTIONS$|PATH$|SHELL$|HOME$|USER$|LOGNAME$)/

const nologinFile = '/etc/nologin'
const motdFile = '/etc/motd'
const systemRc = '/etc/ssh/sshrc'
/** Exit statuses of sshd. */
const refusedStatus = 254

/** What a session is to do. */
type Plan =
  | { readonly kind: 'run'; readonly start: ProgramStart; readonly login: boolean }
  | { readonly kind: 'internal-sftp'; readonly command: string }
  | { readonly kind: 'say'; readonly text: string; readonly status: number }

/** Sessions of one user: shells and commands, on pipes or on a terminal, and the SFTP server inside. */
export function sessionHandler(settings: SessionSettings): LoginHandler {
  const { permissions, options, forwarding, log } = settings
  const running = new Map<ServerSession, () => void>()
  let count = 0
  return {
    pty: () => options.permitTTY && permissions.pty !== false,
    ...(forwarding && {
      channelTypes: forwarding.channelTypes,
      globalRequests: forwarding.globalRequests,
      agentForwarding: ({ connection }) => forwarding.requestAgent(connection),
      ended: () => forwarding.ended(),
    }),
    env: (_, { name }) =>
      !forbiddenVariables.test(name) && options.acceptEnv.some(pattern => matchPattern(name, pattern)),
    start(session, program, reply) {
      const plan = planOf(session, program, settings)
      if (!plan) {
        const name = program.kind === 'subsystem' ? sanitize(program.name, true) : ''
        log.info?.(`subsystem request for ${name} by user ${settings.account.name} failed, subsystem not found`)
        reply(false)
        return
      }
      nameSession(session.channel, sessionName(program))
      settings.markTraffic?.(session.pty ? 'interactive' : 'bulk')
      try {
        const stop = carryOut(session, plan, settings, reply)
        if (stop) running.set(session, stop)
        const tty = session.pty ? ' on tty' : ''
        const { address, port } = settings.peer
        log.verbose?.(
          `Starting session: ${describe(program, settings)}${tty} for ${settings.account.name} from ${address} port ${port} id ${count++}`,
        )
      } catch (error) {
        log.error(`cannot start a program: ${messageOf(error)}`)
        reply(false)
      }
    },
    closed(session) {
      running.get(session)?.()
      running.delete(session)
      const { address, port } = settings.peer
      log.verbose?.(
        `Close session: user ${settings.account.name} from ${address} port ${port} id ${session.channel.localId}`,
      )
    },
  }
}

const forcedCommand = ({ options, permissions }: SessionSettings): string | undefined =>
  options.forceCommand ?? permissions.forceCommand

/** As ChannelTimeout calls it. */
const sessionName = (program: SessionProgram): string =>
  program.kind === 'subsystem'
    ? `session:subsystem:${program.name}`
    : `session:${program.kind === 'exec' ? 'command' : 'shell'}`

/** For the log; a command that the client chose is its own business. */
function describe(program: SessionProgram, settings: SessionSettings): string {
  const forced = forcedCommand(settings)
  if (forced !== undefined)
    return `forced-command ${settings.options.forceCommand !== undefined ? '(config)' : '(key-option)'} '${sanitize(forced, true)}'`
  if (program.kind === 'subsystem') return `subsystem '${sanitize(program.name, true)}'`
  return program.kind === 'exec' ? 'command' : 'shell'
}

function planOf(session: ServerSession, program: SessionProgram, settings: SessionSettings): Plan | undefined {
  const { account, options } = settings
  let asked: string | undefined
  if (program.kind === 'exec') asked = program.command
  if (program.kind === 'subsystem') {
    const known = options.subsystem.find(({ name }) => name === program.name)
    if (!known) return undefined
    asked = known.commandLine
  }
  const nologin = account.uid === 0 ? undefined : readText(nologinFile)
  if (nologin !== undefined) {
    settings.log.info?.(`User ${account.name} not allowed because ${nologinFile} exists`)
    return { kind: 'say', text: nologin, status: refusedStatus }
  }
  const forced = forcedCommand(settings)
  const command = forced ?? asked
  if (settings.mustChangePassword) return passwordChange(session, settings)
  // What the client names itself reaches the shell, as any command does.
  if ((forced !== undefined || program.kind === 'subsystem') && isInternalSftp(command)) {
    if (program.kind === 'subsystem') return { kind: 'internal-sftp', command: command! }
    return { kind: 'say', text: 'This service allows sftp connections only.\n', status: 1 }
  }
  const start: ProgramStart = {
    shell: account.shell,
    command,
    directory: account.home,
    prologue: prologueOf(program, settings),
    environment: environmentOf(session, settings, forced === undefined ? undefined : asked),
  }
  return { kind: 'run', start, login: command === undefined }
}

function passwordChange(session: ServerSession, settings: SessionSettings): Plan {
  const warning = 'WARNING: Your password has expired.\n'
  if (!session.pty)
    return { kind: 'say', text: `${warning}Password change required but no TTY available.\n`, status: 1 }
  const hint = 'You must change your password now and log in again!'
  const start: ProgramStart = {
    shell: '/bin/sh',
    command: `echo '${warning.trim()}'; echo '${hint}'; exec passwd`,
    directory: '/',
    environment: environmentOf(session, settings, undefined),
  }
  return { kind: 'run', start, login: false }
}

/** ~/.ssh/rc or /etc/ssh/sshrc (sshd(8), SSHRC): the arguments of the user's shell that run it. */
function prologueOf(program: SessionProgram, { account, options, permissions }: SessionSettings) {
  const own = `${account.home}/.ssh/rc`
  const mayRunOwn =
    program.kind !== 'subsystem' &&
    options.forceCommand === undefined &&
    permissions.userRc !== false &&
    options.permitUserRC
  if (mayRunOwn && exists(own)) return [account.shell, '-c', `/bin/sh ${quote(own)}`] as const
  return exists(systemRc) ? (['/bin/sh', '-c', `/bin/sh ${systemRc}`] as const) : undefined
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const exists = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch {
    return false
  }
}

function environmentOf(
  session: ServerSession,
  settings: SessionSettings,
  original: string | undefined,
): Record<string, string> {
  const { account, peer, options, permissions, log } = settings
  return buildEnvironment({
    account,
    peer,
    log,
    requested: session.environment,
    keyEnvironment: permissions.environment ?? new Map(),
    permitUserEnvironment: options.permitUserEnvironment,
    setEnv: options.setEnv.map(({ name, value }) => `${name}=${value}`),
    pamEnvironment: settings.pamEnvironment ?? new Map(),
    session: {
      ...settings.loginEnvironment,
      TERM: session.pty ? session.pty.term || 'dumb' : undefined,
      SSH_ORIGINAL_COMMAND: original,
      SSH_AUTH_SOCK: settings.forwarding?.agentSocket,
    },
  })
}

/** @returns what ends it when the client goes */
function carryOut(
  session: ServerSession,
  plan: Plan,
  settings: SessionSettings,
  reply: (started: boolean) => void,
): (() => void) | undefined {
  switch (plan.kind) {
    case 'say': {
      reply(true)
      session.attach({ data: data => session.channel.consumed(data.length) })
      if (session.pty) session.channel.write(terminalText(plan.text))
      else session.channel.writeExtended(1, Buffer.from(plan.text))
      session.exit(plan.status)
      return undefined
    }
    case 'internal-sftp': {
      const { account, peer, log, ownProcess = false } = settings
      const home = exists(account.home) ? account.home : '/'
      const stop = serveInternalSftp(session, plan.command, { account, home, address: peer.address, ownProcess, log })
      reply(stop !== undefined)
      return stop
    }
    case 'run': {
      if (session.pty && plan.login) greet(session, settings)
      const program = startProgram(session, plan.start)
      reply(true)
      return () => program.hangUp()
    }
  }
}

/** What a user sees before the first prompt. */
function greet(session: ServerSession, { account, options, notes = [] }: SessionSettings): void {
  const quiet = exists(`${account.home}/.hushlogin`)
  const motd = options.printMotd && !quiet ? readText(motdFile) : undefined
  const text = `${quiet ? '' : notes.join('')}${motd ?? ''}`
  if (text !== '') session.channel.write(terminalText(text))
}

const terminalText = (text: string): Buffer => Buffer.from(text.replace(/\r?\n/g, '\r\n'))

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function startProgram(session: ServerSession, start: ProgramStart): Program {
  const { channel } = session
  const output: ProgramOutput = {
    output: data => channel.writeLent(0, data),
    errorOutput: data => channel.writeLent(1, data),
    ended(end) {
      if ('status' in end) session.exit(end.status)
      else session.exitSignal(end.signal, end.coreDumped)
    },
  }
  const program = session.pty ? startOnTerminal(start, session.pty, output) : startOnPipes(start, output)
  const consumed = onceForEachTurn(count => channel.consumed(count))
  session.attach({
    data: data =>
      program.input(data, () => {
        giveBack(data)
        consumed(data.length)
      }),
    eof: () => program.endInput(),
    endOfWrite: () => program.endOutput(),
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

/** Adds up what is counted in one turn: one WINDOW_ADJUST then answers all that one read of the socket brought. */
function onceForEachTurn(tell: (sum: number) => void): (count: number) => void {
  let sum = 0
  return count => {
    if (sum === 0) {
      queueMicrotask(() => {
        const whole = sum
        sum = 0
        tell(whole)
      })
    }
    sum += count
  }
}
