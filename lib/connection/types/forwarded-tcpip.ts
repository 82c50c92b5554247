import { type ChannelType, channelType, checkedPort, checkedText } from './channel-type.ts'

/** Which listener of ours was connected to, and by whom (RFC 4254 §7.2). */
export interface ForwardedTcpip {
  /** Address and port as they were asked for by `tcpip-forward`; the port that was allocated when 0 was. */
  readonly address: string
  readonly port: number
  readonly originatorAddress: string
  readonly originatorPort: number
}

/** Remote forwarding: the server opens, the client connects. A client accepts only what it asked for. */
export const forwardedTcpip: ChannelType<ForwardedTcpip> = channelType('forwarded-tcpip', {
  read: reader => ({
    address: checkedText(reader.text()),
    port: checkedPort(reader.uint32()),
    originatorAddress: checkedText(reader.text()),
    originatorPort: reader.uint32(),
  }),
  write(writer, target) {
    writer.text(target.address).uint32(target.port).text(target.originatorAddress).uint32(target.originatorPort)
  },
})
