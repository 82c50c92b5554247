import { type ChannelType, channelType, checkedText } from './channel-type.ts'

/** Who connected to the display that the server offers (RFC 4254 §6.3.2). */
export interface X11Origin {
  readonly originatorAddress: string
  readonly originatorPort: number
}

/** An X11 client: the server opens, the client connects to its display. */
export const x11: ChannelType<X11Origin> = channelType('x11', {
  read: reader => ({ originatorAddress: checkedText(reader.text()), originatorPort: reader.uint32() }),
  write(writer, origin) {
    writer.text(origin.originatorAddress).uint32(origin.originatorPort)
  },
})
