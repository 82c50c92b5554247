/** The session channel (RFC 4254 §6): how it is opened, and what its requests carry. Both sides use the same codecs. */

import type { Field } from '../../wire/struct.ts'
import type { Channel, ChannelSink } from '../channel.ts'
import type { Connection, OpenChannelOptions } from '../connection.ts'
import { type ChannelType, channelType, checkedText } from './channel-type.ts'
import { decodeTerminalModes, encodeTerminalModes, type TerminalModes } from './terminal-modes.ts'

export const session: ChannelType<undefined> = channelType('session', { read: () => undefined, write() {} })

/** Opens a session channel. @throws ChannelOpenError */
export function openSession(
  connection: Connection,
  sink: ChannelSink,
  options?: Omit<OpenChannelOptions, 'write'>,
): Promise<Channel> {
  return session.open(connection, undefined, sink, options)
}

/** A channel request that carries something: its wire name and its codec. */
export interface RequestType<T> extends Pick<Field<T>, 'read' | 'write'> {
  readonly name: string
}

/** Characters and pixels; 0 when unknown (RFC 4254 §6.2). */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
  readonly width: number
  readonly height: number
}

export interface PtyRequest extends TerminalSize {
  readonly term: string
  readonly modes: TerminalModes
}

export const ptyRequest: RequestType<PtyRequest> = {
  name: 'pty-req',
  read: reader => ({
    term: checkedText(reader.text()),
    columns: reader.uint32(),
    rows: reader.uint32(),
    width: reader.uint32(),
    height: reader.uint32(),
    modes: decodeTerminalModes(reader.string()),
  }),
  write(writer, pty) {
    writer.text(pty.term).uint32(pty.columns).uint32(pty.rows).uint32(pty.width).uint32(pty.height)
    writer.string(encodeTerminalModes(pty.modes))
  },
}

export const windowChange: RequestType<TerminalSize> = {
  name: 'window-change',
  read: reader => ({
    columns: reader.uint32(),
    rows: reader.uint32(),
    width: reader.uint32(),
    height: reader.uint32(),
  }),
  write(writer, size) {
    writer.uint32(size.columns).uint32(size.rows).uint32(size.width).uint32(size.height)
  },
}

/** X11 forwarding (RFC 4254 §6.3.1). The cookie is hexadecimal text. */
export interface X11Request {
  readonly singleConnection: boolean
  readonly protocol: string
  readonly cookie: string
  readonly screen: number
}

export const x11Request: RequestType<X11Request> = {
  name: 'x11-req',
  read: reader => ({
    singleConnection: reader.boolean(),
    protocol: checkedText(reader.text()),
    cookie: checkedText(reader.text()),
    screen: reader.uint32(),
  }),
  write(writer, request) {
    writer.boolean(request.singleConnection).text(request.protocol).text(request.cookie).uint32(request.screen)
  },
}

export interface EnvironmentVariable {
  readonly name: string
  readonly value: string
}

export const envRequest: RequestType<EnvironmentVariable> = {
  name: 'env',
  read: reader => ({ name: checkedText(reader.text()), value: checkedText(reader.text()) }),
  write(writer, variable) {
    writer.text(variable.name).text(variable.value)
  },
}

export const execRequest: RequestType<string> = {
  name: 'exec',
  read: reader => checkedText(reader.text()),
  write: (writer, command) => writer.text(command),
}

export const subsystemRequest: RequestType<string> = {
  name: 'subsystem',
  read: reader => checkedText(reader.text()),
  write: (writer, name) => writer.text(name),
}

/** A signal's name without SIG, as in RFC 4254 §6.10: `TERM`, or OpenSSH's `INFO@openssh.com`. */
export const signalRequest: RequestType<string> = {
  name: 'signal',
  read: reader => checkedText(reader.text()),
  write: (writer, name) => writer.text(name),
}

/** BREAK for this many milliseconds (RFC 4335). */
export const breakRequest: RequestType<number> = {
  name: 'break',
  read: reader => reader.uint32(),
  write: (writer, milliseconds) => writer.uint32(milliseconds),
}

/** Whether the client may do flow control by itself (RFC 4254 §6.8). */
export const xonXoffRequest: RequestType<boolean> = {
  name: 'xon-xoff',
  read: reader => reader.boolean(),
  write: (writer, clientCanDo) => writer.boolean(clientCanDo),
}

export const exitStatusRequest: RequestType<number> = {
  name: 'exit-status',
  read: reader => reader.uint32(),
  write: (writer, status) => writer.uint32(status),
}

/** A program that a signal ended (RFC 4254 §6.10). */
export interface ExitSignal {
  readonly name: string
  readonly coreDumped: boolean
  readonly message: string
}

export const exitSignalRequest: RequestType<ExitSignal> = {
  name: 'exit-signal',
  read(reader) {
    const signal = { name: reader.text(), coreDumped: reader.boolean(), message: reader.text() }
    reader.text() // language tag
    return signal
  },
  write(writer, signal) {
    writer.text(signal.name).boolean(signal.coreDumped).text(signal.message).text('')
  },
}

/** Requests that carry nothing. */
export const shellRequestName = 'shell'
export const agentRequestName = 'auth-agent-req@openssh.com'
/** The name that IANA knows, for servers that announced `agent-forward`. */
export const agentRequestNewName = 'agent-req'

/** How a program ended. With neither, the peer did not say, which is never success. */
export interface ExitStatus {
  readonly status?: number
  readonly signal?: ExitSignal
}

/** What a session runs: exactly one of these, once (RFC 4254 §6.5). */
export type SessionProgram =
  | { readonly kind: 'shell' }
  | { readonly kind: 'exec'; readonly command: string }
  | { readonly kind: 'subsystem'; readonly name: string }
