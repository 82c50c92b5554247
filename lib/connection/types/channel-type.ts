import { ProtocolError } from '../../errors.ts'
import type { Field } from '../../wire/struct.ts'
import type { Channel, ChannelSink } from '../channel.ts'
import type { ChannelAcceptor, ChannelOpening, Connection, OpenChannelOptions } from '../connection.ts'

/** What follows the fixed fields of CHANNEL_OPEN. */
export type OpenLayout<T> = Pick<Field<T>, 'read' | 'write'>

/** Decides about one opening whose `target` was read and is well-formed: calls `accept` or `reject`, now or later. */
export type OpeningHandler<T> = (target: T, opening: ChannelOpening, connection: Connection) => void

/** A type of channel, seen from both sides. */
export interface ChannelType<T> {
  readonly name: string
  readonly layout: OpenLayout<T>
  /** @throws ChannelOpenError */
  open(
    connection: Connection,
    target: T,
    sink: ChannelSink,
    options?: Omit<OpenChannelOptions, 'write'>,
  ): Promise<Channel>
  /** The entry for `ConnectionOptions.channelTypes`. */
  acceptor(handler: OpeningHandler<T>): ChannelAcceptor
}

/** A channel type from its name and what its CHANNEL_OPEN carries. */
export function channelType<T>(name: string, layout: OpenLayout<T>): ChannelType<T> {
  return {
    name,
    layout,
    open(connection, target, sink, options) {
      return connection.openChannel(name, sink, { ...options, write: writer => layout.write(writer, target) })
    },
    acceptor: handler => (opening, connection) => {
      const target = layout.read(opening.payload)
      opening.payload.finish()
      handler(target, opening, connection)
    },
  }
}

/** A port as the system takes it. @throws ProtocolError above 65535 */
export function checkedPort(port: number): number {
  if (port > 65535) throw new ProtocolError('malformed-message', `port ${port} does not exist`)
  return port
}

/** Text for calls of the system, which ends strings at NUL. @throws ProtocolError */
export function checkedText(value: string): string {
  if (value.includes('\0')) throw new ProtocolError('malformed-message', 'NUL in a name')
  return value
}
