import { ProtocolError, sanitize, UsageError } from '../errors.ts'

/** RFC 4253 §4.2: characters of the identification line, CR LF included. */
const maxIdentificationLength = 255
/** Lines that a server may send before its identification. */
const maxLinesBefore = 1024
/** Bytes of one line that is not an identification, and of all of them together. */
const maxLineLength = 8 * 1024
const maxBytesBefore = 256 * 1024

export interface Identification {
  /** The whole line without CR LF, as it enters the exchange hash. */
  readonly line: string
  /** `2.0` or `1.99`. */
  readonly protocolVersion: string
  /** What follows the protocol version: software version and comment. */
  readonly softwareVersion: string
}

/** Our identification line without CR LF. @throws UsageError when RFC 4253 §4.2 does not allow it. */
export function identificationLine(softwareVersion: string, comment?: string): string {
  const line = `SSH-2.0-${softwareVersion}${comment ? ` ${comment}` : ''}`
  if (!/^[\x21-\x2c\x2e-\x7e]+$/.test(softwareVersion) || !/^[\x20-\x7e]+$/.test(line)) {
    throw new UsageError('software version and comment must be printable US-ASCII, the version without "-" and space')
  }
  if (line.length + 2 > maxIdentificationLength) throw new UsageError('the identification line is too long')
  return line
}

/**
 * Finds the peer's identification in a stream of bytes (RFC 4253 §4.2). A client ignores the lines that a server may
 * send before it; a server takes none.
 */
export class IdentificationReader {
  private readonly role: 'client' | 'server'
  private readonly onLine: (line: string) => void
  private line: number[] = []
  private lines = 0
  private bytes = 0

  /** `onLine` is told each line before the identification, made safe for a log. */
  constructor(role: 'client' | 'server', onLine: (line: string) => void) {
    this.role = role
    this.onLine = onLine
  }

  /**
   * Takes the next bytes. Returns the identification and what follows it in `chunk`, or undefined when more is needed.
   * @throws ProtocolError `bad-identification` | `unsupported-version`
   */
  read(chunk: Buffer): { identification: Identification; rest: Buffer } | undefined {
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!
      if (byte !== 0x0a) {
        this.append(byte)
        continue
      }
      const line = this.endLine()
      if (line.startsWith('SSH-')) return { identification: parseIdentification(line), rest: chunk.subarray(i + 1) }
      this.skipLine(line)
    }
    return undefined
  }

  private append(byte: number): void {
    const { line } = this
    if (byte === 0) throw new ProtocolError('bad-identification', 'NUL in the identification line')
    if (line.at(-1) === 0x0d) throw new ProtocolError('bad-identification', 'CR inside the identification line')
    line.push(byte)
    if (line.length < maxIdentificationLength) return
    // Only an identification, or anything that a client says, is held to the short limit.
    const limit = this.role === 'server' || isIdentification(line) ? maxIdentificationLength - 1 : maxLineLength
    if (line.length > limit) throw new ProtocolError('bad-identification', 'identification line too long')
  }

  private endLine(): string {
    const { line } = this
    if (line.at(-1) === 0x0d) line.pop()
    this.bytes += line.length
    this.line = []
    return Buffer.from(line).toString('latin1')
  }

  private skipLine(line: string): void {
    if (this.role === 'server') {
      throw new ProtocolError('bad-identification', `client sent invalid protocol identifier "${sanitize(line, true)}"`)
    }
    this.lines++
    if (this.lines >= maxLinesBefore || this.bytes > maxBytesBefore) {
      throw new ProtocolError('bad-identification', `no SSH identification in the first ${this.lines} lines`)
    }
    this.onLine(sanitize(line, true))
  }
}

function isIdentification(line: readonly number[]): boolean {
  return line[0] === 0x53 && line[1] === 0x53 && line[2] === 0x48 && line[3] === 0x2d
}

function parseIdentification(line: string): Identification {
  const match = /^SSH-(\d{1,9})\.(\d{1,9})-(.+)$/.exec(line)
  if (!match) throw new ProtocolError('bad-identification', `bad protocol identification "${sanitize(line, true)}"`)
  const [, major, minor, softwareVersion] = match
  const protocolVersion = `${Number(major)}.${Number(minor)}`
  if (Number(major) !== 2 && protocolVersion !== '1.99') {
    throw new ProtocolError('unsupported-version', `Protocol major versions differ: 2 vs. ${Number(major)}`)
  }
  return { line, protocolVersion, softwareVersion: softwareVersion! }
}
