import { type ChildProcess, spawn } from 'node:child_process'
import { type Socket, Socket as SocketClass } from 'node:net'
import type { Log } from '../../lib/log.ts'
import { hasPipes } from '../../src/native/process.ts'
import { readLarge } from '../../src/net/large-reads.ts'
import { serveConnection } from './connection.ts'
import { type Handler, type Handling, peerOf } from './listener.ts'
import { reexecution } from './reexec.ts'
import { type HostSpec, hostOf } from './server-setup.ts'
import type { Offence } from './source-limits.ts'

/**
 * Root's way to serve: a process for each connection, which becomes the user who logs in. It is started before it is
 * needed, and gets the configuration, the host keys and then the socket from the listener.
 */

type ToProcess = { readonly kind: 'prepare'; readonly spec: HostSpec } | { readonly kind: 'serve' }
type FromProcess = { readonly kind: 'authenticated' }

/** Exit statuses by which a connection process tells its listener how it ended without a login, as sshd's do. */
const offenceStatus: Readonly<Record<Offence, number>> = {
  noauth: 255,
  'grace-exceeded': 3,
  crash: 4,
  authfail: 5,
  refuseconnection: 6,
  invaliduser: 7,
}

const offenceOf = (status: number | null): Offence | undefined => {
  if (status === 0) return undefined
  const found = Object.entries(offenceStatus).find(([, value]) => value === status)
  // Any other end is a failure of ours that this client brought about.
  return (found?.[0] as Offence | undefined) ?? 'crash'
}

/** Processes that wait for a connection. */
const spares = 1

/** Starts connection processes and hands sockets to them. */
export class ConnectionProcesses {
  readonly #spec: HostSpec
  readonly #log: Log
  readonly #waiting: ChildProcess[] = []
  #closed = false

  constructor(spec: HostSpec, log: Log) {
    this.#spec = spec
    this.#log = log
    this.#refill()
  }

  readonly handle: Handler = (socket): Handling => {
    const child = this.#waiting.shift() ?? this.#start()
    // After the socket is on its way, so that starting the next does not delay it.
    setImmediate(() => this.#refill())
    const handling = {
      authenticated: new Promise<void>(resolve => {
        child.on('message', message => {
          if ((message as FromProcess).kind === 'authenticated') resolve()
        })
      }),
      ended: new Promise<Offence | undefined>(resolve => {
        child.on('exit', (status, signal) => {
          if (signal) this.#log.error(`session process ${child.pid} killed by signal ${signal}`)
          socket.destroy()
          resolve(signal ? undefined : offenceOf(status))
        })
        child.on('error', () => resolve(undefined))
      }),
    }
    child.send({ kind: 'serve' } satisfies ToProcess, socket, { keepOpen: false }, error => {
      if (!error) return
      this.#log.error(`cannot hand a connection to process ${child.pid}: ${error.message}`)
      socket.destroy()
      child.kill()
    })
    return handling
  }

  /** Ends the processes that wait; those that serve go on. */
  close(): void {
    this.#closed = true
    for (const child of this.#waiting.splice(0)) child.kill()
  }

  #refill(): void {
    while (!this.#closed && this.#waiting.length < spares) {
      const child = this.#start()
      this.#waiting.push(child)
      child.once('exit', () => {
        const index = this.#waiting.indexOf(child)
        if (index >= 0) this.#waiting.splice(index, 1)
      })
    }
  }

  #start(): ChildProcess {
    const [program, ...args] = reexecution('connection')
    const child = spawn(program, args, {
      // A session of its own, so that what stops the listener's terminal does not stop logins.
      detached: true,
      // Whoever waits for a daemon's stderr to close must not wait for its connections.
      stdio: ['ignore', 'ignore', this.#spec.logPlace.kind === 'stderr' ? 'inherit' : 'ignore', 'ipc'],
    })
    child.on('error', error => this.#log.error(`cannot start a connection process: ${error.message}`))
    child.send({ kind: 'prepare', spec: this.#spec } satisfies ToProcess, () => {})
    return child
  }
}

/** The process's own side: serves the one connection that it is given. */
export function connectionProcessMain(): Promise<number> {
  return new Promise(resolve => {
    let spec: HostSpec | undefined
    let serving = false
    process.on('disconnect', () => {
      if (!serving) resolve(0)
    })
    process.on('message', (message: ToProcess, socket?: unknown) => {
      if (message.kind === 'prepare') {
        spec = message.spec
        // Ahead of need, too.
        setImmediate(hasPipes)
      } else if (spec && socket instanceof SocketClass) {
        serving = true
        serve(spec, socket).then(resolve)
      } else {
        resolve(255)
      }
    })
  })
}

async function serve(spec: HostSpec, given: Socket): Promise<number> {
  const socket = readLarge(given)
  const host = hostOf(spec)
  const gone = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.setNoDelay(true)
  const { authenticated, ended } = serveConnection(socket, peerOf(socket), host)
  authenticated.then(() => {
    // From here on nothing ties this process to the listener: not its end, and nothing the user could send it.
    process.send?.({ kind: 'authenticated' } satisfies FromProcess, undefined, undefined, () => process.disconnect?.())
  })
  process.on('uncaughtException', error => {
    host.log.error(`connection process failed: ${error.stack ?? error.message}`)
    process.exit(offenceStatus.crash)
  })
  // Programs of the user that end with the connection get their signal before we are gone.
  socket.resume()
  const offence = await ended
  await gone
  return offence === undefined ? 0 : offenceStatus[offence]
}
