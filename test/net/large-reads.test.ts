import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { largeReadsOf, readLarge } from '../../src/net/large-reads.ts'

const open: { destroy(): void }[] = []
const servers: Server[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) server.close()
})

/** Both ends of a connection: the client's, and the server's as it was accepted. */
async function connection(options: { pauseOnConnect: boolean }): Promise<{ client: Socket; accepted: Socket }> {
  const server = createServer({ ...options, noDelay: true })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  open.push(client, accepted)
  return { client, accepted }
}

function takeAll(socket: Socket, take: (piece: Buffer) => boolean = () => true): Buffer[] {
  const pieces: Buffer[] = []
  largeReadsOf(socket)!.takenBy(socket, piece => {
    pieces.push(Buffer.from(piece))
    return take(piece)
  })
  return pieces
}

it.each([true, false])('gives all bytes of an accepted socket in their order (paused: %s)', async pauseOnConnect => {
  const { client, accepted } = await connection({ pauseOnConnect })
  const data = randomBytes(5_000_000)
  client.end(data)
  const socket = readLarge(accepted)
  open.push(socket)
  const memory = new Set<ArrayBufferLike>()
  const pieces = takeAll(socket, piece => {
    memory.add(piece.buffer)
    // It is paused now and then.
    if (piece[0]! % 4 > 0) return true
    setImmediate(() => socket.resume())
    return false
  })
  await once(socket, 'end')
  expect(Buffer.concat(pieces).equals(data)).toBe(true)
  expect(memory.size).toBe(1)
})

it('begins with what the other had read, and ends where it had ended', async () => {
  const { client, accepted } = await connection({ pauseOnConnect: false })
  client.end('first of all')
  while (accepted.readableLength === 0 || accepted.bytesRead === 0) await new Promise(resolve => setImmediate(resolve))
  const socket = readLarge(accepted)
  open.push(socket)
  const pieces = takeAll(socket)
  await once(socket, 'end')
  expect(String(Buffer.concat(pieces))).toBe('first of all')
})

it('knows both addresses, and sends', async () => {
  const { client, accepted } = await connection({ pauseOnConnect: true })
  const { remoteAddress, remotePort, localPort } = accepted
  const socket = readLarge(accepted)
  open.push(socket)
  takeAll(socket)
  expect(socket).toMatchObject({ remoteAddress, remotePort, localPort })
  expect(remotePort).toBe(client.localPort)
  socket.end('farewell')
  expect(String(await once(client, 'data'))).toBe('farewell')
})

it('ends the other socket without the connection, and tells of a reset', async () => {
  const { client, accepted } = await connection({ pauseOnConnect: true })
  const socket = readLarge(accepted)
  open.push(socket)
  await once(accepted, 'close')
  const pieces = takeAll(socket)
  client.write('still here')
  while (pieces.length === 0) await new Promise(resolve => setImmediate(resolve))
  expect(String(pieces[0])).toBe('still here')
  client.resetAndDestroy()
  expect((await once(socket, 'error'))[0]).toMatchObject({ code: 'ECONNRESET' })
  await once(socket, 'close')
})

it('leaves a destroyed socket as it is', async () => {
  const { accepted } = await connection({ pauseOnConnect: true })
  accepted.destroy()
  expect(readLarge(accepted)).toBe(accepted)
})
