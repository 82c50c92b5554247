import { ProtocolError, sanitize } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import { Reader } from '../wire/reader.ts'
import type { Field } from '../wire/struct.ts'
import { Writer } from '../wire/writer.ts'
import type { SftpVersion } from './attributes.ts'
import {
  type Announcement,
  type Extension,
  type Limits,
  limits as limitsExtension,
  readAnnouncements,
  type VendorId,
  vendorId,
} from './extensions.ts'
import {
  beginPacket,
  endPacket,
  type Messages,
  maximumDataLength,
  messagesOf,
  type NameEntry,
  type PacketLayout,
  packetType,
  readPacket,
  safeDataLength,
} from './messages.ts'
import { type ByteStream, type PacketSink, PacketStream } from './peer.ts'
import { SftpError, statusOf } from './status.ts'

/** Order of the two paths of SYMLINK. `openssh`: target first (PROTOCOL §4.1); `draft`: the new link first. */
export type SymlinkOrder = 'openssh' | 'draft'

export interface SessionOptions {
  /** The highest version to ask for; 3 by default. */
  readonly version?: SftpVersion
  /** By default `draft` for servers known to have it so, else `openssh`. */
  readonly symlinkOrder?: SymlinkOrder
  /** Milliseconds in which some answer must come while one is due; none by default. */
  readonly replyTimeout?: number
  readonly log?: Log
}

/** A request whose answer is due. */
interface Pending {
  /** The type of a good answer that is not STATUS; `status`: STATUS "ok" is the good answer. */
  readonly expects: number
  /** Takes the packet of the type expected; throws ProtocolError when malformed. */
  take(packet: Buffer): void
  fail(error: Error): void
  readonly path: string | undefined
  /** READ and READDIR: STATUS "eof" is an answer, not an error. */
  atEnd?(): void
}

const noBytes = Buffer.alloc(0)

/** Bytes of a packet before the fields: type and id. */
const headLength = 5

/**
 * The client's half of SFTP, request by request: numbers requests, matches answers to them, and knows what the server can
 * do. An answer nobody asked for, of a wrong kind or malformed ends the session.
 */
export class SftpSession implements PacketSink {
  /** The version in use. */
  version: SftpVersion
  messages: Messages
  /** What the server announced, by name. */
  readonly extensions = new Map<string, Buffer>()
  limits: Limits = {
    maximumPacketLength: 0,
    maximumReadLength: safeDataLength,
    maximumWriteLength: safeDataLength,
    maximumOpenHandles: 0,
  }
  symlinkOrder: SymlinkOrder
  vendor: VendorId | undefined
  /** Resolves when the session is over, with the error that ended it. */
  readonly closed: Promise<Error | undefined>

  readonly #packets: PacketStream
  readonly #pending = new Map<number, Pending>()
  readonly #writer = new Writer(512)
  readonly #log: Log
  readonly #timeout: number
  #timer: ReturnType<typeof setTimeout> | undefined
  #nextId = 0
  #over: Error | undefined
  #version: { resolve(packet: Buffer): void; reject(error: Error): void } | undefined
  #settleClosed: (error: Error | undefined) => void = () => {}

  private constructor(stream: ByteStream, options: SessionOptions) {
    this.version = options.version ?? 3
    this.messages = messagesOf(this.version)
    this.symlinkOrder = options.symlinkOrder ?? 'openssh'
    this.#log = options.log ?? silentLog
    this.#timeout = options.replyTimeout ?? 0
    this.closed = new Promise(resolve => {
      this.#settleClosed = resolve
    })
    this.#packets = new PacketStream(stream, this)
  }

  /** Agrees on a version and asks for the limits. @throws SftpError, ProtocolError */
  static async open(stream: ByteStream, options: SessionOptions = {}): Promise<SftpSession> {
    const session = new SftpSession(stream, options)
    try {
      await session.#agree(options)
      if (session.has(limitsExtension)) session.#adopt(await session.ask(limitsExtension, {}))
    } catch (error) {
      session.#packets.abort(error as Error)
      throw error
    }
    return session
  }

  async #agree(options: SessionOptions): Promise<void> {
    const asked = this.version
    const init = this.#writer.reset().uint32(5).byte(packetType.init).uint32(asked).copy()
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.#version = { resolve, reject }
    })
    this.#startTimer()
    this.#packets.send(init)
    const reader = new Reader(await answer, 1)
    const version = reader.uint32()
    if (version < 3 || version > asked) {
      throw new ProtocolError('unsupported-version', `the server speaks SFTP version ${version}, not 3 to ${asked}`)
    }
    this.version = version as SftpVersion
    this.messages = messagesOf(this.version)
    this.#learn(readAnnouncements(reader), options.symlinkOrder)
    this.#log.debug2?.(`sftp: version ${version}, extensions ${sanitize([...this.extensions.keys()].join(' '), true)}`)
  }

  #learn(announcements: readonly Announcement[], order: SymlinkOrder | undefined): void {
    for (const { name, data } of announcements) this.extensions.set(name, data)
    const vendor = this.extensions.get('vendor-id')
    if (vendor) {
      try {
        this.vendor = vendorId.read(new Reader(vendor))
      } catch {
        this.#log.debug1?.('sftp: the server has a malformed vendor-id')
      }
    }
    this.symlinkOrder = order ?? (this.vendor?.product === 'AsyncSSH' ? 'draft' : 'openssh')
  }

  #adopt(limits: Limits): void {
    const within = (value: number): number => (value === 0 ? safeDataLength : Math.min(value, maximumDataLength))
    this.limits = {
      ...limits,
      maximumReadLength: within(limits.maximumReadLength),
      maximumWriteLength: within(limits.maximumWriteLength),
    }
  }

  /** Whether the server announced an extension in the version that we know. */
  has(extension: { readonly name: string; readonly version: string }): boolean {
    return this.extensions.get(extension.name)?.toString('latin1') === extension.version
  }

  /** A request that is answered by STATUS. */
  status<T>(layout: PacketLayout<T>, value: T, path?: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#send(layout, value, { expects: packetType.status, take: () => resolve(), fail: reject, path })
    })
  }

  /** A request that is answered by one kind of packet, read with its layout. */
  query<T, R>(layout: PacketLayout<T>, value: T, reply: PacketLayout<R>, path?: string): Promise<R> {
    return new Promise((resolve, reject) => {
      const take = (packet: Buffer): void => resolve(readPacket(reply, packet, headLength, this.version))
      this.#send(layout, value, { expects: reply.type, take, fail: reject, path })
    })
  }

  /** OPEN or OPENDIR: the handle. */
  async handle<T>(layout: PacketLayout<T>, value: T, path: string): Promise<Buffer> {
    const { handle } = await this.query(layout, value, this.messages.handle, path)
    // A copy, since the packet it lies in may be a large one.
    return Buffer.from(handle)
  }

  /** READDIR: undefined at the end. */
  names(handle: Buffer, path: string): Promise<NameEntry[] | undefined> {
    return new Promise((resolve, reject) => {
      const take = (packet: Buffer): void =>
        resolve(readPacket(this.messages.name, packet, headLength, this.version).names)
      const atEnd = (): void => resolve(undefined)
      this.#send(this.messages.readdir, { handle }, { expects: packetType.name, take, fail: reject, path, atEnd })
    })
  }

  /** READ: no bytes at the end of the file. The data is a view of the packet. */
  read(handle: Buffer, offset: number, length: number, path: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const take = (packet: Buffer): void => resolve(dataOf(packet, length))
      const atEnd = (): void => resolve(noBytes)
      this.#send(
        this.messages.read,
        { handle, offset, length },
        { expects: packetType.data, take, fail: reject, path, atEnd },
      )
    })
  }

  /** WRITE, with the data by reference: it must not change until the promise resolves. */
  write(handle: Buffer, offset: number, data: Buffer, path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { expects: packetType.status, take: () => resolve(), fail: reject, path }
      const id = this.#register(pending)
      if (id === undefined) return
      const writer = beginPacket(this.#writer, packetType.write, id)
      writer.string(handle)
      writer.uint32(Math.floor(offset / 0x100000000)).uint32(offset % 0x100000000)
      writer.uint32(data.length)
      this.#packets.send(endPacket(writer, data.length), data)
    })
  }

  /** An extended request that is answered by STATUS. @throws SftpError op-unsupported when not announced */
  async extended<T>(extension: Extension<T>, value: T, path?: string): Promise<void> {
    this.#require(extension, path)
    return new Promise((resolve, reject) => {
      this.#sendExtended(extension, value, { expects: packetType.status, take: () => resolve(), fail: reject, path })
    })
  }

  /** An extended request with an answer of its own. @throws SftpError op-unsupported when not announced */
  async ask<T, R>(extension: Extension<T, R>, value: T, path?: string): Promise<R> {
    this.#require(extension, path)
    return this.askAnyway(extension, value, path)
  }

  /** As `ask`, for extensions that are announced otherwise. `atEnd` is the answer that STATUS "eof" stands for. */
  askAnyway<T, R>(extension: Extension<T, R>, value: T, path?: string, atEnd?: R): Promise<R> {
    const layout = extension.reply as Field<R>
    return new Promise((resolve, reject) => {
      const take = (packet: Buffer): void => resolve(layout.read(new Reader(packet, headLength)))
      const pending: Pending = { expects: packetType.extendedReply, take, fail: reject, path }
      if (atEnd !== undefined) pending.atEnd = () => resolve(atEnd)
      this.#sendExtended(extension, value, pending)
    })
  }

  /** An extended request that is answered by NAME with one path. @throws SftpError op-unsupported when not announced */
  async askPath<T>(extension: Extension<T>, value: T, path: string): Promise<string> {
    this.#require(extension, path)
    return new Promise((resolve, reject) => {
      const take = (packet: Buffer): void =>
        resolve(this.onePath(readPacket(this.messages.name, packet, headLength, this.version).names))
      this.#sendExtended(extension, value, { expects: packetType.name, take, fail: reject, path })
    })
  }

  /** The path of a NAME reply that must hold exactly one. @throws ProtocolError */
  onePath(names: readonly NameEntry[]): string {
    if (names.length !== 1) throw new ProtocolError('malformed-message', `${names.length} names where one is due`)
    return names[0]!.name
  }

  #require(extension: { readonly name: string; readonly version: string }, path: string | undefined): void {
    if (this.has(extension)) return
    const message = `the server does not support ${extension.name}`
    throw new SftpError('op-unsupported', path === undefined ? { message } : { message, path })
  }

  #send<T>(layout: PacketLayout<T>, value: T, pending: Pending): void {
    const id = this.#register(pending)
    if (id === undefined) return
    const writer = beginPacket(this.#writer, layout.type, id)
    layout.fields.write(writer, value)
    this.#log.debug3?.(`sftp: sent ${layout.name} id ${id} ${layout.fields.describe(value)}`)
    this.#packets.send(endPacket(writer))
  }

  #sendExtended<T, R>(extension: Extension<T, R>, value: T, pending: Pending): void {
    const id = this.#register(pending)
    if (id === undefined) return
    const writer = beginPacket(this.#writer, packetType.extended, id).text(extension.name)
    extension.request.write(writer, value)
    this.#log.debug3?.(`sftp: sent ${extension.name} id ${id}`)
    this.#packets.send(endPacket(writer))
  }

  #register(pending: Pending): number | undefined {
    if (this.#over) {
      pending.fail(lost(this.#over, pending.path))
      return undefined
    }
    let id = this.#nextId
    // After 2^32 requests an old one may still be open.
    while (this.#pending.has(id)) id = (id + 1) >>> 0
    this.#nextId = (id + 1) >>> 0
    this.#pending.set(id, pending)
    if (this.#pending.size === 1) this.#startTimer()
    return id
  }

  packet(packet: Buffer): void {
    try {
      this.#receive(packet)
    } catch (error) {
      this.#packets.abort(error as Error)
    }
  }

  #receive(packet: Buffer): void {
    if (this.#version) {
      if (packet[0] !== packetType.version)
        throw new ProtocolError('unexpected-message', 'no SFTP version from the server')
      this.#version.resolve(packet)
      this.#version = undefined
      this.#stopTimer()
      return
    }
    if (packet.length < headLength) throw new ProtocolError('malformed-message', 'SFTP packet without an id')
    const type = packet[0]!
    const id = packet.readUInt32BE(1)
    const pending = this.#pending.get(id)
    if (!pending)
      throw new ProtocolError('unexpected-message', `SFTP reply ${type} to request ${id}, which nobody made`)
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#stopTimer()
    else this.#timer?.refresh()
    try {
      if (type === packetType.status) this.#receiveStatus(packet, pending)
      else if (type === pending.expects) pending.take(packet)
      else throw new ProtocolError('unexpected-message', `SFTP reply of type ${type} where ${pending.expects} is due`)
    } catch (error) {
      pending.fail(error as Error)
      throw error
    }
  }

  #receiveStatus(packet: Buffer, pending: Pending): void {
    const { status, message } = readPacket(this.messages.status, packet, headLength, 6)
    if (status === 0) {
      if (pending.expects === packetType.status) pending.take(packet)
      else pending.fail(new SftpError('bad-message', { message: 'the server said "ok" where an answer is due' }))
      return
    }
    const code = statusOf(status)
    if (code === 'eof' && pending.atEnd) {
      pending.atEnd()
      return
    }
    const path = pending.path === undefined ? {} : { path: pending.path }
    const text = message === '' ? {} : { message: sanitize(message, true) }
    pending.fail(new SftpError(code === 'ok' ? 'failure' : code, { ...path, ...text }))
  }

  #startTimer(): void {
    if (this.#timeout > 0 && this.#timer === undefined) {
      this.#timer = setTimeout(() => {
        const message = `no answer from the SFTP server in ${this.#timeout / 1000} s`
        this.#packets.abort(new SftpError('connection-lost', { message }))
      }, this.#timeout)
    }
  }

  #stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  ended(reason: 'clean' | Error): void {
    const due = this.#pending.size > 0 || this.#version !== undefined
    const error =
      reason === 'clean' ? new SftpError('connection-lost', { message: 'the SFTP server closed the session' }) : reason
    this.#over = error
    this.#stopTimer()
    this.#version?.reject(error)
    this.#version = undefined
    for (const pending of this.#pending.values()) pending.fail(lost(error, pending.path))
    this.#pending.clear()
    this.#settleClosed(reason === 'clean' && !due ? undefined : error)
    this.#packets.close()
  }

  /** Ends the session once the server has answered what is due. */
  end(): void {
    this.#packets.end()
  }
}

/** The data of a DATA packet. @throws ProtocolError when longer than what was asked for */
function dataOf(packet: Buffer, asked: number): Buffer {
  const start = headLength + 4
  const length = packet.length >= start ? packet.readUInt32BE(headLength) : -1
  // Version 6 may say after the data that it was the last.
  if (length < 0 || length > packet.length - start || packet.length - start - length > 1) {
    throw new ProtocolError('malformed-message', 'SFTP data of a wrong length')
  }
  if (length > asked) throw new ProtocolError('limit-exceeded', `the server sent ${length} bytes, asked for ${asked}`)
  return packet.subarray(start, start + length)
}

/** The same reason for everyone who still waits, as an error of their request. */
function lost(cause: Error, path: string | undefined): Error {
  if (cause instanceof ProtocolError) return cause
  return new SftpError('connection-lost', { message: cause.message, cause, ...(path === undefined ? {} : { path }) })
}
