import { type ChannelType, channelType, checkedPort, checkedText } from './channel-type.ts'

/** Where a client wants a connection to, and from where it was asked for (RFC 4254 §7.2). */
export interface DirectTcpip {
  readonly host: string
  readonly port: number
  readonly originatorAddress: string
  readonly originatorPort: number
}

/** Local forwarding: the client opens, the server connects. */
export const directTcpip: ChannelType<DirectTcpip> = channelType('direct-tcpip', {
  read: reader => ({
    host: checkedText(reader.text()),
    port: checkedPort(reader.uint32()),
    originatorAddress: checkedText(reader.text()),
    originatorPort: reader.uint32(),
  }),
  write(writer, target) {
    writer.text(target.host).uint32(target.port).text(target.originatorAddress).uint32(target.originatorPort)
  },
})
