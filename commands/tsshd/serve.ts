import { existsSync, fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { messageOf } from '../../lib/errors.ts'
import type { Peer } from '../../src/api/server.ts'
import { CommandError } from '../../src/command/errors.ts'
import { foreignFunctions, NativeError } from '../../src/native/ffi.ts'
import { keepYoungSpaceSmall } from '../../src/native/garbage.ts'
import { hasPipes } from '../../src/native/process.ts'
import { readLarge } from '../../src/net/large-reads.ts'
import type { SshdConfig } from '../../src/openssh/resolve-sshd-config.ts'
import { authorityPath } from './authority-files.ts'
import type { Invocation } from './command-line.ts'
import { unobeyed } from './config-policy.ts'
import { serveConnection } from './connection.ts'
import { ConnectionProcesses } from './connection-process.ts'
import { settleAsDaemon, writePidFile } from './daemon.ts'
import type { Host } from './host.ts'
import { type Handler, type Listener, type ListenPlace, openListener, peerOf } from './listener.ts'
import { type HostSpec, hostOf, prepareHost, readConfig } from './server-setup.ts'

/** Where a server without a configuration listens. */
const ownPlace: ListenPlace = { host: '127.0.0.1', port: 2222 }

/** Serves one connection on stdin and stdout, as inetd and ProxyCommand start it. */
export async function serveStdio(host: Host): Promise<number> {
  const socket = stdinSocket()
  const stream = socket ?? Duplex.from({ readable: process.stdin, writable: process.stdout })
  const unknown: Peer = { address: 'UNKNOWN', port: 65_535, localAddress: 'UNKNOWN', localPort: 65_535 }
  const { ended } = serveConnection(stream, socket?.remoteAddress ? peerOf(socket) : unknown, host)
  const offence = await ended
  return offence === undefined ? 0 : 255
}

/** What inetd gives is a socket that is both stdin and stdout; a proxy's two pipes are not. */
function stdinSocket(): Socket | undefined {
  const [input, output] = [fstatSync(0), fstatSync(1)]
  if (!input.isSocket() || input.ino !== output.ino) return undefined
  return readLarge(new Socket({ fd: 0, readable: true, writable: true }))
}

/** How a run of the server ended. */
type Ending = 'restart' | number

/** Listens and serves until a signal ends it; SIGHUP begins anew with what the files say then. */
export async function serveSockets(invocation: Invocation, first: HostSpec, isDaemon: boolean): Promise<number> {
  const host = hostOf(first)
  for (const line of unobeyed(host.config)) host.log.info?.(line)
  warnOfMissingCalls(host)
  keepYoungSpaceSmall()
  let running = await start(invocation, first, host)
  const removePidFile = isDaemon || first.everyone ? writePidFile(host.config.pidFile, host.log) : () => {}
  // Before anybody is told that it serves: who hears that may end it at once.
  let ended = endingOf(invocation, running)
  if (invocation.configFile === undefined) welcome(running.listener, host)
  if (isDaemon) await settleAsDaemon()
  // Ahead of the first program.
  if (!first.everyone) setImmediate(hasPipes)
  for (;;) {
    const ending = await ended
    if (ending === 'restart') {
      running = await restart(invocation, running)
      ended = endingOf(invocation, running)
      continue
    }
    removePidFile()
    running.stop()
    return ending
  }
}

interface Running {
  readonly spec: HostSpec
  readonly host: Host
  readonly listener: Listener
  /** Takes no more connections; those that are open go on. */
  retire(): void
  /** As `retire`, and ends the connections that this process serves itself. */
  stop(): void
}

async function start(invocation: Invocation, spec: HostSpec, host: Host): Promise<Running> {
  const processes = spec.everyone && invocation.debug === 0 ? new ConnectionProcesses(spec, host.log) : undefined
  const open = new Set<{ close(): void }>()
  const here: Handler = (accepted, peer) => {
    const socket = readLarge(accepted)
    const served = serveConnection(socket, peer, withOwnLog(host))
    open.add(served)
    served.ended.then(() => open.delete(served))
    socket.resume()
    return served
  }
  const listener = await listen(invocation, host, processes?.handle ?? here)
  const retire = (): void => {
    listener.close()
    processes?.close()
  }
  return {
    spec,
    host,
    listener,
    retire,
    stop() {
      retire()
      for (const served of open) served.close()
    },
  }
}

/** Connections of one process each have a log level of their own. */
const withOwnLog = (host: Host): Host => ({ ...host, log: host.newLog() })

async function listen(invocation: Invocation, host: Host, handler: Handler): Promise<Listener> {
  const places = placesOf(invocation, host.config)
  let listener = await openListener(places, host.config, host.log, handler)
  // Without a configuration any port will do.
  if (listener.places.length === 0 && places.includes(ownPlace))
    listener = await openListener([{ ...ownPlace, port: 0 }], host.config, host.log, handler)
  if (listener.places.length === 0) throw new CommandError('Cannot bind any address.', 255)
  return listener
}

/** Without a configuration the server is for this machine alone. */
function placesOf({ configFile, ports }: Invocation, config: SshdConfig): readonly ListenPlace[] {
  const configured = config.history.some(({ property }) => property === 'listenAddress' || property === 'port')
  if (configFile === undefined && !config.history.some(({ property }) => property === 'listenAddress')) {
    if (ports.length > 0) return ports.map(port => ({ ...ownPlace, port }))
    return configured ? config.port.map(port => ({ ...ownPlace, port })) : [ownPlace]
  }
  return config.listenAddress.map(({ host, port }) => ({ host, port }))
}

function warnOfMissingCalls({ config, log }: Host): void {
  if (!config.history.some(({ property }) => property === 'ipQoS')) return
  try {
    foreignFunctions()
  } catch (error) {
    if (error instanceof NativeError) log.error(`IPQoS has no effect: ${error.message}`)
  }
}

/** Reads everything anew; a configuration that is wrong leaves the server as it is. */
async function restart(invocation: Invocation, running: Running): Promise<Running> {
  running.host.log.info?.('Received SIGHUP; restarting.')
  try {
    const { config, files } = readConfig(invocation)
    const spec = prepareHost(invocation, config, files)
    const host = hostOf(spec)
    running.retire()
    const next = await start(invocation, spec, host)
    return {
      ...next,
      stop() {
        running.stop()
        next.stop()
      },
    }
  } catch (error) {
    running.host.log.error(`Not restarted: ${messageOf(error)}`)
    return running
  }
}

function welcome({ places: [place] }: Listener, { config, service, passwords }: Host): void {
  if (!place || service === 'everyone') return
  const { name } = service
  const { authorizedKeysFile, pubkeyAuthentication } = config
  const files = pubkeyAuthentication ? authorizedKeysFile.filter(file => file.toLowerCase() !== 'none') : []
  const places = files
    .map(file => authorityPath(file, service))
    // The old second name is worth a word only where it is used.
    .filter(file => !file.endsWith('/.ssh/authorized_keys2') || existsSync(file))
  const secrets = [
    ...(places.length > 0 ? [`the keys in ${places.join(', ')}`] : []),
    ...(passwords.kind === 'file' ? [`the passwords in ${passwords.file}`] : []),
  ]
  process.stderr.write(
    `tsshd serves ${name} on ${place.host} port ${place.port}, for ${secrets.join(' and ') || 'nobody'}.\n` +
      `Log in with: tssh -p ${place.port} ${name}@${place.host}\n`,
  )
}

/** A signal, or with -d the end of the first connection. */
function endingOf({ debug }: Invocation, { host, listener }: Running): Promise<Ending> {
  return new Promise(resolve => {
    const numbers = { SIGTERM: 15, SIGINT: 2, SIGQUIT: 3 } as const
    const stop = (signal: NodeJS.Signals): void => {
      host.log.info?.(`Received signal ${numbers[signal as keyof typeof numbers]}; terminating.`)
      done(signal === 'SIGTERM' || signal === 'SIGINT' ? 0 : 255)
    }
    const again = (): void => done('restart')
    const done = (ending: Ending): void => {
      for (const signal of Object.keys(numbers)) process.off(signal, stop)
      process.off('SIGHUP', again)
      resolve(ending)
    }
    for (const signal of Object.keys(numbers)) process.on(signal, stop)
    process.on('SIGHUP', again)
    if (debug > 0) listener.firstEnded.then(() => done(0))
  })
}
