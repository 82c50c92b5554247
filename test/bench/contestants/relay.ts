/**
 * A path with a delay: relays TCP to a local port, and lets each piece through so many milliseconds after it came, in both
 * directions. `relay.js port milliseconds` prints the port that it listens on, and runs until its input ends.
 */
import { connect, createServer, type Socket } from 'node:net'

const [port = '', milliseconds = ''] = process.argv.slice(2)
const delay = Number(milliseconds)
/** What may be on its way in one direction: more than any window, so that only the delay counts. */
const maximumOnTheWay = 64 * 1024 * 1024

/** Everything that came goes out after the delay; one timer at a time. */
function carry(from: Socket, to: Socket): void {
  const way: { due: number; data: Buffer | undefined }[] = []
  let length = 0
  let timer: 'none' | 'set' = 'none'
  const wake = (milliseconds: number): void => {
    if (timer === 'none') setTimeout(deliver, milliseconds)
    timer = 'set'
  }
  const deliver = (): void => {
    timer = 'none'
    const now = performance.now()
    to.cork()
    while (way[0] && way[0].due <= now + 0.5) {
      const { data } = way.shift()!
      if (data) {
        length -= data.length
        to.write(data)
      } else to.end()
    }
    to.uncork()
    if (length < maximumOnTheWay) from.resume()
    if (way[0]) wake(way[0].due - now)
  }
  const send = (data: Buffer | undefined): void => {
    way.push({ due: performance.now() + delay, data })
    length += data?.length ?? 0
    if (length >= maximumOnTheWay) from.pause()
    wake(delay)
  }
  from.on('data', send)
  from.on('end', () => send(undefined))
  from.on('error', () => to.destroy())
  from.on('close', () => setTimeout(() => to.destroy(), 2 * delay))
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
  const other = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  carry(socket, other)
  carry(other, socket)
}).listen(0, '127.0.0.1', () => {
  const address = server.address()
  console.log(typeof address === 'object' && address ? address.port : 0)
})
process.stdin.on('end', () => process.exit()).resume()
