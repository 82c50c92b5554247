import type { Reader } from '../../wire/reader.ts'
import type { Writer } from '../../wire/writer.ts'
import type { Connection, GlobalRequestHandler } from '../connection.ts'
import { checkedPort, checkedText } from '../types/channel-type.ts'

export const tcpipForwardName = 'tcpip-forward'
export const cancelTcpipForwardName = 'cancel-tcpip-forward'

/**
 * Where a server shall listen (RFC 4254 §7.1). Address '' is every address, '0.0.0.0' and '::' every one of a family,
 * 'localhost' the loopback ones. Port 0 lets the server choose.
 */
export interface ForwardBinding {
  readonly address: string
  readonly port: number
}

function readBinding(payload: Reader): ForwardBinding {
  const binding = { address: checkedText(payload.text()), port: checkedPort(payload.uint32()) }
  payload.finish()
  return binding
}

function writeBinding(writer: Writer, binding: ForwardBinding): void {
  writer.text(binding.address).uint32(binding.port)
}

/** Asks the server to listen. Resolves to the port, which the server chose if 0 was asked for. @throws RequestError */
export async function requestTcpipForward(connection: Connection, binding: ForwardBinding): Promise<number> {
  const answer = await connection.globalRequest(tcpipForwardName, writer => writeBinding(writer, binding))
  return binding.port === 0 ? checkedPort(answer.uint32()) : binding.port
}

/** Asks the server to listen there no longer; `port` is the one that it listens on. @throws RequestError */
export async function cancelTcpipForward(connection: Connection, binding: ForwardBinding): Promise<void> {
  await connection.globalRequest(cancelTcpipForwardName, writer => writeBinding(writer, binding))
}

/** What a server does about `tcpip-forward`; a rejection refuses the request. */
export interface TcpipForwardListener {
  /** Listens, and resolves to the port. */
  listen(binding: ForwardBinding, connection: Connection): Promise<number>
  /** Stops a listener of this connection. */
  cancel(binding: ForwardBinding, connection: Connection): Promise<void>
}

/** A server's entries for `ConnectionOptions.globalRequests`. */
export function tcpipForwardHandlers(listener: TcpipForwardListener): [string, GlobalRequestHandler][] {
  return [
    [
      tcpipForwardName,
      (payload, reply, connection) => {
        const binding = readBinding(payload)
        listener.listen(binding, connection).then(
          // The port is in the answer only if the client left the choice to us.
          port => (binding.port === 0 ? reply(true, writer => writer.uint32(port)) : reply(true)),
          () => reply(false),
        )
      },
    ],
    [
      cancelTcpipForwardName,
      (payload, reply, connection) => {
        listener.cancel(readBinding(payload), connection).then(
          () => reply(true),
          () => reply(false),
        )
      },
    ],
  ]
}
