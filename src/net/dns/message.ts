/** Messages of the DNS (RFC 1035, RFC 6891): what a client asks and the answers it gets. */

/** Types of records that are asked for. */
export const recordType = { a: 1, cname: 5, aaaa: 28, opt: 41, sshfp: 44 } as const

export const responseCode = { noError: 0, formatError: 1, serverFailure: 2, noSuchName: 3 } as const

const classInternet = 1
/** The size of answers that we take over UDP, small enough for every path (as glibc's). */
const udpPayload = 1200
const maxNameLength = 255
const maxLabelLength = 63
const headerLength = 12

export interface DnsQuestion {
  /** Without the dot at its end. */
  readonly name: string
  readonly type: number
}

export interface DnsRecord {
  readonly name: string
  readonly type: number
  readonly data: Buffer
  /** Of a CNAME: the name it stands for. */
  readonly target?: string
}

export interface DnsResponse {
  readonly id: number
  readonly question: DnsQuestion
  /** Cut short: to be asked for again over TCP. */
  readonly truncated: boolean
  /** AD: the server says that it has validated the answer (RFC 4035, 3.2.3). */
  readonly authentic: boolean
  readonly code: number
  readonly answers: readonly DnsRecord[]
}

/** Undefined for a name that cannot be asked for. */
function encodeName(name: string): Buffer | undefined {
  const parts: Buffer[] = []
  for (const label of name.split('.')) {
    const bytes = Buffer.from(label, 'latin1')
    if (bytes.length === 0 || bytes.length > maxLabelLength) return undefined
    parts.push(Buffer.from([bytes.length]), bytes)
  }
  const encoded = Buffer.concat([...parts, Buffer.alloc(1)])
  return encoded.length > maxNameLength ? undefined : encoded
}

export interface QueryOptions {
  /** Asks for signatures and sizes beyond 512 bytes (EDNS0 with DO). */
  readonly edns: boolean
  /** Asks for the AD bit, which is then believed. */
  readonly trustAuthentic: boolean
}

/** A recursive query. Undefined for a name that is none. */
export function encodeQuery(id: number, { name, type }: DnsQuestion, options: QueryOptions): Buffer | undefined {
  const encoded = encodeName(name)
  if (!encoded) return undefined
  const header = Buffer.alloc(headerLength)
  header.writeUInt16BE(id, 0)
  header.writeUInt16BE(0x0100 | (options.trustAuthentic ? 0x0020 : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(options.edns ? 1 : 0, 10)
  const question = Buffer.alloc(4)
  question.writeUInt16BE(type, 0)
  question.writeUInt16BE(classInternet, 2)
  const parts = [header, encoded, question]
  if (options.edns) {
    const opt = Buffer.alloc(11)
    opt.writeUInt16BE(recordType.opt, 1)
    opt.writeUInt16BE(udpPayload, 3)
    opt.writeUInt32BE(0x8000, 5)
    parts.push(opt)
  }
  return Buffer.concat(parts)
}

/** Where reading a message has come to; an end before its time throws to `decodeResponse`, and no further. */
class Malformed extends Error {}

class Cursor {
  readonly #message: Buffer
  at = headerLength

  constructor(message: Buffer) {
    this.#message = message
  }

  uint16(): number {
    return this.bytes(2).readUInt16BE(0)
  }

  bytes(length: number): Buffer {
    const end = this.at + length
    if (end > this.#message.length) throw new Malformed()
    const part = this.#message.subarray(this.at, end)
    this.at = end
    return part
  }

  /** A name whose end may stand earlier in the message: pointers lead back only, so that reading ends. */
  name(): string {
    const labels: string[] = []
    let length = 1
    let at = this.at
    let lowest = at
    let after: number | undefined
    for (;;) {
      const first = this.#message[at]
      if (first === undefined) throw new Malformed()
      if (first >= 0xc0) {
        const second = this.#message[at + 1]
        if (second === undefined) throw new Malformed()
        after ??= at + 2
        at = ((first & 0x3f) << 8) | second
        if (at >= lowest) throw new Malformed()
        lowest = at
        continue
      }
      if (first > maxLabelLength) throw new Malformed()
      if (first === 0) break
      const end = at + 1 + first
      length += 1 + first
      if (end > this.#message.length || length > maxNameLength) throw new Malformed()
      labels.push(this.#message.toString('latin1', at + 1, end))
      at = end
    }
    this.at = after ?? at + 1
    return labels.join('.')
  }
}

/** Reads an answer; undefined for bytes that are none. Records behind a cut are left out. */
export function decodeResponse(message: Buffer): DnsResponse | undefined {
  if (message.length < headerLength) return undefined
  const flags = message.readUInt16BE(2)
  const isAnswer = (flags & 0x8000) !== 0 && (flags & 0x7800) === 0
  if (!isAnswer || message.readUInt16BE(4) !== 1) return undefined
  const cursor = new Cursor(message)
  try {
    const question = { name: cursor.name(), type: cursor.uint16() }
    if (cursor.uint16() !== classInternet) return undefined
    const truncated = (flags & 0x0200) !== 0
    return {
      id: message.readUInt16BE(0),
      question,
      truncated,
      authentic: (flags & 0x0020) !== 0,
      code: flags & 0x000f,
      answers: truncated ? [] : readRecords(cursor, message.readUInt16BE(6)),
    }
  } catch (error) {
    if (error instanceof Malformed) return undefined
    throw error
  }
}

function readRecords(cursor: Cursor, count: number): DnsRecord[] {
  const records: DnsRecord[] = []
  for (let index = 0; index < count; index++) {
    const name = cursor.name()
    const type = cursor.uint16()
    const kind = cursor.uint16()
    cursor.bytes(4)
    const length = cursor.uint16()
    const start = cursor.at
    const data = cursor.bytes(length)
    if (kind !== classInternet) continue
    if (type !== recordType.cname) {
      records.push({ name, type, data })
      continue
    }
    cursor.at = start
    const target = cursor.name()
    if (cursor.at !== start + length) throw new Malformed()
    records.push({ name, type, data, target })
  }
  return records
}

export const sameName = (a: string, b: string): boolean => lower(a) === lower(b)

const lower = (name: string): string => name.replace(/[A-Z]+/g, upper => upper.toLowerCase())

/** Aliases that are followed. */
const maxAliases = 16

/** The name that the aliases of an answer lead to. */
export function finalName({ question, answers }: DnsResponse): string {
  let name = question.name
  for (let count = 0; count < maxAliases; count++) {
    const alias = answers.find(record => record.target !== undefined && sameName(record.name, name))
    if (!alias) break
    name = alias.target!
  }
  return name
}
