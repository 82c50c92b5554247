import { describe, expect, it } from 'vitest'
import type { ChannelOpening, GlobalRequestHandler } from '../../lib/connection/connection.ts'
import {
  ChannelClose,
  ChannelData,
  ChannelEof,
  ChannelExtendedData,
  ChannelFailure,
  ChannelOpen,
  ChannelOpenConfirmation,
  ChannelOpenFailure,
  ChannelRequest,
  ChannelSuccess,
  ChannelWindowAdjust,
  GlobalRequest,
  RequestFailure,
  RequestSuccess,
} from '../../lib/connection/messages.ts'
import { ChannelOpenError, ConnectionLostError, ProtocolError, RequestError, UsageError } from '../../lib/errors.ts'
import { acceptAll, keepAll, RecordingSink } from '../support/channels.ts'
import { fakePair } from '../support/fake-transport.ts'
import { bytes, noData, openPair, payloadOf } from './helpers.ts'

describe('opening channels', () => {
  it('tells the acceptor what was asked for, and the opener what was answered', async () => {
    const openings: ChannelOpening[] = []
    const pair = fakePair({}, { channelTypes: new Map([['test', keepAll(openings)]]) })
    const sink = new RecordingSink()
    const opened = pair.client.openChannel('test', sink, { write: writer => writer.text('hello') })
    pair.pump()
    expect(openings[0]!.type).toBe('test')
    expect(openings[0]!.payload.text()).toBe('hello')
    expect(sink.events).toEqual([])
    const theirs = openings[0]!.accept(new RecordingSink())
    pair.pump()
    expect(sink.events).toEqual(['opened'])
    const ours = await opened
    expect(ours).toBe(sink.channel)
    expect([ours.remoteId, theirs.remoteId]).toEqual([theirs.localId, ours.localId])
    expect([ours.type, theirs.type]).toEqual(['test', 'test'])
  })

  it('is refused for types that nobody accepts, with the reason of RFC 4254', async () => {
    const pair = fakePair()
    const opened = pair.client.openChannel('x11', new RecordingSink())
    pair.pump()
    await expect(opened).rejects.toMatchObject({ code: 'refused', reason: 3 })
    expect(pair.client.channels.size).toBe(0)
  })

  it('takes what an acceptor says, without control characters', async () => {
    const openings: ChannelOpening[] = []
    const pair = fakePair({}, { channelTypes: new Map([['test', keepAll(openings)]]) })
    const opened = pair.client.openChannel('test', new RecordingSink())
    pair.pump()
    openings[0]!.reject(2, 'no route\x1b[2J')
    pair.pump()
    const error = (await opened.catch(each => each)) as ChannelOpenError
    expect(error).toBeInstanceOf(ChannelOpenError)
    expect([error.reason, error.message]).toEqual([2, 'no route\\033[2J'])
  })

  it('lets an opening be decided once', () => {
    const openings: ChannelOpening[] = []
    const pair = fakePair({}, { channelTypes: new Map([['test', keepAll(openings)]]) })
    void pair.client.openChannel('test', new RecordingSink())
    pair.pump()
    openings[0]!.accept(new RecordingSink())
    expect(() => openings[0]!.accept(new RecordingSink())).toThrow(UsageError)
    expect(() => openings[0]!.reject(1, 'no')).toThrow(UsageError)
  })

  it('bounds open channels and undecided openings together, on the side that accepts', async () => {
    const openings: ChannelOpening[] = []
    const pair = fakePair({}, { channelTypes: new Map([['test', keepAll(openings)]]), maxChannels: 3 })
    const opens = Array.from({ length: 4 }, () =>
      pair.client.openChannel('test', new RecordingSink()).catch((error: ChannelOpenError) => error.reason),
    )
    pair.pump()
    expect(openings.length).toBe(3)
    expect(await opens[3]).toBe(4)
    openings[0]!.reject(2, 'no')
    openings[1]!.accept(new RecordingSink()).close()
    pair.pump()
    void pair.client.openChannel('test', new RecordingSink())
    void pair.client.openChannel('test', new RecordingSink())
    pair.pump()
    expect(openings.length).toBe(5)
  })

  it('bounds them on the side that opens', async () => {
    const pair = fakePair({ maxChannels: 2 })
    const opens = Array.from({ length: 3 }, () =>
      pair.client.openChannel('test', new RecordingSink()).catch((error: ChannelOpenError) => error.reason),
    )
    expect(await opens[2]).toBe(4)
    pair.pump()
    expect(await Promise.all(opens)).toEqual([3, 3, 4])
  })

  it('frees what was refused and closed: ids stay small over thousands of channels', () => {
    const sinks: RecordingSink[] = []
    const pair = fakePair({ maxChannels: 2 }, { channelTypes: new Map([['test', acceptAll(sinks)]]), maxChannels: 2 })
    for (let round = 0; round < 2000; round++) {
      const sink = new RecordingSink()
      pair.client.openChannel(round % 2 ? 'test' : 'unknown', sink).catch(() => {})
      pair.pump()
      expect(sink.channel === undefined).toBe(round % 2 === 0)
      sink.channel?.write(bytes(10))
      if (round % 4 === 1) sink.channel?.close()
      else sinks.at(-1)?.channel?.close()
      pair.pump()
    }
    expect(sinks.length).toBe(1000)
    expect(Math.max(...sinks.map(sink => sink.channel!.localId))).toBeLessThan(4)
    expect(pair.clientTransport.failure ?? pair.serverTransport.failure).toBeUndefined()
  })

  it('keeps peer channels apart that carry the same number', () => {
    const sinks: RecordingSink[] = []
    const pair = fakePair({}, { channelTypes: new Map([['test', acceptAll(sinks)]]) })
    const open = payloadOf(ChannelOpen, {
      type: 'test',
      senderChannel: 7,
      initialWindow: 100,
      maximumPacket: 100,
      payload: noData,
    })
    pair.serverTransport.deliver(open)
    pair.serverTransport.deliver(open)
    pair.serverTransport.deliver(payloadOf(ChannelData, { recipientChannel: 1, data: Buffer.from('second') }))
    expect(sinks.map(sink => sink.received.toString())).toEqual(['', 'second'])
  })
})

describe('messages for channels that are not open', () => {
  const cases: [string, Buffer][] = [
    ['data', payloadOf(ChannelData, { recipientChannel: 5, data: bytes(3) })],
    ['extended data', payloadOf(ChannelExtendedData, { recipientChannel: 5, dataType: 1, data: bytes(3) })],
    ['EOF', payloadOf(ChannelEof, { recipientChannel: 5 })],
    ['CLOSE', payloadOf(ChannelClose, { recipientChannel: 5 })],
    [
      'a request',
      payloadOf(ChannelRequest, { recipientChannel: 5, request: 'exit-status', wantReply: true, payload: noData }),
    ],
    ['success', payloadOf(ChannelSuccess, { recipientChannel: 5 })],
    ['failure', payloadOf(ChannelFailure, { recipientChannel: 5 })],
    [
      'a confirmation',
      payloadOf(ChannelOpenConfirmation, {
        recipientChannel: 5,
        senderChannel: 1,
        initialWindow: 1,
        maximumPacket: 1,
        payload: noData,
      }),
    ],
    ['a refusal', payloadOf(ChannelOpenFailure, { recipientChannel: 5, reason: 1, description: '', language: '' })],
  ]
  for (const [name, message] of cases) {
    it(`${name}: ends the connection`, () => {
      const pair = openPair()
      pair.serverTransport.deliver(message)
      expect(pair.serverTransport.failure).toBeInstanceOf(ProtocolError)
      expect(pair.serverTransport.failure).toMatchObject({ code: 'unexpected-message' })
      expect(pair.theirSink.error).toBe(pair.serverTransport.failure)
    })
    it(`${name}: is no better for a channel that both sides closed, or that is still being opened`, () => {
      const closed = openPair()
      closed.ours.close()
      closed.pump()
      const forZero = Buffer.from(message)
      forZero.writeUInt32BE(0, 1)
      closed.serverTransport.deliver(forZero)
      expect(closed.serverTransport.failure).toMatchObject({ code: 'unexpected-message' })
      if (name === 'a confirmation' || name === 'a refusal') return
      const pair = fakePair()
      pair.client.openChannel('test', new RecordingSink()).catch(() => {})
      pair.clientTransport.deliver(forZero)
      expect(pair.clientTransport.failure).toMatchObject({ code: 'unexpected-message' })
    })
  }

  it('lets a late WINDOW_ADJUST pass', () => {
    const pair = openPair()
    pair.serverTransport.deliver(payloadOf(ChannelWindowAdjust, { recipientChannel: 5, bytes: 1 }))
    expect(pair.serverTransport.failure).toBeUndefined()
  })

  it('takes a second confirmation for no confirmation', () => {
    const pair = openPair()
    const confirmation = { recipientChannel: 0, senderChannel: 9, initialWindow: 1, maximumPacket: 1, payload: noData }
    pair.clientTransport.deliver(payloadOf(ChannelOpenConfirmation, confirmation))
    expect(pair.clientTransport.failure).toMatchObject({ code: 'unexpected-message' })
    expect(pair.ours.remoteId).toBe(0)
  })

  it('answers UNIMPLEMENTED to numbers of the layer that mean nothing', () => {
    const pair = openPair()
    for (const number of [83, 89, 101, 127]) pair.serverTransport.deliver(Buffer.from([number]))
    expect(pair.serverTransport.unimplementedCount).toBe(4)
    expect(pair.serverTransport.failure).toBeUndefined()
  })
})

describe('global requests', () => {
  it('answers in order however late, and with what the answer carries', async () => {
    const replies: Parameters<GlobalRequestHandler>[1][] = []
    const pair = fakePair({}, { globalRequests: new Map([['late', (_, reply) => replies.push(reply)]]) })
    const late = pair.client.globalRequest('late').then(answer => answer.uint32())
    const unknown = pair.client.globalRequest('unknown').catch((error: RequestError) => error.code)
    const later = pair.client.globalRequest('late').then(
      () => 'yes',
      (error: RequestError) => error.code,
    )
    pair.pump()
    replies[1]!(false)
    expect(pair.pump()).toBe(0)
    replies[0]!(true, writer => writer.uint32(4711))
    pair.pump()
    expect(await Promise.all([late, unknown, later])).toEqual([4711, 'refused', 'refused'])
  })

  it('sends no answer when none is wanted', () => {
    const pair = fakePair({}, { globalRequests: new Map([['ping', (_, reply) => reply(true)]]) })
    pair.client.globalNotify('ping')
    pair.client.globalNotify('unknown')
    expect(pair.pump()).toBe(2)
  })

  it('takes no answer that it did not ask for', () => {
    for (const message of [payloadOf(RequestSuccess, { payload: noData }), payloadOf(RequestFailure, {})]) {
      const pair = fakePair()
      pair.clientTransport.deliver(message)
      expect(pair.clientTransport.failure).toMatchObject({ code: 'unexpected-message' })
    }
  })

  it('bounds the requests that wait for an answer', () => {
    const pair = fakePair({}, { globalRequests: new Map([['never', () => {}]]) })
    const request = payloadOf(GlobalRequest, { request: 'never', wantReply: true, payload: noData })
    for (let count = 0; count < 1024; count++) pair.serverTransport.deliver(request)
    expect(pair.serverTransport.failure).toBeUndefined()
    pair.serverTransport.deliver(request)
    expect(pair.serverTransport.failure).toMatchObject({ code: 'limit-exceeded' })
  })

  it('ends the connection when a handler finds the request malformed', () => {
    const pair = fakePair({}, { globalRequests: new Map([['number', payload => void payload.uint32()]]) })
    pair.client.globalNotify('number')
    pair.pump()
    expect(pair.serverTransport.failure).toMatchObject({ code: 'malformed-message' })
  })

  it('does not hide the bugs of a handler', () => {
    const broken: GlobalRequestHandler = () => {
      throw new TypeError('a bug')
    }
    const pair = fakePair({}, { globalRequests: new Map([['bug', broken]]) })
    pair.client.globalNotify('bug')
    expect(() => pair.pump()).toThrow(TypeError)
  })
})

describe('the end of the connection', () => {
  it('tells every channel, rejects every promise, and leaves nothing behind', async () => {
    const openings: ChannelOpening[] = []
    const sinks: RecordingSink[] = []
    const channelTypes = new Map([
      ['test', acceptAll(sinks)],
      ['kept', keepAll(openings)],
    ])
    const pair = fakePair({}, { channelTypes })
    const ours = [new RecordingSink(), new RecordingSink(), new RecordingSink()]
    for (const sink of ours) void pair.client.openChannel('test', sink)
    const pendingOpen = pair.client.openChannel('kept', new RecordingSink())
    pair.pump()
    ours[0]!.channel!.close()
    const pendingGlobal = pair.client.globalRequest('never')
    const pendingRequest = ours[1]!.channel!.request('never')
    const error = new ConnectionLostError('reset', 'the cable was cut')
    pair.clientTransport.end(error)
    pair.serverTransport.end(error)

    for (const sink of ours) expect([sink.events, sink.error]).toEqual([['opened', 'closed'], error])
    await expect(pendingOpen).rejects.toMatchObject({ code: 'closed', reason: 0 })
    await expect(pendingGlobal).rejects.toMatchObject({ code: 'closed' })
    await expect(pendingRequest).rejects.toMatchObject({ code: 'closed' })
    expect(pair.client.channels.size + pair.server.channels.size).toBe(0)
    await expect(pair.client.openChannel('test', new RecordingSink())).rejects.toMatchObject({ code: 'closed' })
    await expect(pair.client.globalRequest('late')).rejects.toThrow(RequestError)

    const lateSink = new RecordingSink()
    const late = openings[0]!.accept(lateSink)
    expect(late.write(bytes(5))).toBe(true)
    await Promise.resolve()
    expect(lateSink.events).toEqual(['closed'])
    expect([late.local, late.remote]).toEqual(['closed', 'closed'])
    pair.server.receive(ChannelEof.number, payloadOf(ChannelEof, { recipientChannel: 0 }))
    pair.client.writable()
    pair.client.globalNotify('late')
  })

  it('may come from within a sink', () => {
    const pair = openPair()
    const bystander = new RecordingSink()
    void pair.client.openChannel('test', bystander)
    pair.pump()
    pair.theirs.sink = {
      data() {
        pair.serverTransport.end()
      },
    }
    pair.ours.write(bytes(10))
    pair.ours.write(bytes(10))
    pair.pump()
    expect(pair.server.channels.size).toBe(0)
  })
})

describe('many channels', () => {
  it('moves data on 50 channels at once, both ways, through small windows', () => {
    const sinks: RecordingSink[] = []
    const options = { window: 3000, maximumPacket: 700 }
    const pair = fakePair(options, { ...options, channelTypes: new Map([['test', acceptAll(sinks)]]) })
    const ours = Array.from({ length: 50 }, () => new RecordingSink())
    for (const sink of ours) void pair.client.openChannel('test', sink)
    pair.pump()
    ours.forEach((sink, index) => {
      sink.channel!.write(bytes(20_000 + index, index))
      sink.channel!.eof()
    })
    sinks.forEach((sink, index) => {
      sink.channel!.write(bytes(10_000 + index, index + 100))
      sink.channel!.close()
    })
    pair.pump()
    // Their CLOSE cuts ours short only once all of theirs is there.
    ours.forEach((sink, index) => {
      expect(sink.received.equals(bytes(10_000 + index, index + 100))).toBe(true)
      expect(sink.events.at(-1)).toBe('closed')
    })
    expect(pair.client.channels.size + pair.server.channels.size).toBe(0)
  })

  it('serves bulk channels in turn, and interactive ones before them without starving anybody', () => {
    const sinks: RecordingSink[] = []
    const pair = fakePair(
      { maximumPacket: 100 },
      { maximumPacket: 100, channelTypes: new Map([['test', acceptAll(sinks)]]) },
    )
    const ours = Array.from({ length: 3 }, () => new RecordingSink())
    for (const sink of ours) void pair.client.openChannel('test', sink)
    pair.pump()
    ours[2]!.channel!.interactive = true
    pair.clientTransport.writable = false
    for (const sink of ours) sink.channel!.write(bytes(1000))
    pair.clientTransport.sent = []
    pair.clientTransport.writable = true
    const order = pair.clientTransport.sent.map(payload => payload.readUInt32BE(1)).join('')
    // Four interactive packets, one bulk packet, and so on; then the bulk channels in turn.
    expect(order).toBe(`2222${'0'}2222${'1'}22${'01'.repeat(9)}`)
  })
})
