import { type ChannelType, channelType, checkedText } from './channel-type.ts'

/** The socket, as asked for by `streamlocal-forward@openssh.com`, that was connected to (PROTOCOL §2.4). */
export interface ForwardedStreamlocal {
  readonly path: string
}

/** Remote forwarding of a socket: the server opens, the client connects. A client accepts only what it asked for. */
export const forwardedStreamlocal: ChannelType<ForwardedStreamlocal> = channelType(
  'forwarded-streamlocal@openssh.com',
  {
    read(reader) {
      const path = checkedText(reader.text())
      // Reserved, and ignored as PROTOCOL asks.
      reader.string()
      return { path }
    },
    write(writer, target) {
      writer.text(target.path).text('')
    },
  },
)
