import { describe, expect, it } from 'vitest'
import { writeHighWaterMark } from '../../lib/connection/channel.ts'
import {
  ChannelClose,
  ChannelData,
  ChannelEof,
  ChannelExtendedData,
  ChannelFailure,
  ChannelOpenConfirmation,
  ChannelRequest,
  ChannelSuccess,
  ChannelWindowAdjust,
} from '../../lib/connection/messages.ts'
import { ProtocolError, RequestError } from '../../lib/errors.ts'
import { silentLog } from '../../lib/log.ts'
import { RecordingSink } from '../support/channels.ts'
import { fakePair } from '../support/fake-transport.ts'
import { bytes, noData, openPair, payloadOf } from './helpers.ts'

describe('the hand-written messages against their Structs', () => {
  it('writes CHANNEL_DATA, CHANNEL_EXTENDED_DATA and CHANNEL_WINDOW_ADJUST as the Structs do', () => {
    const pair = openPair({ client: { window: 100 }, server: { window: 100 } })
    pair.ours.write(Buffer.from('plain'))
    pair.ours.writeExtended(1, Buffer.from('error'))
    const recipientChannel = pair.ours.remoteId
    expect(pair.clientTransport.outbox).toEqual([
      payloadOf(ChannelData, { recipientChannel, data: Buffer.from('plain') }),
      payloadOf(ChannelExtendedData, { recipientChannel, dataType: 1, data: Buffer.from('error') }),
    ])
    pair.ours.write(bytes(80))
    while (pair.step('client'));
    expect(pair.serverTransport.outbox).toEqual([
      payloadOf(ChannelWindowAdjust, { recipientChannel: pair.theirs.remoteId, bytes: 90 }),
    ])
  })

  it('reads what the Structs write', () => {
    const pair = openPair()
    const recipientChannel = pair.theirs.localId
    pair.serverTransport.deliver(payloadOf(ChannelData, { recipientChannel, data: Buffer.from('plain') }))
    pair.serverTransport.deliver(
      payloadOf(ChannelExtendedData, { recipientChannel, dataType: 0, data: Buffer.from('odd') }),
    )
    expect(pair.theirSink.received.toString()).toBe('plain')
    expect(pair.theirSink.extended).toEqual([{ type: 0, data: Buffer.from('odd') }])
  })

  it('refuses a length that does not fit the message', () => {
    for (const change of [-1, 1, 0x7fffffff]) {
      for (const message of [
        payloadOf(ChannelData, { recipientChannel: 0, data: Buffer.from('plain') }),
        payloadOf(ChannelExtendedData, { recipientChannel: 0, dataType: 1, data: Buffer.from('plain') }),
      ]) {
        const at = message.length - 9
        message.writeUInt32BE(5 + change, at)
        const pair = openPair()
        pair.serverTransport.deliver(message)
        expect(pair.serverTransport.failure).toMatchObject({ code: 'malformed-message' })
      }
    }
  })

  it('refuses messages cut off anywhere', () => {
    for (const message of [
      payloadOf(ChannelData, { recipientChannel: 0, data: Buffer.from('plain') }),
      payloadOf(ChannelExtendedData, { recipientChannel: 0, dataType: 1, data: Buffer.from('plain') }),
      payloadOf(ChannelWindowAdjust, { recipientChannel: 0, bytes: 5 }),
    ]) {
      for (let length = 1; length < message.length; length++) {
        const pair = openPair()
        pair.serverTransport.deliver(message.subarray(0, length))
        expect(pair.serverTransport.failure).toMatchObject({ code: 'malformed-message' })
      }
    }
  })

  it('traces them without the data, only when somebody listens', () => {
    const log = { ...silentLog, debug3() {} }
    const pair = openPair({ client: { log }, server: { log, window: 10 } })
    pair.ours.write(Buffer.from('secret'))
    pair.pump()
    const line = 'CHANNEL_DATA recipientChannel=0 data=(6 bytes)'
    expect(pair.clientTransport.traced).toContain(`out ${line}`)
    expect(pair.serverTransport.traced).toContain(`in ${line}`)
    expect(pair.serverTransport.traced).toContain('out CHANNEL_WINDOW_ADJUST recipientChannel=0 bytes=6')
    expect(pair.clientTransport.traced).toContain('in CHANNEL_WINDOW_ADJUST recipientChannel=0 bytes=6')
    const quiet = openPair()
    quiet.ours.write(Buffer.from('secret'))
    quiet.pump()
    expect(quiet.serverTransport.traced.join()).not.toContain('CHANNEL_DATA')
  })
})

describe('sending', () => {
  it('cuts data at the maximum packet and at the window, and loses nothing', () => {
    const pair = openPair({ server: { window: 1000, maximumPacket: 300 }, consume: 'by hand' })
    pair.clientTransport.sent = []
    const data = bytes(5000)
    pair.ours.write(data)
    pair.pump()
    expect(pair.clientTransport.sent.map(payload => payload.length - 9)).toEqual([300, 300, 300, 100])
    expect(pair.theirSink.unread).toBe(1000)
    expect(pair.ours.queued).toBe(4000)
    while (pair.theirSink.unread > 0) {
      expect(pair.theirSink.unread).toBeLessThanOrEqual(1000)
      pair.theirSink.consume()
      pair.pump()
    }
    expect(pair.theirSink.received.equals(data)).toBe(true)
    expect(pair.ours.queued).toBe(0)
  })

  it('says false above the high-water mark, and "writable" once when the queue is half empty', () => {
    const pair = openPair({ server: { window: 100 }, consume: 'by hand' })
    expect(pair.ours.write(bytes(writeHighWaterMark))).toBe(true)
    expect(pair.ours.write(bytes(200))).toBe(false)
    expect(pair.ours.write(bytes(1))).toBe(false)
    pair.pump()
    expect(pair.ourSink.events).toEqual(['opened'])
    while (pair.theirSink.unread > 0) {
      pair.theirSink.consume()
      pair.pump()
    }
    expect(pair.ourSink.events).toEqual(['opened', 'writable'])
    expect(pair.theirSink.received.length).toBe(writeHighWaterMark + 201)
  })

  it('copies what it cannot send at once of memory that is only lent, and asks to stop', () => {
    const pair = openPair({ consume: 'by hand', server: { window: 1000, maximumPacket: 300 } })
    const memory = Buffer.alloc(700)
    const lend = (seed: number): boolean => {
      bytes(700, seed).copy(memory)
      const more = pair.ours.writeLent(0, memory)
      memory.fill(0xee)
      return more
    }
    expect(lend(1)).toBe(true)
    expect(pair.ours.queued).toBe(0)
    // 300 bytes are on their way, 400 wait for window; then all of the next.
    expect(lend(2)).toBe(false)
    expect(lend(3)).toBe(false)
    expect(pair.ours.queued).toBe(400 + 700)
    expect(pair.ourSink.events).not.toContain('writable')
    while (pair.theirSink.received.length < 2100) {
      pair.pump()
      pair.theirSink.consume()
    }
    expect(pair.theirSink.received.equals(Buffer.concat([bytes(700, 1), bytes(700, 2), bytes(700, 3)]))).toBe(true)
    expect(pair.ourSink.events.filter(event => event === 'writable')).toHaveLength(1)
    pair.pump()
    expect(pair.ours.writeLent(1, Buffer.from('error'))).toBe(true)
    pair.pump()
    expect(pair.theirSink.extended).toEqual([{ type: 1, data: Buffer.from('error') }])
    pair.ours.eof()
    expect(pair.ours.writeLent(0, memory)).toBe(false)
  })

  it('keeps borrowed memory until all of it was sent, and then says "writable"', () => {
    const pair = openPair({ consume: 'by hand', server: { window: 1000, maximumPacket: 300 } })
    const memory = Buffer.alloc(700)
    const borrow = (seed: number): boolean => {
      bytes(700, seed).copy(memory)
      return pair.ours.writeBorrowed(memory)
    }
    expect(borrow(1)).toBe(true)
    expect(borrow(2)).toBe(false)
    expect(pair.ours.queued).toBe(400)
    pair.pump()
    expect(pair.ourSink.events).not.toContain('writable')
    pair.theirSink.consume()
    pair.pump()
    expect(pair.ours.queued).toBe(0)
    expect(pair.ourSink.events.filter(event => event === 'writable')).toHaveLength(1)
    borrow(3)
    while (pair.theirSink.received.length < 2100) {
      pair.pump()
      pair.theirSink.consume()
    }
    expect(pair.theirSink.received.equals(Buffer.concat([bytes(700, 1), bytes(700, 2), bytes(700, 3)]))).toBe(true)
    pair.ours.eof()
    expect(pair.ours.writeBorrowed(memory)).toBe(false)
  })

  it('says "writable" only once borrowed memory is free, however little is queued before and after', () => {
    const pair = openPair({ consume: 'by hand', server: { window: 100 } })
    expect(pair.ours.write(bytes(writeHighWaterMark))).toBe(true)
    expect(pair.ours.write(bytes(200))).toBe(false)
    expect(pair.ours.writeBorrowed(bytes(300))).toBe(false)
    expect(pair.ours.write(bytes(10))).toBe(false)
    for (let told = false; !told; told = pair.ourSink.events.includes('writable')) {
      expect(pair.ours.queued).toBeGreaterThan(0)
      pair.pump()
      pair.theirSink.consume()
    }
    expect(pair.ours.queued).toBe(0)
  })

  it('waits while the transport is not writable', () => {
    const pair = openPair()
    pair.clientTransport.writable = false
    pair.ours.write(Buffer.from('later'))
    expect(pair.pump()).toBe(0)
    pair.clientTransport.writable = true
    pair.pump()
    expect(pair.theirSink.received.toString()).toBe('later')
  })

  it('keeps the order of data and extended data', () => {
    const pair = openPair({ server: { window: 4 } })
    pair.ours.write(Buffer.from('abcdef'))
    pair.ours.writeExtended(1, Buffer.from('ghi'))
    pair.ours.write(Buffer.from('jkl'))
    pair.clientTransport.sent = []
    pair.pump()
    expect(pair.theirSink.received.toString()).toBe('abcdefjkl')
    expect(Buffer.concat(pair.theirSink.extended.map(each => each.data)).toString()).toBe('ghi')
  })

  it('never spins on a maximum packet of 0, and can still be closed', () => {
    const pair = openPair({ server: { maximumPacket: 0 } })
    pair.ours.write(bytes(100))
    expect(pair.pump()).toBe(0)
    expect(pair.ours.queued).toBe(100)
    pair.ours.close()
    pair.pump()
    expect(pair.ourSink.events).toEqual(['opened', 'closed'])
  })

  it('never spins on a window of 0', () => {
    const pair = openPair({ server: { window: 0 } })
    pair.ours.write(bytes(100))
    pair.clientTransport.writable = true
    expect(pair.pump()).toBe(0)
    pair.clientTransport.deliver(payloadOf(ChannelWindowAdjust, { recipientChannel: 0, bytes: 0 }))
    expect(pair.pump()).toBe(0)
  })

  it('takes a window and a maximum packet of 0xffffffff', () => {
    const pair = fakePair()
    const sink = new RecordingSink()
    void pair.client.openChannel('test', sink)
    pair.clientTransport.outbox.length = 0
    const maximum = 0xffffffff
    pair.clientTransport.deliver(
      payloadOf(ChannelOpenConfirmation, {
        recipientChannel: 0,
        senderChannel: maximum,
        initialWindow: maximum,
        maximumPacket: maximum,
        payload: noData,
      }),
    )
    const data = bytes(100_000)
    sink.channel!.write(data)
    const sent = pair.clientTransport.outbox.map(payload => ChannelData.read(payload))
    expect(sent.every(each => each.recipientChannel === maximum && each.data.length <= 64 * 1024)).toBe(true)
    expect(Buffer.concat(sent.map(each => each.data)).equals(data)).toBe(true)
    pair.clientTransport.deliver(payloadOf(ChannelWindowAdjust, { recipientChannel: 0, bytes: 100_001 }))
    expect(pair.clientTransport.failure).toMatchObject({ code: 'window-exceeded' })
  })

  it('sends datagrams whole or not at all', () => {
    const pair = openPair({ server: { window: 100, maximumPacket: 80 }, consume: 'by hand' })
    pair.ours.datagram = true
    pair.clientTransport.sent = []
    pair.ours.write(bytes(60))
    pair.ours.write(bytes(50))
    pair.ours.write(bytes(81))
    pair.pump()
    expect(pair.clientTransport.sent.map(payload => payload.length - 9)).toEqual([60])
    pair.theirSink.consume()
    pair.pump()
    expect(pair.clientTransport.sent.map(payload => payload.length - 9)).toEqual([60, 50])
    expect(pair.ours.queued).toBe(0)
  })
})

describe('receiving', () => {
  it('ends the connection at the first byte beyond the window, for data and extended data, reader paused or not', () => {
    for (const consume of ['at once', 'by hand'] as const) {
      for (const extended of [false, true]) {
        const pair = openPair({ server: { window: 1000, maximumPacket: 600 }, consume })
        const deliver = (length: number): void => {
          const value = { recipientChannel: 0, dataType: 1, data: bytes(length) }
          pair.serverTransport.deliver(extended ? payloadOf(ChannelExtendedData, value) : payloadOf(ChannelData, value))
        }
        deliver(400)
        expect(pair.serverTransport.failure).toBeUndefined()
        deliver(601)
        expect(pair.serverTransport.failure).toBeInstanceOf(ProtocolError)
        expect(pair.serverTransport.failure).toMatchObject({ code: 'window-exceeded' })
      }
    }
  })

  it('holds no more than the window when the reader stops', () => {
    const pair = openPair({ consume: 'by hand' })
    const chunk = bytes(65536)
    let accepted = 0
    while (pair.ours.write(chunk)) {
      accepted += chunk.length
      pair.pump()
    }
    const window = 2 * 1024 * 1024
    expect(pair.theirSink.unread).toBe(window)
    expect(accepted + chunk.length).toBe(pair.theirSink.unread + pair.ours.queued)
    expect(pair.ours.queued).toBeLessThanOrEqual(writeHighWaterMark + chunk.length)
  })

  it('replenishes the window for extended data that nobody listens to', () => {
    const pair = openPair({ server: { window: 100 } })
    pair.theirs.sink = { data() {} }
    pair.ours.writeExtended(1, bytes(1000))
    pair.pump()
    expect(pair.ours.queued).toBe(0)
  })

  it('refuses data after EOF, and a second EOF', () => {
    for (const second of [
      payloadOf(ChannelData, { recipientChannel: 0, data: bytes(1) }),
      payloadOf(ChannelExtendedData, { recipientChannel: 0, dataType: 1, data: bytes(1) }),
      payloadOf(ChannelEof, { recipientChannel: 0 }),
    ]) {
      const pair = openPair()
      pair.serverTransport.deliver(payloadOf(ChannelEof, { recipientChannel: 0 }))
      expect(pair.theirs.remote).toBe('eof')
      pair.serverTransport.deliver(second)
      expect(pair.serverTransport.failure).toMatchObject({ code: 'unexpected-message' })
    }
  })
})

describe('EOF and CLOSE', () => {
  it('flushes queued data before EOF, and EOF before CLOSE', () => {
    const pair = openPair({ server: { window: 10 }, consume: 'by hand' })
    pair.clientTransport.sent = []
    pair.ours.write(bytes(25))
    pair.ours.eof()
    expect(pair.ours.write(bytes(1))).toBe(false)
    expect(pair.ours.local).toBe('open')
    while (pair.pump() > 0) pair.theirSink.consume()
    expect(pair.ours.local).toBe('eof')
    pair.ours.close()
    pair.pump()
    const numbers = pair.clientTransport.sent.map(payload => payload[0])
    expect(numbers).toEqual([94, 94, 94, 96, 97])
    expect(pair.theirSink.received.length).toBe(25)
    expect(pair.theirSink.events).toEqual(['opened', 'eof', 'closed'])
    expect(pair.ourSink.events).toEqual(['opened', 'closed'])
  })

  it('flushes queued data before CLOSE', () => {
    const pair = openPair({ server: { window: 10 }, consume: 'by hand' })
    pair.ours.write(bytes(25))
    pair.ours.close()
    expect(pair.ours.local).toBe('open')
    while (pair.pump() > 0) if (pair.theirSink.unread > 0) pair.theirSink.consume()
    expect(pair.theirSink.received.length).toBe(25)
    expect(pair.theirSink.events).toEqual(['opened', 'closed'])
  })

  it('drops queued data on abort', () => {
    const pair = openPair({ server: { window: 10 }, consume: 'by hand' })
    pair.ours.write(bytes(25))
    pair.ours.abort()
    expect(pair.ours.queued).toBe(0)
    pair.pump()
    expect(pair.theirSink.received.length).toBe(10)
    expect(pair.ourSink.events).toEqual(['opened', 'closed'])
  })

  it('goes on sending after the peer sent EOF', () => {
    const pair = openPair()
    pair.theirs.eof()
    pair.pump()
    expect(pair.ourSink.events).toEqual(['opened', 'eof'])
    pair.ours.write(Buffer.from('still here'))
    pair.pump()
    expect(pair.theirSink.received.toString()).toBe('still here')
    expect([pair.ours.local, pair.ours.remote]).toEqual(['open', 'eof'])
  })

  it('answers CLOSE with CLOSE at once, what is queued being dropped', () => {
    const pair = openPair({ server: { window: 10 }, consume: 'by hand' })
    pair.ours.write(bytes(25))
    pair.theirs.close()
    pair.pump()
    expect(pair.ourSink.events).toEqual(['opened', 'closed'])
    expect(pair.theirSink.events).toEqual(['opened', 'closed'])
    expect([pair.ours.local, pair.ours.remote, pair.ours.queued]).toEqual(['closed', 'closed', 0])
    expect(pair.client.channels.size + pair.server.channels.size).toBe(0)
  })

  it('sends one CLOSE when both close at the same time', () => {
    const pair = openPair()
    pair.clientTransport.sent = []
    pair.ours.close()
    pair.theirs.close()
    pair.ours.close()
    pair.pump()
    expect(pair.clientTransport.sent).toEqual([payloadOf(ChannelClose, { recipientChannel: 0 })])
    expect(pair.ourSink.events).toEqual(['opened', 'closed'])
    expect(pair.theirSink.events).toEqual(['opened', 'closed'])
  })

  it('does nothing, quietly, on a closed channel', async () => {
    const pair = openPair()
    pair.ours.close()
    pair.pump()
    expect(pair.ours.write(bytes(1))).toBe(false)
    pair.ours.eof()
    pair.ours.close()
    pair.ours.abort()
    pair.ours.consumed(5)
    pair.ours.notify('signal')
    await expect(pair.ours.request('signal')).rejects.toThrow(RequestError)
    expect(pair.pump()).toBe(0)
  })

  it('drops what arrives between our CLOSE and theirs, and answers nothing there', () => {
    const pair = openPair()
    pair.theirs.write(bytes(100))
    void pair.theirs.request('late').catch(() => {})
    pair.ours.close()
    pair.clientTransport.sent = []
    pair.pump()
    expect(pair.ourSink.chunks).toEqual([])
    expect(pair.ourSink.requests).toEqual([])
    expect(pair.clientTransport.sent).toEqual([])
    expect(pair.ourSink.events).toEqual(['opened', 'closed'])
  })
})

describe('eow@openssh.com', () => {
  it('drops what is queued and stops writing, while the other direction goes on', () => {
    const pair = openPair({ server: { window: 10 }, consume: 'by hand' })
    pair.ours.write(bytes(writeHighWaterMark))
    pair.ours.write(bytes(1))
    pair.pump()
    pair.theirs.notify('eow@openssh.com')
    pair.theirs.write(Buffer.from('more'))
    pair.pump()
    expect(pair.ours.queued).toBe(0)
    expect(pair.ours.write(bytes(1))).toBe(false)
    expect(pair.ourSink.events).toEqual(['opened', 'endOfWrite'])
    expect(pair.ourSink.received.toString()).toBe('more')
    pair.ours.eof()
    pair.pump()
    expect(pair.theirSink.events).toEqual(['opened', 'eof'])
  })

  it('lets a pending close go through', () => {
    const pair = openPair({ server: { window: 10 }, consume: 'by hand' })
    pair.ours.write(bytes(100))
    pair.ours.close()
    pair.theirs.notify('eow@openssh.com')
    pair.pump()
    expect(pair.ourSink.events).toEqual(['opened', 'endOfWrite', 'closed'])
  })
})

describe('channel requests', () => {
  it('answers in the order of the requests, however late', async () => {
    const pair = openPair()
    const answers = ['a', 'b', 'c'].map(name =>
      pair.ours
        .request(name, writer => writer.text(`of ${name}`))
        .then(
          () => `${name} yes`,
          (error: RequestError) => `${name} ${error.code}`,
        ),
    )
    pair.pump()
    expect(pair.theirSink.requests.map(each => [each.name, each.payload.text(), each.wantReply])).toEqual([
      ['a', 'of a', true],
      ['b', 'of b', true],
      ['c', 'of c', true],
    ])
    const [a, b, c] = pair.theirSink.requests
    c!.reply(true)
    b!.reply(false)
    expect(pair.pump()).toBe(0)
    a!.reply(true)
    a!.reply(false)
    expect(pair.pump()).toBe(3)
    expect(await Promise.all(answers)).toEqual(['a yes', 'b refused', 'c yes'])
  })

  it('sends no answer when none is wanted', () => {
    const pair = openPair()
    pair.ours.notify('env', writer => writer.text('A').text('B'))
    pair.pump()
    pair.theirSink.requests[0]!.reply(true)
    expect(pair.pump()).toBe(0)
  })

  it('refuses for a sink that takes no requests', async () => {
    const pair = openPair()
    pair.theirs.sink = { data() {} }
    const answer = pair.ours.request('env')
    pair.pump()
    await expect(answer).rejects.toMatchObject({ code: 'refused' })
  })

  it('rejects what is pending when the channel closes', async () => {
    const pair = openPair()
    const answer = pair.ours.request('env')
    pair.pump()
    pair.theirs.close()
    pair.theirSink.requests[0]!.reply(true)
    pair.pump()
    await expect(answer).rejects.toMatchObject({ code: 'closed' })
    expect(pair.clientTransport.failure).toBeUndefined()
  })

  it('takes no answer that it did not ask for', () => {
    for (const message of [ChannelSuccess, ChannelFailure]) {
      const pair = openPair()
      pair.serverTransport.deliver(payloadOf(message, { recipientChannel: 0 }))
      expect(pair.serverTransport.failure).toMatchObject({ code: 'unexpected-message' })
    }
  })

  it('bounds the requests without an answer, on both sides', async () => {
    const pair = openPair()
    const answers = Array.from({ length: 1025 }, () =>
      pair.ours.request('env').catch((error: RequestError) => error.code),
    )
    expect(await answers[1024]).toBe('refused')
    pair.pump()
    expect(pair.serverTransport.failure).toBeUndefined()
    // A peer without our bound: one more.
    pair.clientTransport.send(ChannelRequest, {
      recipientChannel: 0,
      request: 'env',
      wantReply: true,
      payload: noData,
    })
    pair.pump()
    expect(pair.serverTransport.failure).toMatchObject({ code: 'limit-exceeded' })
  })
})
