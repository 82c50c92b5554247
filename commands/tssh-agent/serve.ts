import { fstatSync, rmdirSync, unlinkSync } from 'node:fs'
import { constants, homedir } from 'node:os'
import { resolve } from 'node:path'
import { Keyring } from '../../lib/agent/keyring.ts'
import { sanitize } from '../../lib/errors.ts'
import { fingerprint } from '../../lib/keys/fingerprint.ts'
import { type Log, silentLog } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { createLog, stderrSink } from '../../src/command/stderr-log.ts'
import { confirmByAskpass } from '../../src/identity/confirm.ts'
import { loadAgentProtection } from '../../src/native/agent-protection.ts'
import { garbageCollection } from '../../src/native/garbage.ts'
import { newAgentSocket, newTemporarySocket, removeStaleSockets } from '../../src/net/agent-folder.ts'
import { listenForAgentClients, systemClock } from '../../src/net/agent-listener.ts'
import type { AgentCommandLine } from './command-line.ts'

/** Status of an agent that a signal ended. */
const signalStatus = 2
/** How often a command's agent looks whether the command is still there, in milliseconds. */
const parentInterval = 10_000
/** The first descriptor that systemd hands over. */
const activatedDescriptor = 3

export interface RunningAgent {
  /** Undefined when the socket was handed over by systemd. */
  readonly socket: string | undefined
  /** Resolves to the exit status once it was told to end. */
  readonly ended: Promise<number>
}

/** Where OpenSSH puts the user: $HOME, else what the system says. */
export const homeFolder = (): string => process.env['HOME'] || homedir()

export interface ServeOptions {
  readonly line: AgentCommandLine
  /** In the background: ended by the end of `parent`, when there is a command to run. */
  readonly parent: number | undefined
}

/** Starts to serve. @throws AgentError | CommandError when it cannot listen */
export async function startServing({ line, parent }: ServeOptions): Promise<RunningAgent> {
  const log = agentLog(line)
  const protection = loadAgentProtection()
  if (protection?.refuseTracing()) log.debug1?.('tracing and core dumps are refused')
  const activated = line.foreground !== 'no' && line.socket === undefined && isActivated()
  const place = activated ? undefined : await choosePlace(line, log)
  const keyring = new Keyring({
    clock: systemClock,
    lifetime: line.lifetime,
    log,
    forgotten: garbageCollection(),
    confirm: ({ publicKey, comment, purpose }) =>
      confirmByAskpass(question(comment, fingerprint(publicKey.blob, line.fingerprintHash), purpose), process.env),
  })
  // Before there can be keys: until somebody listens, this signal lets a debugger in.
  process.on('SIGUSR1', () => {
    log.info?.(`signal ${constants.signals.SIGUSR1} received; removing all keys`)
    keyring.removeAll()
  })
  const cleanUp = (): void => {
    if (!place) return
    ignoreErrors(() => unlinkSync(place.path))
    if (place.folder) ignoreErrors(() => rmdirSync(place.folder!))
  }
  try {
    await listenForAgentClients({ keyring, log, at: place?.path ?? { fd: activatedDescriptor }, protection })
  } catch (error) {
    if (place?.folder) ignoreErrors(() => rmdirSync(place.folder!))
    throw error
  }
  const ended = untilEnd({ line, parent, activated, log }).then(status => {
    keyring.removeAll()
    cleanUp()
    return status
  })
  return { socket: place?.shown, ended }
}

const agentLog = ({ foreground }: AgentCommandLine): Log =>
  foreground === 'no' ? silentLog : createLog(foreground === 'debug' ? 'DEBUG3' : 'INFO', stderrSink())

function question(comment: string, shownFingerprint: string, purpose: string | undefined): string {
  const key = `Allow use of key ${sanitize(comment, true)}?\nKey fingerprint ${shownFingerprint}.`
  return purpose === undefined ? key : `${key}\n${purpose}`
}

interface Place {
  readonly path: string
  /** As the user wrote it. */
  readonly shown: string
  /** Made for the socket alone. */
  readonly folder?: string
}

async function choosePlace(line: AgentCommandLine, log: Log): Promise<Place> {
  if (line.inTemporaryFolder) {
    const { path, folder } = newTemporarySocket(line.foreground === 'no' ? process.ppid : process.pid)
    return { path, shown: path, folder }
  }
  if (line.socket !== undefined) return { path: resolve(line.socket), shown: line.socket }
  const home = homeFolder()
  if (line.cleanStale) await removeStaleSockets(home, { anyHost: false, log })
  const path = newAgentSocket(home)
  return { path, shown: path }
}

/** Whether systemd hands a socket over (sd_listen_fds(3)). @throws CommandError when what it says does not fit */
function isActivated(): boolean {
  const { LISTEN_PID: pid, LISTEN_FDS: count } = process.env
  if (pid === undefined || count === undefined) return false
  if (count !== '1') throw new CommandError(`unexpected LISTEN_FDS contents (want: "1" got "${count}")`, 255)
  if (!isSocket(activatedDescriptor)) throw new CommandError('LISTEN_FDS set but fd 3 unavailable', 255)
  if (!/^[1-9]\d*$/.test(pid)) throw new CommandError('invalid LISTEN_PID: invalid', 255)
  if (Number(pid) !== process.pid) throw new CommandError(`bad LISTEN_PID: ${pid} vs pid ${process.pid}`, 255)
  return true
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket()
  } catch {
    return false
  }
}

function untilEnd(options: ServeOptions & { readonly activated: boolean; readonly log: Log }): Promise<number> {
  const { line, parent, activated, log } = options
  return new Promise(end => {
    for (const signal of ['SIGINT', 'SIGHUP', 'SIGTERM'] as const) {
      // In the background nobody can have meant us by Ctrl-C.
      if (signal === 'SIGINT' && line.foreground === 'no') process.on(signal, () => {})
      else
        process.once(signal, () => {
          log.info?.(`exiting on signal ${constants.signals[signal]}`)
          end(signal === 'SIGTERM' && activated ? 0 : signalStatus)
        })
    }
    if (parent === undefined) return
    setInterval(() => {
      if (process.ppid !== parent) end(signalStatus)
    }, parentInterval).unref()
  })
}

function ignoreErrors(action: () => void): void {
  try {
    action()
  } catch {
    // What is gone need not be removed.
  }
}
