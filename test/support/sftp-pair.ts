import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { SftpServer, type SftpServerOptions } from '../../lib/sftp/server.ts'
import { type SessionOptions, SftpSession } from '../../lib/sftp/session.ts'
import type { ByteStream, ByteStreamSink } from '../../lib/wire/byte-stream.ts'

/** What happens to the bytes on their way; both directions are counted together. */
export interface PairOptions {
  /** Cuts the connection after so many bytes. */
  readonly cutAfter?: number
  /** Changes what the server sends: packets with their length before them. Give back what is to arrive. */
  readonly tamper?: (packet: Buffer) => Buffer[]
  readonly session?: SessionOptions
  readonly server?: SftpServerOptions
}

export interface SftpPair {
  readonly files: RemoteFileSystem
  readonly session: SftpSession
  readonly server: SftpServer
  /** Bytes that went either way. */
  readonly bytes: number
  cut(): void
}

class End implements ByteStream {
  sink: ByteStreamSink = { data() {} }
  peer!: End
  readonly #line: Line

  constructor(line: Line) {
    this.#line = line
  }

  write(data: Buffer): boolean {
    this.#line.carry(this.peer, Buffer.from(data))
    return true
  }

  consumed(): void {}

  eof(): void {
    this.#line.later(() => this.peer.sink.eof?.())
  }

  close(): void {
    this.eof()
  }

  abort(): void {
    this.#line.cut()
  }
}

/** Delivers in order, a turn of the event loop later. */
class Line {
  bytes = 0
  state: 'open' | 'cut' = 'open'
  readonly #left: () => number
  readonly ends: End[] = []

  constructor(limit: number) {
    this.#left = () => limit - this.bytes
  }

  later(action: () => void): void {
    setImmediate(() => {
      if (this.state === 'open') action()
    })
  }

  carry(to: End, data: Buffer): void {
    this.later(() => {
      const part = data.subarray(0, Math.max(0, this.#left()))
      this.bytes += data.length
      if (part.length > 0) to.sink.data(part)
      if (part.length < data.length) this.cut()
    })
  }

  cut(): void {
    if (this.state === 'cut') return
    this.state = 'cut'
    for (const end of this.ends) setImmediate(() => end.sink.closed?.(new Error('the connection was cut')))
  }
}

/** Cuts what the server sends into packets for `tamper`. */
function tampering(end: End, tamper: (packet: Buffer) => Buffer[]): ByteStream {
  let rest = Buffer.alloc(0)
  const stream: ByteStream = {
    get sink() {
      return end.sink
    },
    set sink(sink) {
      end.sink = sink
    },
    write(data) {
      rest = Buffer.concat([rest, data])
      while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32BE(0)) {
        const length = 4 + rest.readUInt32BE(0)
        const packet = rest.subarray(0, length)
        rest = rest.subarray(length)
        for (const piece of tamper(packet)) end.write(piece)
      }
      return true
    },
    consumed: () => end.consumed(),
    eof: () => end.eof(),
    close: () => end.close(),
    abort: () => end.abort(),
  }
  return stream
}

/** A client and a server over a file system, joined in memory. */
export async function sftpPair(files: FileSystem, options: PairOptions = {}): Promise<SftpPair> {
  const line = new Line(options.cutAfter ?? Number.POSITIVE_INFINITY)
  const [near, far] = [new End(line), new End(line)]
  near.peer = far
  far.peer = near
  line.ends.push(near, far)
  const server = new SftpServer(options.tamper ? tampering(far, options.tamper) : far, files, options.server)
  const session = await SftpSession.open(near, options.session)
  return {
    files: new RemoteFileSystem(session),
    session,
    server,
    get bytes() {
      return line.bytes
    },
    cut: () => line.cut(),
  }
}
