import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { SftpServer, type SftpServerOptions } from '../../lib/sftp/server.ts'
import type { ByteStream, ByteStreamSink } from '../../lib/wire/byte-stream.ts'
import { Writer } from '../../lib/wire/writer.ts'

/** A client of an SftpServer that says any bytes it likes. */
export class RawClient implements ByteStream {
  sink: ByteStreamSink = { data() {} }
  /** Bytes that the server took of what was said. */
  taken = 0
  said = 0
  state: 'open' | 'ended' = 'open'
  /** Whether the client reads what it is sent; else it says "stop" and forgets it. */
  reads = true
  readonly server: SftpServer
  #rest = Buffer.alloc(0)
  readonly #answers: Buffer[] = []
  #waiting: (() => void) | undefined
  #id = 0

  constructor(files: FileSystem, options: SftpServerOptions = {}) {
    this.server = new SftpServer(this, files, options)
  }

  write(data: Buffer): boolean {
    if (!this.reads) return false
    this.#rest = Buffer.concat([this.#rest, data])
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readUInt32BE(0)) {
      const end = 4 + this.#rest.readUInt32BE(0)
      this.#answers.push(this.#rest.subarray(4, end))
      this.#rest = this.#rest.subarray(end)
    }
    this.#waiting?.()
    return true
  }

  consumed(count: number): void {
    this.taken += count
  }

  eof(): void {}

  close(): void {
    this.#end()
  }

  abort(): void {
    this.#end()
  }

  #end(): void {
    this.state = 'ended'
    this.#waiting?.()
  }

  /** Says bytes as they are. */
  say(bytes: Buffer): void {
    this.said += bytes.length
    this.sink.data(bytes)
  }

  /** Says a packet: a type and what follows it. */
  packet(type: number, write: (writer: Writer) => void = () => {}): void {
    const writer = new Writer(64).uint32(0).byte(type)
    write(writer)
    const bytes = Buffer.from(writer.copy())
    bytes.writeUInt32BE(bytes.length - 4, 0)
    this.say(bytes)
  }

  /** The next packet of the server: type, id, fields. Undefined when the session is over. */
  async answer(): Promise<Buffer | undefined> {
    for (const end = Date.now() + 10_000; this.#answers.length === 0; ) {
      if (this.state === 'ended') return undefined
      if (Date.now() > end) throw new Error('the server does not answer')
      await new Promise<void>(resolve => {
        this.#waiting = resolve
        setTimeout(resolve, 1000)
      })
    }
    return this.#answers.shift()
  }

  async begin(version = 3): Promise<this> {
    this.packet(1, writer => writer.uint32(version))
    await this.answer()
    return this
  }

  /** A request with an id, and its answer. */
  async ask(type: number, write: (writer: Writer) => void): Promise<Buffer> {
    this.packet(type, writer => write(writer.uint32(this.#id++)))
    const answer = await this.answer()
    if (!answer) throw new Error('the session is over')
    return answer
  }

  /** The number of the STATUS that answers a request; -1 when another packet does. */
  async status(type: number, write: (writer: Writer) => void): Promise<number> {
    const answer = await this.ask(type, write)
    return answer[0] === 101 ? answer.readUInt32BE(5) : -1
  }

  async open(path: string, flags = 1): Promise<Buffer> {
    const answer = await this.ask(3, writer => writer.text(path).uint32(flags).uint32(0))
    if (answer[0] !== 102) throw new Error(`no handle but ${answer.toString('hex')}`)
    return Buffer.from(answer.subarray(9))
  }
}
