import { type RequestError, sanitize } from '../errors.ts'
import type { Reader } from '../wire/reader.ts'
import type { Channel, ChannelSink } from './channel.ts'
import type { Connection } from './connection.ts'
import { nameSession } from './timeouts.ts'
import {
  agentRequestName,
  agentRequestNewName,
  breakRequest,
  type ExitStatus,
  envRequest,
  execRequest,
  exitSignalRequest,
  exitStatusRequest,
  openSession,
  type PtyRequest,
  ptyRequest,
  type RequestType,
  shellRequestName,
  signalRequest,
  subsystemRequest,
  type TerminalSize,
  windowChange,
  type X11Request,
  x11Request,
  xonXoffRequest,
} from './types/session.ts'

/** What a session shall run, and around it. Neither command nor subsystem: the user's shell. */
export interface SessionOptions {
  readonly command?: string
  readonly subsystem?: string
  /** A terminal; sizes default to 80 by 24 characters. */
  readonly pty?: Partial<PtyRequest> & { readonly term: string }
  /** Environment variables to ask for; a server takes those that it likes, silently. */
  readonly env?: Iterable<readonly [name: string, value: string]>
  readonly agentForwarding?: boolean
  readonly x11?: X11Request
  /** Served before bulk channels. Default: when there is a terminal. */
  readonly interactive?: boolean
  readonly window?: number
  readonly maximumPacket?: number
}

/** A sink for a session's output. `exit-status`, `exit-signal` and `xon-xoff` do not reach its `request`. */
export interface SessionSink extends ChannelSink {
  /** Whether we may do flow control by ourselves (RFC 4254 §6.8). */
  xonXoff?(clientCanDo: boolean): void
}

/** A running session as its client sees it. */
export interface ClientSession {
  readonly channel: Channel
  /**
   * How the program ended, once the channel is closed and all output was delivered. It rejects when the connection
   * ended before the program did.
   */
  readonly exit: Promise<ExitStatus>
  /** Requests that the server refused and that we can live without: `pty-req`, `x11-req`. */
  readonly refused: ReadonlySet<string>
  /** Sends a signal by its name without SIG. */
  signal(name: string): void
  /** The terminal has another size now. */
  resize(columns: number, rows: number, width?: number, height?: number): void
  /** BREAK for so many milliseconds (RFC 4335). @throws RequestError */
  sendBreak(milliseconds: number): Promise<void>
  /** Closes the channel after what is queued. */
  close(): void
}

/**
 * Opens a session and starts its program, all requests in one go: one round trip after that of the opening. `sink` gets
 * the output without any stream in between. @throws ChannelOpenError, RequestError
 */
export async function startSession(
  connection: Connection,
  options: SessionOptions,
  sink: SessionSink,
): Promise<ClientSession> {
  const { window, maximumPacket } = options
  const watcher = new ExitWatcher(sink)
  const channel = await openSession(connection, watcher, {
    ...(window !== undefined && { window }),
    ...(maximumPacket !== undefined && { maximumPacket }),
  })
  channel.interactive = options.interactive ?? options.pty !== undefined
  const refused = new Set<string>()
  const optional = <T>(request: RequestType<T>, value: T): void => {
    ask(channel, request, value).catch((error: RequestError) => {
      if (error.code === 'refused') refused.add(request.name)
    })
  }
  if (options.x11) optional(x11Request, options.x11)
  if (options.agentForwarding) channel.notify(agentRequest(connection))
  if (options.pty) optional(ptyRequest, { ...defaultPty, ...options.pty })
  for (const [name, value] of options.env ?? []) tell(channel, envRequest, { name, value })
  try {
    await startProgram(channel, options)
  } catch (error) {
    channel.abort()
    throw error
  }
  return {
    channel,
    exit: watcher.exit,
    refused,
    signal: name => tell(channel, signalRequest, name),
    resize: (columns, rows, width = 0, height = 0) => tell(channel, windowChange, { columns, rows, width, height }),
    sendBreak: milliseconds => ask(channel, breakRequest, milliseconds),
    close: () => channel.close(),
  }
}

const defaultPty: PtyRequest = { term: 'dumb', columns: 80, rows: 24, width: 0, height: 0, modes: new Map() }

function startProgram(channel: Channel, options: SessionOptions): Promise<void> {
  nameSession(channel, sessionName(options))
  if (options.subsystem !== undefined) return ask(channel, subsystemRequest, options.subsystem)
  if (options.command !== undefined) return ask(channel, execRequest, options.command)
  return channel.request(shellRequestName)
}

/** As ChannelTimeout knows it. */
const sessionName = ({ command, subsystem }: SessionOptions): string =>
  subsystem !== undefined ? `session:subsystem:${subsystem}` : `session:${command === undefined ? 'shell' : 'command'}`

function agentRequest(connection: Connection): string {
  return connection.transport.peerExtensions.has('agent-forward') ? agentRequestNewName : agentRequestName
}

function tell<T>(channel: Channel, request: RequestType<T>, value: T): void {
  channel.notify(request.name, writer => request.write(writer, value))
}

function ask<T>(channel: Channel, request: RequestType<T>, value: T): Promise<void> {
  return channel.request(request.name, writer => request.write(writer, value))
}

export type { TerminalSize }

/** Hands everything on, and keeps what the server says about the program's end. */
class ExitWatcher implements ChannelSink {
  readonly exit: Promise<ExitStatus>
  readonly #sink: SessionSink
  #channel: Channel | undefined
  #status: ExitStatus = {}
  #resolve!: (status: ExitStatus) => void
  #reject!: (error: Error) => void

  constructor(sink: SessionSink) {
    this.#sink = sink
    this.exit = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Nobody has to look at `exit`: `closed` of the sink says the same.
    this.exit.catch(() => {})
  }

  opened(channel: Channel): void {
    this.#channel = channel
    this.#sink.opened?.(channel)
  }

  data(data: Buffer): void {
    this.#sink.data(data)
  }

  extendedData(type: number, data: Buffer): void {
    if (this.#sink.extendedData) this.#sink.extendedData(type, data)
    else this.#channel!.consumed(data.length)
  }

  eof(): void {
    this.#sink.eof?.()
  }

  request(name: string, payload: Reader, reply: (success: boolean) => void, wantReply: boolean): void {
    if (name === exitStatusRequest.name) {
      this.#end({ status: exitStatusRequest.read(payload) })
      reply(true)
    } else if (name === exitSignalRequest.name) {
      const { name: signal, coreDumped, message } = exitSignalRequest.read(payload)
      this.#end({ signal: { name: sanitize(signal, true), coreDumped, message: sanitize(message) } })
      reply(true)
    } else if (name === xonXoffRequest.name) {
      this.#sink.xonXoff?.(xonXoffRequest.read(payload))
      reply(true)
    } else if (this.#sink.request) {
      this.#sink.request(name, payload, reply, wantReply)
    } else {
      reply(false)
    }
  }

  /** A program ends once: what is said first counts. */
  #end(status: ExitStatus): void {
    if (this.#status.status === undefined && this.#status.signal === undefined) this.#status = status
  }

  writable(): void {
    this.#sink.writable?.()
  }

  endOfWrite(): void {
    this.#sink.endOfWrite?.()
  }

  closed(error?: Error): void {
    this.#sink.closed?.(error)
    const isKnown = this.#status.status !== undefined || this.#status.signal !== undefined
    if (error && !isKnown) this.#reject(error)
    else this.#resolve(this.#status)
  }
}
