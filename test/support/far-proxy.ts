import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface FarProxy {
  readonly port: number
  close(): void
}

/** A path to a local port that takes so many milliseconds each way, behind a near host that answers for the far one. */
export async function startFarProxy(target: number, milliseconds: number): Promise<FarProxy> {
  const sockets = new Set<Socket>()
  const carry = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('data', data => setTimeout(() => to.writable && to.write(data), milliseconds))
    from.on('end', () => setTimeout(() => to.end(), milliseconds))
    from.on('error', () => to.destroy())
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true }, near => {
    const far = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    carry(near, far)
    carry(far, near)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
