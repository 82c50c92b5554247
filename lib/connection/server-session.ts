import type { Readable, Writable } from 'node:stream'
import type { Reader } from '../wire/reader.ts'
import type { Channel, ChannelSink } from './channel.ts'
import type { ChannelAcceptor, Connection } from './connection.ts'
import { HeldData } from './held-data.ts'
import { createChannelStreams } from './stream.ts'
import {
  agentRequestName,
  agentRequestNewName,
  breakRequest,
  type EnvironmentVariable,
  envRequest,
  execRequest,
  exitSignalRequest,
  exitStatusRequest,
  type PtyRequest,
  ptyRequest,
  type SessionProgram,
  session as sessionType,
  shellRequestName,
  signalRequest,
  subsystemRequest,
  type TerminalSize,
  windowChange,
  type X11Request,
  x11Request,
  xonXoffRequest,
} from './types/session.ts'

/** Environment variables of one session, and the bytes of their names and values together. */
const maximumVariables = 128
const maximumEnvironmentBytes = 128 * 1024

/** What a server does about sessions. Except for `start`, each answers whether the request is granted. */
export interface SessionHandler {
  /**
   * Starts the program: `session.attach` or `session.streams`, then `reply(true)`; or `reply(false)`, after which the
   * client may ask for something else. Returns at once.
   */
  start(session: ServerSession, program: SessionProgram, reply: (started: boolean) => void): void
  /** Default: no. */
  pty?(session: ServerSession, request: PtyRequest): boolean
  /** Default: no. A name or value is whatever the client sent. */
  env?(session: ServerSession, variable: EnvironmentVariable): boolean
  /** Default: no. */
  x11?(session: ServerSession, request: X11Request): boolean
  /** Default: no. */
  agentForwarding?(session: ServerSession): boolean
  /** The channel closed, or the connection ended (`error`), whether or not a program was started. */
  closed?(session: ServerSession, error?: Error): void
}

/** Takes a session's input. Its `request` is not called. */
export interface ServerSessionSink extends ChannelSink {
  /** The terminal has another size; `session.pty` has it already. */
  windowChange?(size: TerminalSize): void
  /** A signal's name without SIG, as the client sent it. Returns whether it could be delivered. */
  signal?(name: string): boolean
  break?(milliseconds: number): boolean
}

/** A session's streams as its program on the server sees them. */
export interface ServerSessionStreams {
  readonly stdin: Readable
  readonly stdout: Writable
  readonly stderr: Writable
}

/** The acceptor of `session` channels that leads to `handler`. */
export function acceptSessions(handler: SessionHandler): ChannelAcceptor {
  return sessionType.acceptor((_, opening, connection) => {
    opening.accept(new ServerSession(connection, handler).channelSink)
  })
}

/** A session as its server sees it: collects what the client asks for, then runs one program. */
export class ServerSession {
  readonly connection: Connection
  /** What was granted so far. */
  readonly environment = new Map<string, string>()
  pty: PtyRequest | undefined
  x11: X11Request | undefined
  agentForwarding = false
  program: SessionProgram | undefined
  /** To be given to `ChannelOpening.accept`. */
  readonly channelSink: ChannelSink

  readonly #handler: SessionHandler
  #channel!: Channel
  #environmentBytes = 0
  /** `starting`: the handler did not reply yet. */
  #state: 'preparing' | 'starting' | 'running' = 'preparing'
  #sink: ServerSessionSink | undefined
  /** What came before there was a sink. */
  readonly #held = new HeldData()
  readonly #heldEvents: ((sink: ServerSessionSink) => void)[] = []

  constructor(connection: Connection, handler: SessionHandler) {
    this.connection = connection
    this.#handler = handler
    this.channelSink = {
      opened: channel => {
        this.#channel = channel
      },
      data: data => this.#handData(0, data),
      extendedData: (type, data) => this.#handData(type, data),
      eof: () => this.#hand(sink => sink.eof?.()),
      writable: () => this.#sink?.writable?.(),
      endOfWrite: () => this.#hand(sink => sink.endOfWrite?.()),
      request: (name, payload, reply) => this.#request(name, payload, reply),
      closed: error => {
        this.#hand(sink => sink.closed?.(error))
        this.#handler.closed?.(this, error)
      },
    }
  }

  get channel(): Channel {
    return this.#channel
  }

  /** From now on `sink` gets the input; first what was held back. */
  attach(sink: ServerSessionSink): void {
    this.#sink = sink
    sink.opened?.(this.#channel)
    for (let piece = this.#held.shift(); piece; piece = this.#held.shift()) this.#handData(piece.type, piece.data)
    for (const deliver of this.#heldEvents.splice(0)) deliver(sink)
  }

  /** The session as Node streams; it stays open until `exit`, `exitSignal` or `close`. */
  streams(events: Pick<ServerSessionSink, 'windowChange' | 'signal' | 'break'> = {}): ServerSessionStreams {
    const streams = createChannelStreams()
    this.attach({ ...streams.sink, ...events })
    // The client's stderr is nobody's input.
    streams.incomingError.resume()
    return { stdin: streams.incoming, stdout: streams.outgoing, stderr: streams.outgoingError }
  }

  /** The program ended with this status: says so, then sends EOF and CLOSE after what is queued. */
  exit(status: number): void {
    this.#channel.notify(exitStatusRequest.name, writer => exitStatusRequest.write(writer, status))
    this.#finish()
  }

  /** A signal (name without SIG) ended the program. */
  exitSignal(name: string, coreDumped = false, message = ''): void {
    this.#channel.notify(exitSignalRequest.name, writer =>
      exitSignalRequest.write(writer, { name, coreDumped, message }),
    )
    this.#finish()
  }

  /** Tells the client whether it may do flow control by itself (RFC 4254 §6.8). */
  xonXoff(clientCanDo: boolean): void {
    this.#channel.notify(xonXoffRequest.name, writer => xonXoffRequest.write(writer, clientCanDo))
  }

  /** Closes without saying how the program ended. */
  close(): void {
    this.#finish()
  }

  #finish(): void {
    this.#channel.eof()
    this.#channel.close()
  }

  #hand(deliver: (sink: ServerSessionSink) => void): void {
    if (this.#sink) deliver(this.#sink)
    else this.#heldEvents.push(deliver)
  }

  #handData(type: number, data: Buffer): void {
    const sink = this.#sink
    if (!sink) this.#held.push(type, data)
    else if (type === 0) sink.data(data)
    else if (sink.extendedData) sink.extendedData(type, data)
    else this.#channel.consumed(data.length)
  }

  #request(name: string, payload: Reader, reply: (success: boolean) => void): void {
    switch (name) {
      case shellRequestName:
        this.#start({ kind: 'shell' }, reply)
        break
      case execRequest.name:
        this.#start({ kind: 'exec', command: execRequest.read(payload) }, reply)
        break
      case subsystemRequest.name:
        this.#start({ kind: 'subsystem', name: subsystemRequest.read(payload) }, reply)
        break
      case windowChange.name:
        reply(this.#resize(windowChange.read(payload)))
        break
      case signalRequest.name:
        reply(this.#sink?.signal?.(signalRequest.read(payload)) ?? false)
        break
      case breakRequest.name:
        reply(this.#sink?.break?.(breakRequest.read(payload)) ?? false)
        break
      default:
        reply(this.#state === 'preparing' && this.#prepare(name, payload))
    }
  }

  /** One program per session (RFC 4254 §6.5); one that could not be started does not count. */
  #start(program: SessionProgram, reply: (success: boolean) => void): void {
    if (this.#state !== 'preparing') {
      reply(false)
      return
    }
    this.#state = 'starting'
    this.program = program
    this.#handler.start(this, program, started => {
      if (this.#state !== 'starting') return
      this.#state = started ? 'running' : 'preparing'
      if (!started) this.program = undefined
      reply(started)
    })
  }

  /** Requests that must come before the program. */
  #prepare(name: string, payload: Reader): boolean {
    switch (name) {
      case ptyRequest.name: {
        const request = ptyRequest.read(payload)
        if (this.pty || !this.#handler.pty?.(this, request)) return false
        this.pty = request
        this.#channel.interactive = true
        return true
      }
      case envRequest.name:
        return this.#addVariable(envRequest.read(payload))
      case x11Request.name: {
        const request = x11Request.read(payload)
        if (this.x11 || !this.#handler.x11?.(this, request)) return false
        this.x11 = request
        return true
      }
      case agentRequestName:
      case agentRequestNewName:
        this.agentForwarding ||= this.#handler.agentForwarding?.(this) ?? false
        return this.agentForwarding
      default:
        return false
    }
  }

  #addVariable(variable: EnvironmentVariable): boolean {
    const { name, value } = variable
    const size = Buffer.byteLength(name) + Buffer.byteLength(value)
    if (name === '' || name.includes('=')) return false
    if (this.environment.size >= maximumVariables || this.#environmentBytes + size > maximumEnvironmentBytes)
      return false
    if (!this.#handler.env?.(this, variable)) return false
    this.#environmentBytes += size
    this.environment.set(name, value)
    return true
  }

  #resize(size: TerminalSize): boolean {
    if (!this.pty) return false
    this.pty = { ...this.pty, ...size }
    this.#sink?.windowChange?.(size)
    return true
  }
}
