import { ConnectionLostError, ProtocolError, sanitize } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import { Reader } from '../wire/reader.ts'
import type { Field } from '../wire/struct.ts'
import { type SftpVersion, writeUint64 } from './attributes.ts'
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

/**
 * Told once how a request ended. Copies of many small files use these instead of promises, which cost more than the
 * requests themselves. It must not throw.
 */
export type Done<T> = T extends void ? (error: Error | undefined) => void : (error: Error | undefined, value: T) => void

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
  /** READ: memory for the data, and who takes it from there. */
  into?: Buffer | undefined
  placed?(data: Buffer): void
  /** Work whose length nobody can bound: the answer may take its time. */
  readonly isLong?: boolean
}

/** Extensions of that kind. */
const longRequests: ReadonlySet<string> = new Set(['copy-data', 'fsync@openssh.com'])

/** Parts of the time allowed, all of which must pass without an answer: a process that was stopped finds one of them due. */
const timeoutParts = 4

const noBytes = Buffer.alloc(0)
const success = { status: 0, message: '' }

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
  /** Milliseconds that a request and its answer took at the beginning; 0 when that is not known. */
  roundTrip = 0
  symlinkOrder: SymlinkOrder
  vendor: VendorId | undefined
  /** Resolves when the session is over, with the error that ended it. */
  readonly closed: Promise<Error | undefined>

  readonly #packets: PacketStream
  readonly #pending = new Map<number, Pending>()
  readonly #log: Log
  readonly #timeout: number
  #timer: ReturnType<typeof setInterval> | undefined
  #answers = 0
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
      if (session.has(limitsExtension)) {
        const asked = performance.now()
        session.#adopt(await session.ask(limitsExtension, {}))
        session.roundTrip = performance.now() - asked
      }
    } catch (error) {
      session.#packets.abort(error as Error)
      throw error
    }
    return session
  }

  async #agree(options: SessionOptions): Promise<void> {
    const asked = this.version
    const answer = new Promise<Buffer>((resolve, reject) => {
      this.#version = { resolve, reject }
    })
    this.#startTimer()
    this.#packets.begin(packetType.init).uint32(asked)
    this.#packets.send()
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

  /** Undefined while the session goes on, else the error that requests get. */
  get over(): Error | undefined {
    return this.#over
  }

  /** Whether the server announced an extension in the version that we know. */
  has(extension: { readonly name: string; readonly version: string }): boolean {
    return this.extensions.get(extension.name)?.toString('latin1') === extension.version
  }

  /** A request that is answered by STATUS. */
  status<T>(layout: PacketLayout<T>, value: T, path?: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.statusThen(layout, value, path, error => (error ? reject(error) : resolve()))
    })
  }

  statusThen<T>(layout: PacketLayout<T>, value: T, path: string | undefined, done: Done<void>): void {
    this.#send(layout, value, { expects: packetType.status, take: () => done(undefined), fail: done, path })
  }

  /** A request that is answered by one kind of packet, read with its layout. */
  query<T, R>(layout: PacketLayout<T>, value: T, reply: PacketLayout<R>, path?: string): Promise<R> {
    return new Promise((resolve, reject) => {
      const take = (packet: Buffer): void => resolve(readPacket(reply, packet, headLength, this.version))
      this.#send(layout, value, { expects: reply.type, take, fail: reject, path })
    })
  }

  /** OPEN or OPENDIR: the handle. */
  handle<T>(layout: PacketLayout<T>, value: T, path: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      // A copy, since the packet it lies in may be a large one.
      this.handleThen(layout, value, path, (error, handle) => (error ? reject(error) : resolve(Buffer.from(handle))))
    })
  }

  /** As `handle`; the handle is a view that may be used within `done`. */
  handleThen<T>(layout: PacketLayout<T>, value: T, path: string, done: Done<Buffer>): void {
    const take = (packet: Buffer): void => done(undefined, handleOf(packet))
    this.#send(layout, value, { expects: packetType.handle, take, fail: error => done(error, noBytes), path })
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

  /** READ: no bytes at the end of the file. The data is in `into`, which has `length` bytes, or a view of the packet. */
  read(handle: Buffer, offset: number, length: number, path: string, into?: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.readThen(handle, offset, length, path, (error, data) => (error ? reject(error) : resolve(data)), into)
    })
  }

  readThen(handle: Buffer, offset: number, length: number, path: string, done: Done<Buffer>, into?: Buffer): void {
    const id = this.#register({
      expects: packetType.data,
      take: packet => done(undefined, dataOf(packet, length)),
      fail: error => done(error, noBytes),
      path,
      atEnd: () => done(undefined, noBytes),
      into,
      placed: data => done(undefined, data),
    })
    if (id === undefined) return
    this.#log.debug3?.(`sftp: sent READ id ${id} ${offset} ${length}`)
    const writer = this.#packets.begin(packetType.read, id).string(handle)
    writeUint64(writer, offset)
    writer.uint32(length)
    this.#packets.send()
  }

  /**
   * WRITE, with the data by reference: it must not change until the promise resolves. `before`: so many bytes of memory in
   * front of it may be written over, which saves a copy when there are enough.
   */
  write(handle: Buffer, offset: number, data: Buffer, path: string, before?: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.writeThen(handle, offset, data, path, error => (error ? reject(error) : resolve()), before)
    })
  }

  writeThen(handle: Buffer, offset: number, data: Buffer, path: string, done: Done<void>, before?: number): void {
    const id = this.#register({ expects: packetType.status, take: () => done(undefined), fail: done, path })
    if (id === undefined) return
    this.#log.debug3?.(`sftp: sent WRITE id ${id} ${offset} ${data.length}`)
    const writer = this.#packets.begin(packetType.write, id).string(handle)
    writeUint64(writer, offset)
    writer.uint32(data.length)
    this.#packets.send(data, before)
  }

  /** An extended request that is answered by STATUS. @throws SftpError op-unsupported when not announced */
  async extended<T>(extension: Extension<T>, value: T, path?: string): Promise<void> {
    this.#require(extension, path)
    const isLong = longRequests.has(extension.name)
    return new Promise((resolve, reject) => {
      const pending = { expects: packetType.status, take: () => resolve(), fail: reject, path, isLong }
      this.#sendExtended(extension, value, pending)
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
    layout.fields.write(this.#packets.begin(layout.type, id), value)
    this.#log.debug3?.(`sftp: sent ${layout.name} id ${id} ${layout.fields.describe(value)}`)
    this.#packets.send()
  }

  #sendExtended<T, R>(extension: Extension<T, R>, value: T, pending: Pending): void {
    const id = this.#register(pending)
    if (id === undefined) return
    extension.request.write(this.#packets.begin(packetType.extended, id).text(extension.name), value)
    this.#log.debug3?.(`sftp: sent ${extension.name} id ${id}`)
    this.#packets.send()
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

  /** STATUS "ok" to a request whose good answer that is. */
  takeAt(chunk: Buffer, start: number, end: number): boolean {
    if (chunk[start] !== packetType.status || end - start < headLength + 4) return false
    if (chunk.readUInt32BE(start + headLength) !== 0) return false
    const id = chunk.readUInt32BE(start + 1)
    const pending = this.#pending.get(id)
    if (pending?.expects !== packetType.status) return false
    this.#pending.delete(id)
    this.#answers++
    try {
      pending.take(noBytes)
    } catch (error) {
      pending.fail(error as Error)
      this.#packets.abort(error as Error)
    }
    return true
  }

  place(head: Buffer, length: number): Buffer | undefined {
    if (head[0] !== packetType.data) return undefined
    const into = this.#pending.get(head.readUInt32BE(1))?.into
    const count = head.readUInt32BE(headLength)
    // What is not as it should be is put together and judged as a whole.
    if (!into || count !== length - head.length || count > into.length) return undefined
    return into.subarray(0, count)
  }

  placed(head: Buffer, data: Buffer): void {
    const id = head.readUInt32BE(1)
    const pending = this.#pending.get(id)!
    this.#pending.delete(id)
    this.#answers++
    pending.placed!(data)
  }

  #receive(packet: Buffer): void {
    if (this.#version) {
      if (packet[0] !== packetType.version)
        throw new ProtocolError('unexpected-message', 'no SFTP version from the server')
      this.#version.resolve(packet)
      this.#version = undefined
      this.#answers++
      return
    }
    if (packet.length < headLength) throw new ProtocolError('malformed-message', 'SFTP packet without an id')
    const type = packet[0]!
    const id = packet.readUInt32BE(1)
    const pending = this.#pending.get(id)
    if (!pending)
      throw new ProtocolError('unexpected-message', `SFTP reply ${type} to request ${id}, which nobody made`)
    this.#pending.delete(id)
    this.#answers++
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
    // Nobody reads the text of a success, which is most of what there is.
    const good = packet.length >= headLength + 4 && packet.readUInt32BE(headLength) === 0
    const { status, message } = good ? success : readPacket(this.messages.status, packet, headLength, 6)
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

  /** Looks now and then whether answers come, as long as some are due. */
  #startTimer(): void {
    if (this.#timeout === 0 || this.#timer !== undefined) return
    let seen = this.#answers
    let silent = 0
    const look = (): void => {
      if (this.#pending.size === 0 && !this.#version) {
        this.#stopTimer()
        return
      }
      const isLong = [...this.#pending.values()].some(pending => pending.isLong)
      silent = this.#answers === seen && !isLong ? silent + 1 : 0
      seen = this.#answers
      if (silent < timeoutParts) return
      const message = `no answer from the SFTP server in ${this.#timeout / 1000} s`
      this.#packets.abort(new ConnectionLostError('timeout', message))
    }
    this.#timer = setInterval(look, this.#timeout / timeoutParts)
  }

  #stopTimer(): void {
    clearInterval(this.#timer)
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

/** The handle of a HANDLE packet, as a view. @throws ProtocolError */
function handleOf(packet: Buffer): Buffer {
  const start = headLength + 4
  const length = packet.length >= start ? packet.readUInt32BE(headLength) : -1
  if (length < 0 || length > packet.length - start) {
    throw new ProtocolError('malformed-message', 'SFTP handle of a wrong length')
  }
  return packet.subarray(start, start + length)
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
