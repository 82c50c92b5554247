import { type ChannelType, channelType, checkedText } from './channel-type.ts'

/** A Unix domain socket that the client wants a connection to (PROTOCOL §2.4). */
export interface DirectStreamlocal {
  readonly path: string
}

/** Local forwarding to a socket: the client opens, the server connects. */
export const directStreamlocal: ChannelType<DirectStreamlocal> = channelType('direct-streamlocal@openssh.com', {
  read(reader) {
    const path = checkedText(reader.text())
    // Reserved, and ignored as PROTOCOL asks.
    reader.string()
    reader.uint32()
    return { path }
  },
  write(writer, target) {
    writer.text(target.path).text('').uint32(0)
  },
})
