import type { Socket } from 'node:net'
import type { Channel, ChannelSink } from '../../lib/connection/channel.ts'
import { giveBack } from '../../lib/wire/room.ts'

/**
 * Joins a channel and a socket, in both directions and with half-closes. Nothing is held here: what the socket does not
 * take stays out of the channel's window, and what the channel does not take stays in the socket. The socket must allow
 * half-open connections and be paused until the channel is open.
 */
export function socketSink(socket: Socket): ChannelSink {
  let channel: Channel | undefined
  // An error is followed by `close`, which ends the channel.
  socket.on('error', () => {})
  return {
    opened(opened) {
      channel = opened
      socket.on('data', (data: Buffer) => {
        if (!opened.write(data)) socket.pause()
      })
      socket.on('end', () => opened.eof())
      socket.on('close', hadError => (hadError ? opened.abort() : opened.close()))
      if (socket.destroyed) opened.abort()
      else socket.resume()
    },
    data(data) {
      socket.write(data, () => {
        giveBack(data)
        channel?.consumed(data.length)
      })
    },
    eof: () => socket.end(),
    writable: () => socket.resume(),
    closed(error) {
      if (error) socket.destroy()
      // What the peer sent before its CLOSE still goes out.
      else socket.destroySoon()
    },
  }
}
