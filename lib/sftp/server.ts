import { hashLength } from '../crypto/hash.ts'
import type { RandomSource } from '../crypto/random.ts'
import { messageOf, ProtocolError, sanitize } from '../errors.ts'
import { type Log, silentLog } from '../log.ts'
import { Reader } from '../wire/reader.ts'
import { encode } from '../wire/writer.ts'
import { AnswerMemory } from './answer-memory.ts'
import type { Attributes, SftpVersion } from './attributes.ts'
import {
  type Announcement,
  checkFileAnnouncement,
  supportedFeatures,
  type VendorId,
  vendorId,
  writeAnnouncements,
} from './extensions.ts'
import type { FileSystem } from './filesystem.ts'
import { messagesOf, packetType, readPacket } from './messages.ts'
import { type ByteStream, type PacketSink, PacketStream } from './peer.ts'
import { RequestOrder } from './request-order.ts'
import type { Reply, ServerContext, Work } from './server-context.ts'
import { extensionRows } from './server-extensions.ts'
import { HandleTable } from './server-handles.ts'
import { requestRows, version6Rows } from './server-requests.ts'
import type { SymlinkOrder } from './session.ts'
import { SftpError, statusNumber, statusText, toSftpError } from './status.ts'

export interface SftpServerOptions {
  /** The highest version to agree to; 3 by default. */
  readonly version?: SftpVersion
  /** Refuses whatever changes a file. */
  readonly readOnly?: boolean
  /** Names of requests, see `sftpRequestNames`: if given, only these are answered. */
  readonly allowed?: readonly string[]
  /** Names of requests that are refused; they win over `allowed`. */
  readonly denied?: readonly string[]
  /** Files and directories open at once; 1000 by default. */
  readonly maximumHandles?: number
  /** `openssh` by default; clients of AsyncSSH expect `draft`. */
  readonly symlinkOrder?: SymlinkOrder
  readonly vendor?: VendorId
  readonly random?: RandomSource
  readonly log?: Log
}

/** Requests that run or wait, and the bytes they hold, above which no more are read. */
const maximumActiveRequests = 128
const maximumActiveBytes = 8 * 1024 * 1024
const defaultMaximumHandles = 1000

/** The names of all requests, for lists of allowed and denied ones (sftp-server(8), -Q requests). */
export const sftpRequestNames: readonly string[] = [
  ...new Set([...requestRows.values(), ...version6Rows.values(), ...extensionRows.values()].map(({ name }) => name)),
]

const newline: Announcement = { name: 'newline', data: Buffer.from('\n') }
/** Users and groups whose names are remembered. */
const maximumCachedNames = 4096

/** The place of an answer among the others. */
interface Slot {
  send: (() => void) | undefined
}

/** Serves a file system to the client at the other end of a stream, until it leaves. */
export class SftpServer implements PacketSink {
  /** Resolves when the client is gone and everything is closed, with the error that ended it. */
  readonly closed: Promise<Error | undefined>

  readonly #packets: PacketStream
  readonly #options: SftpServerOptions
  readonly #log: Log
  readonly #files: FileSystem
  readonly #handles: HandleTable
  readonly #order = new RequestOrder(() => this.#proceed())
  readonly #owners = new Map<number, string>()
  readonly #groups = new Map<number, string>()
  /** Undefined until INIT. */
  #context: ServerContext | undefined
  /** Requests that are not answered yet, in the order in which they came. */
  readonly #slots: Slot[] = []
  #activeBytes = 0
  readonly #memory = new AnswerMemory()
  #ended: { reason: 'clean' | Error } | undefined
  #settleClosed: (error: Error | undefined) => void = () => {}

  constructor(stream: ByteStream, files: FileSystem, options: SftpServerOptions = {}) {
    this.#options = options
    this.#files = files
    this.#log = options.log ?? silentLog
    this.#handles = new HandleTable(options.maximumHandles ?? defaultMaximumHandles, options.random)
    this.closed = new Promise(resolve => {
      this.#settleClosed = resolve
    })
    this.#packets = new PacketStream(stream, this)
  }

  packet(packet: Buffer): void {
    try {
      if (this.#context) this.#receive(packet, this.#context)
      else this.#receiveInit(packet)
    } catch (error) {
      this.#log.error(`sftp: ${sanitize(messageOf(error), true)}`)
      this.#packets.abort(error as Error)
    }
  }

  #receiveInit(packet: Buffer): void {
    if (packet[0] !== packetType.init) throw new ProtocolError('unexpected-message', 'SFTP request before INIT')
    const asked = new Reader(packet, 1).uint32()
    const version = Math.max(3, Math.min(asked, this.#options.version ?? 3)) as SftpVersion
    this.#log.verbose?.(`sftp: client version ${asked}, using ${version}`)
    this.#context = {
      files: this.#files,
      version,
      messages: messagesOf(version),
      handles: this.#handles,
      maximumHandles: this.#options.maximumHandles ?? defaultMaximumHandles,
      symlinkOrder: this.#options.symlinkOrder ?? 'openssh',
      access: this.#options.readOnly ? 'read-only' : 'read-write',
      log: this.#log,
      memory: this.#memory,
      named: attributes => this.#named(attributes),
    }
    const writer = this.#packets.begin(packetType.version).uint32(version)
    writeAnnouncements(writer, this.#announcements(version))
    this.#packets.send()
  }

  #announcements(version: SftpVersion): Announcement[] {
    const list: Announcement[] = []
    const permitted: string[] = []
    for (const [wireName, row] of extensionRows) {
      if (this.#refusal(row.name, row.writes) || row.offered?.(this.#files) === false) continue
      permitted.push(wireName)
      if (row.unannounced) continue
      list.push({ name: wireName, data: Buffer.from(row.extension(version).version) })
    }
    if (permitted.includes(checkFileAnnouncement)) {
      list.push({ name: checkFileAnnouncement, data: Buffer.from(Object.keys(hashLength).join(',')) })
    }
    const { vendor } = this.#options
    if (vendor) list.push({ name: 'vendor-id', data: encode(writer => vendorId.write(writer, vendor)) })
    if (version >= 4) list.push(newline)
    return [...supportedFeatures(version, permitted), ...list]
  }

  #refusal(name: string, writes: boolean): string | undefined {
    const { readOnly, allowed, denied } = this.#options
    if (readOnly && writes) return 'in read-only mode'
    if (denied?.includes(name)) return 'as it is denied'
    if (allowed && !allowed.includes(name)) return 'as it is not allowed'
    return undefined
  }

  #receive(packet: Buffer, context: ServerContext): void {
    if (packet.length < 5) throw new ProtocolError('malformed-message', 'SFTP packet without an id')
    if (packet[0] === packetType.init) throw new ProtocolError('unexpected-message', 'second SFTP INIT')
    const id = packet.readUInt32BE(1)
    let work: Work
    let reply: Reply | undefined | 'later' = 'later'
    try {
      work = packet[0] === packetType.extended ? this.#extended(packet, context) : this.#plain(packet, context)
      if (work.atOnce && this.#order.isFree(work.scope)) reply = work.atOnce()
    } catch (error) {
      this.#inTurn(() => this.#answerError(id, error, context))
      return
    }
    if (reply === 'later') this.#start(work, id, packet, context)
    else {
      this.#answerAtOnce(id, reply, context)
      if (packet[0] === packetType.write) this.#packets.recycle(packet)
    }
    if (this.#busy) this.#packets.pause()
  }

  #answerAtOnce(id: number, reply: Reply | undefined, context: ServerContext): void {
    if (this.#slots.length === 0) {
      this.#answer(id, reply, context)
      return
    }
    // The memory is for the next answer.
    const kept = reply?.payload ? { ...reply, payload: Buffer.from(reply.payload) } : reply
    this.#inTurn(() => this.#answer(id, kept, context))
  }

  #start(work: Work, id: number, packet: Buffer, context: ServerContext): void {
    const slot: Slot = { send: undefined }
    this.#slots.push(slot)
    const bytes = work.bytes ?? 0
    this.#activeBytes += bytes
    this.#order.enter(work.scope, async () => {
      try {
        const reply = await work.run()
        if (packet[0] === packetType.write) this.#packets.recycle(packet)
        this.#fill(slot, () => {
          this.#activeBytes -= bytes
          this.#answer(id, reply, context)
        })
      } catch (error) {
        this.#fill(slot, () => {
          this.#activeBytes -= bytes
          this.#answerError(id, error, context)
        })
      }
    })
  }

  /**
   * Answers go out in the order of the requests, whatever ends first: OpenSSH 9.0 to 9.2 cut a file that they download in
   * place at the first answer that comes out of order.
   */
  #fill(slot: Slot, send: () => void): void {
    slot.send = send
    while (this.#slots[0]?.send) this.#slots.shift()!.send!()
  }

  #inTurn(send: () => void): void {
    if (this.#slots.length === 0) send()
    else this.#slots.push({ send })
  }

  #plain(packet: Buffer, context: ServerContext): Work {
    const type = packet[0]!
    const row = requestRows.get(type) ?? (context.version >= 6 ? version6Rows.get(type) : undefined)
    if (!row) throw new SftpError('op-unsupported')
    this.#permit(row.name, row.writes)
    const layout = row.layout(context.messages)
    const request = readPacket(layout, packet, 5, context.version)
    this.#log.debug3?.(`sftp: request ${packet.readUInt32BE(1)} ${row.name} ${describe(layout, request)}`)
    return row.prepare(request, context)
  }

  #extended(packet: Buffer, context: ServerContext): Work {
    const reader = new Reader(packet, 5)
    const name = reader.text()
    const row = extensionRows.get(name)
    if (!row) throw new SftpError('op-unsupported')
    this.#permit(row.name, row.writes)
    const request = row.extension(context.version).request.read(reader)
    reader.finish()
    this.#log.debug3?.(`sftp: request ${packet.readUInt32BE(1)} ${row.name}`)
    return row.prepare(request, context)
  }

  #permit(name: string, writes: boolean): void {
    const why = this.#refusal(name, writes)
    if (why === undefined) return
    this.#log.verbose?.(`sftp: refusing ${name} ${why}`)
    throw new SftpError('permission-denied')
  }

  #answer(id: number, reply: Reply | undefined, context: ServerContext): void {
    if (!reply) {
      this.#status(id, 0, statusText('ok'), context)
      return
    }
    reply.write(this.#packets.begin(reply.type, id))
    this.#packets.send(reply.payload)
  }

  #answerError(id: number, error: unknown, context: ServerContext): void {
    const known = error instanceof ProtocolError ? new SftpError('bad-message') : toSftpError(error)
    const code = known.code === 'aborted' ? 'failure' : known.code
    if (code !== 'eof') this.#log.debug2?.(`sftp: request ${id}: ${sanitize(messageOf(error), true)}`)
    if (code !== 'eof') this.#log.info?.(`sent status ${statusText(code)}`)
    this.#status(id, statusNumber(code, context.version), statusText(code), context)
  }

  #status(id: number, status: number, message: string, { messages }: ServerContext): void {
    messages.status.fields.write(this.#packets.begin(packetType.status, id), { status, message, language: 'en' })
    this.#packets.send()
  }

  get #busy(): boolean {
    return (
      this.#slots.length >= maximumActiveRequests || this.#activeBytes >= maximumActiveBytes || !this.#packets.clear
    )
  }

  #proceed(): void {
    if (this.#ended) this.#finish()
    else if (!this.#busy) this.#packets.resume()
  }

  writable(): void {
    this.#proceed()
  }

  idle(): void {
    this.#memory.release()
  }

  ended(reason: 'clean' | Error): void {
    this.#ended = { reason }
    this.#finish()
  }

  /** After the last request: closes what is open, then says goodbye. */
  #finish(): void {
    if (this.#order.size > 0) return
    const { reason } = this.#ended!
    void this.#handles.closeAll().then(() => {
      this.#packets.close()
      this.#settleClosed(reason === 'clean' ? undefined : reason)
    })
  }

  async #named(attributes: Attributes): Promise<Attributes> {
    const { uid, gid } = attributes
    if (uid === undefined || gid === undefined || attributes.owner !== undefined) return attributes
    if (!this.#files.accountNames) return attributes
    if (!this.#owners.has(uid) || !this.#groups.has(gid)) {
      const names = await this.#files.accountNames([uid], [gid]).catch(() => undefined)
      if (this.#owners.size >= maximumCachedNames) this.#owners.clear()
      if (this.#groups.size >= maximumCachedNames) this.#groups.clear()
      this.#owners.set(uid, names?.users[0] || String(uid))
      this.#groups.set(gid, names?.groups[0] || String(gid))
    }
    return { ...attributes, owner: this.#owners.get(uid)!, group: this.#groups.get(gid)! }
  }
}

const describe = (layout: { fields: { describe(value: never): string } }, request: never): string =>
  layout.fields.describe(request)
