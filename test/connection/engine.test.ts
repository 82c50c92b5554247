import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Channel, writeHighWaterMark, writeLowWaterMark } from '../../lib/connection/channel.ts'
import { startSession } from '../../lib/connection/client-session.ts'
import { startProcess } from '../../lib/connection/process.ts'
import { acceptSessions, type ServerSession } from '../../lib/connection/server-session.ts'
import { defaultWindow } from '../../lib/connection/window.ts'
import { ConnectionLostError } from '../../lib/errors.ts'
import { enginePair } from '../support/engine-pair.ts'
import { straddling } from '../support/transport-pair.ts'
import { bytes } from './helpers.ts'

/** Sends everything back by hand, without streams. */
function echo(session: ServerSession): void {
  const { channel } = session
  let waiting = 0
  session.attach({
    data(data) {
      if (channel.write(data) && waiting === 0) channel.consumed(data.length)
      else waiting += data.length
    },
    writable() {
      const count = waiting
      waiting = 0
      channel.consumed(count)
    },
    eof: () => session.exit(0),
  })
}

const channelTypes = new Map([
  [
    'session',
    acceptSessions({
      start(session, program, reply) {
        reply(true)
        if (program.kind === 'exec' && program.command === 'echo') {
          echo(session)
          return
        }
        const { stdin, stdout, stderr } = session.streams()
        stdin.on('data', (chunk: Buffer) => stdout.write(chunk))
        stdin.on('end', () => stderr.end('bye', () => session.exit(5)))
      },
    }),
  ],
])

describe('sessions over real transports', () => {
  it('run through every layer, whatever the chunks', async () => {
    const { client } = await enginePair({ server: { channelTypes }, chunking: straddling })
    const process = await startProcess(client.connection, { command: 'cat' })
    const output: Buffer[] = []
    const errors: Buffer[] = []
    process.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    process.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
    process.stdin.end('hello')
    expect(await process.exit).toEqual({ status: 5 })
    expect([Buffer.concat(output).toString(), Buffer.concat(errors).toString()]).toEqual(['hello', 'bye'])
    client.transport.disconnect(11, 'done')
  })

  it('lose nothing in bulk both ways across many key exchanges', async () => {
    const { client, server } = await enginePair({ server: { channelTypes }, rekeyLimit: { bytes: 1024 * 1024 } })
    const sent = createHash('sha256')
    const received = createHash('sha256')
    const total = 16 * 1024 * 1024
    let written = 0
    let arrived = 0
    let channel: Channel | undefined
    const send = (): void => {
      while (written < total) {
        const chunk = bytes(65536, written / 65536)
        sent.update(chunk)
        written += chunk.length
        if (!channel!.write(chunk)) return
      }
      channel!.eof()
    }
    const session = await startSession(
      client.connection,
      { command: 'echo' },
      {
        opened: each => {
          channel = each
        },
        data(data) {
          received.update(data)
          arrived += data.length
          channel!.consumed(data.length)
        },
        writable: send,
      },
    )
    send()
    expect(await session.exit).toEqual({ status: 0 })
    expect(arrived).toBe(total)
    expect(received.digest('hex')).toBe(sent.digest('hex'))
    expect(client.transport.statistics.rekeys).toBeGreaterThan(4)
    expect(client.connection.channels.size).toBe(0)
    expect((await server.login).connection.channels.size).toBe(0)
    client.transport.disconnect(11, 'done')
  })

  it('end when the stream below is cut', async () => {
    const { client, server } = await enginePair({ server: { channelTypes } })
    const process = await startProcess(client.connection, {})
    client.ended()
    server.ended()
    await expect(process.exit).rejects.toThrow(ConnectionLostError)
    expect(client.connection.channels.size + (await server.login).connection.channels.size).toBe(0)
  })
})

describe('a reader that stands still', () => {
  const piece = Buffer.alloc(100_000, 7)

  it('holds the sender back: what is on its way stays within the window, what waits within the high-water mark', async () => {
    let sender: Channel | undefined
    let handedOver = 0
    const goOn = (): void => {
      while (sender!.write(piece)) handedOver += piece.length
      handedOver += piece.length
    }
    const types = new Map([
      [
        'session',
        acceptSessions({
          start(session, _program, reply) {
            reply(true)
            sender = session.channel
            session.attach({ data() {}, writable: goOn })
            goOn()
          },
        }),
      ],
    ])
    const { client } = await enginePair({ server: { channelTypes: types } })
    let received = 0
    let taken = 0
    const session = await startSession(
      client.connection,
      { command: 'all' },
      { data: ({ length }) => (received += length) },
    )
    const rest = async (): Promise<void> => {
      for (let quiet = 0, last = -1; quiet < 3; quiet = received === last ? quiet + 1 : 0) {
        last = received
        for (let turn = 0; turn < 20; turn++) await new Promise(resolve => setImmediate(resolve))
      }
    }
    for (let round = 0; round < 20; round++) {
      await rest()
      expect(received - taken).toBe(defaultWindow)
      expect(handedOver - received).toBe(sender!.queued)
      expect(sender!.queued).toBeGreaterThan(writeLowWaterMark)
      expect(sender!.queued).toBeLessThanOrEqual(writeHighWaterMark + piece.length)
      // Half of what lies there: enough to be granted again.
      const count = defaultWindow / 2
      session.channel.consumed(count)
      taken += count
    }
    expect(received).toBeGreaterThan(10 * defaultWindow)
    client.transport.disconnect(11, 'done')
  })
})
