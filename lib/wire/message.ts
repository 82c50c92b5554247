import { Reader } from './reader.ts'
import { type Field, type Struct, struct } from './struct.ts'
import type { Writer } from './writer.ts'

/**
 * Where a message belongs, which says when it is legal (decided in `Transport.admit` alone):
 * `always` DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG · `negotiation` KEXINIT · `newkeys` · `kex` 30-49, while an exchange
 * runs · `extension` EXT_INFO · `service` SERVICE_REQUEST/ACCEPT · `userauth` 50-79, before authentication ends ·
 * `connection` 80-127, after it · `ping` 192-193, after the first key exchange.
 */
export type Layer =
  | 'always'
  | 'negotiation'
  | 'newkeys'
  | 'kex'
  | 'extension'
  | 'service'
  | 'userauth'
  | 'connection'
  | 'ping'

/** What is known of a message without its fields' types: enough to route, judge and log it. */
export interface AnyMessage {
  readonly number: number
  /** As in the RFC, without the SSH_MSG_ prefix: `CHANNEL_OPEN`. */
  readonly name: string
  readonly layer: Layer
  /** Reads a whole payload, its number included. @throws ProtocolError when malformed or with bytes left over. */
  read(payload: Buffer): unknown
  /** One line for a log, without secrets. */
  describe(value: unknown): string
}

/** A Struct with a number, its RFC name and its layer. */
export interface Message<T, Name extends string = string> extends AnyMessage {
  readonly name: Name
  readonly struct: Struct<T>
  /** Writes the number and the fields. */
  write(writer: Writer, value: T): void
  read(payload: Buffer): T
  describe(value: T): string
}

/** Declares a message: `message(1, 'DISCONNECT', 'always', { reason: uint32, … })`. */
export function message<T extends object, Name extends string>(
  number: number,
  name: Name,
  layer: Layer,
  fields: { [K in keyof T]: Field<T[K]> },
): Message<T, Name> {
  const layout = struct<T>(fields)
  return {
    number,
    name,
    layer,
    struct: layout,
    write(writer, value) {
      writer.byte(number)
      layout.write(writer, value)
    },
    read(payload) {
      const reader = new Reader(payload, 1)
      const value = layout.read(reader)
      reader.finish()
      return value
    },
    describe: value => `${name} ${layout.describe(value)}`.trimEnd(),
  }
}
