import { ProtocolError } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { encode } from '../../wire/writer.ts'
import { type ChannelType, channelType } from './channel-type.ts'

/** Layer 3 packets (point-to-point) or layer 2 frames (ethernet). */
export const TunMode = { pointToPoint: 1, ethernet: 2 } as const
export type TunMode = (typeof TunMode)[keyof typeof TunMode]

/** The server shall choose the interface. */
export const anyTunUnit = 0x7fffffff

/** The tunnel that a client wants (PROTOCOL §2.3). */
export interface TunTarget {
  readonly mode: TunMode
  readonly unit: number
}

/** Tunnels: the client opens. Both sides then set `channel.datagram`, since each packet is one CHANNEL_DATA. */
export const tun: ChannelType<TunTarget> = channelType('tun@openssh.com', {
  read(reader) {
    const mode = reader.uint32()
    if (mode !== TunMode.pointToPoint && mode !== TunMode.ethernet) {
      throw new ProtocolError('malformed-message', `tunnel mode ${mode} does not exist`)
    }
    return { mode, unit: reader.uint32() }
  },
  write(writer, target) {
    writer.uint32(target.mode).uint32(target.unit)
  },
})

/** Address families of layer 3 packets on the wire, whatever the system's numbers are. */
export const TunFamily = { inet: 2, inet6: 24 } as const
export type TunFamily = (typeof TunFamily)[keyof typeof TunFamily]

/** The data of one layer 3 packet: its address family and the IP datagram. */
export function encodeTunPacket(family: TunFamily, packet: Buffer): Buffer {
  return encode(writer => writer.uint32(family).bytes(packet))
}

/** The IP datagram in the data of a layer 3 channel, or undefined when it is none that we know (it is then dropped). */
export function decodeTunPacket(data: Buffer): { family: TunFamily; packet: Buffer } | undefined {
  if (data.length < 4) return undefined
  const reader = new Reader(data)
  const family = reader.uint32()
  if (family !== TunFamily.inet && family !== TunFamily.inet6) return undefined
  return { family, packet: reader.rest() }
}
