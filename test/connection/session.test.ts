import { describe, expect, it } from 'vitest'
import { type SessionSink, startSession } from '../../lib/connection/client-session.ts'
import { startProcess } from '../../lib/connection/process.ts'
import { acceptSessions, type ServerSession, type SessionHandler } from '../../lib/connection/server-session.ts'
import type { SessionProgram } from '../../lib/connection/types/session.ts'
import { decodeTerminalModes, encodeTerminalModes } from '../../lib/connection/types/terminal-modes.ts'
import { ConnectionLostError, RequestError } from '../../lib/errors.ts'
import { RecordingSink } from '../support/channels.ts'
import { type FakePair, fakePair } from '../support/fake-transport.ts'
import { bytes } from './helpers.ts'

interface Started {
  readonly session: ServerSession
  readonly program: SessionProgram
  reply(started: boolean): void
}

function sessionPair(handler: Partial<SessionHandler> = {}): FakePair & { started: Started[] } {
  const started: Started[] = []
  const accept = acceptSessions({
    pty: () => true,
    env: () => true,
    start: (session, program, reply) => void started.push({ session, program, reply }),
    ...handler,
  })
  return { ...fakePair({}, { channelTypes: new Map([['session', accept]]) }), started }
}

/** Starts a session whose program the server starts at once. */
async function running(pair: ReturnType<typeof sessionPair>, sink: SessionSink = new RecordingSink()) {
  const opened = startSession(pair.client, { command: 'test' }, sink)
  await pair.settle()
  const { session, reply } = pair.started.at(-1)!
  reply(true)
  await pair.settle()
  return { ours: await opened, theirs: session }
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

describe('starting a session', () => {
  it('sends all requests at once, in an order that makes sense, and waits for the program alone', async () => {
    const pair = sessionPair({ x11: () => true, agentForwarding: () => true })
    const modes = new Map([
      [53, 1],
      [128, 38400],
    ])
    const opened = startSession(
      pair.client,
      {
        command: 'ls -l',
        pty: { term: 'xterm', columns: 132, rows: 50, width: 1056, height: 800, modes },
        env: [
          ['LANG', 'C.UTF-8'],
          ['EMPTY', ''],
        ],
        agentForwarding: true,
        x11: { singleConnection: false, protocol: 'MIT-MAGIC-COOKIE-1', cookie: '00ff', screen: 1 },
      },
      new RecordingSink(),
    )
    pair.pump()
    await Promise.resolve()
    await Promise.resolve()
    // All that follows the confirmation is on its way before any answer.
    expect(
      pair.clientTransport.outbox.map(payload => payload.toString('latin1', 9, 9 + payload.readUInt32BE(5))),
    ).toEqual(['x11-req', 'auth-agent-req@openssh.com', 'pty-req', 'env', 'env', 'exec'])
    pair.pump()
    const { session, program, reply } = pair.started[0]!
    expect(program).toEqual({ kind: 'exec', command: 'ls -l' })
    expect(session.pty).toEqual({ term: 'xterm', columns: 132, rows: 50, width: 1056, height: 800, modes })
    expect([...session.environment]).toEqual([
      ['LANG', 'C.UTF-8'],
      ['EMPTY', ''],
    ])
    expect(session.agentForwarding).toBe(true)
    expect(session.x11).toEqual({ singleConnection: false, protocol: 'MIT-MAGIC-COOKIE-1', cookie: '00ff', screen: 1 })
    reply(true)
    pair.pump()
    const ours = await opened
    expect(ours.refused.size).toBe(0)
    expect(ours.channel.interactive).toBe(true)
    expect(session.channel.interactive).toBe(true)
  })

  it('tells shell, exec and subsystem apart', async () => {
    const pair = sessionPair()
    for (const options of [{}, { command: '' }, { subsystem: 'sftp' }]) {
      startSession(pair.client, options, new RecordingSink()).catch(() => {})
    }
    await pair.settle()
    expect(pair.started.map(each => each.program)).toEqual([
      { kind: 'shell' },
      { kind: 'exec', command: '' },
      { kind: 'subsystem', name: 'sftp' },
    ])
  })

  it('says what was refused and goes on without', async () => {
    const pair = sessionPair({ pty: () => false })
    const opened = startSession(pair.client, { pty: { term: 'vt100' }, agentForwarding: true }, new RecordingSink())
    await pair.settle()
    pair.started[0]!.reply(true)
    await pair.settle()
    expect([...(await opened).refused]).toEqual(['pty-req'])
    expect(pair.started[0]!.session.pty).toBeUndefined()
    expect(pair.started[0]!.session.agentForwarding).toBe(false)
  })

  it('closes the channel when the program is refused', async () => {
    const pair = sessionPair()
    const opened = startSession(pair.client, { subsystem: 'nonsense' }, new RecordingSink())
    await pair.settle()
    pair.started[0]!.reply(false)
    const failed = expect(opened).rejects.toThrow(RequestError)
    await pair.settle()
    await failed
    expect(pair.client.channels.size + pair.server.channels.size).toBe(0)
  })

  it('asks under the new name for the agent where the server announced it', async () => {
    const pair = sessionPair({ agentForwarding: () => true })
    pair.clientTransport.peerExtensions.set('agent-forward', Buffer.from('0'))
    pair.clientTransport.sent = []
    startSession(pair.client, { agentForwarding: true }, new RecordingSink()).catch(() => {})
    await pair.settle()
    expect(
      pair.clientTransport.sent.some(payload => payload.includes('agent-req') && !payload.includes('auth-agent-req')),
    ).toBe(true)
    expect(pair.started[0]!.session.agentForwarding).toBe(true)
  })
})

describe('a server session', () => {
  it('runs one program, and nothing can be prepared after it', async () => {
    const pair = sessionPair()
    const { ours, theirs } = await running(pair)
    const late = [
      ours.channel.request('shell'),
      ours.channel.request('exec', writer => writer.text('other')),
      ours.channel.request('subsystem', writer => writer.text('sftp')),
      ours.channel.request('env', writer => writer.text('A').text('B')),
      ours.channel.request('auth-agent-req@openssh.com'),
      ours.channel.request('unknown'),
    ].map(answer => answer.catch((error: RequestError) => error.code))
    await pair.settle()
    expect(await Promise.all(late)).toEqual(Array(6).fill('refused'))
    expect(pair.started.length).toBe(1)
    expect([...theirs.environment]).toEqual([])
  })

  it('does not take a second program while the first is still being started, but does once it failed', async () => {
    const pair = sessionPair()
    const sink = new RecordingSink()
    void pair.client.openChannel('session', sink)
    pair.pump()
    const first = sink
      .channel!.request('subsystem', writer => writer.text('sftp'))
      .catch((error: RequestError) => error.code)
    const second = sink.channel!.request('shell').catch((error: RequestError) => error.code)
    pair.pump()
    pair.started[0]!.reply(false)
    pair.pump()
    expect(await Promise.all([first, second])).toEqual(['refused', 'refused'])
    const third = sink.channel!.request('exec', writer => writer.text('sftp-server'))
    pair.pump()
    pair.started[1]!.reply(true)
    pair.started[0]!.reply(true)
    pair.pump()
    await third
    expect(pair.started.map(each => each.program.kind)).toEqual(['subsystem', 'exec'])
  })

  it('bounds the environment in number and size, and takes no name that is none', async () => {
    const pair = sessionPair()
    const sink = new RecordingSink()
    void pair.client.openChannel('session', sink)
    pair.pump()
    const env = (name: string, value: string): void => {
      sink.channel!.notify('env', writer => writer.text(name).text(value))
    }
    env('', 'x')
    env('A=B', 'x')
    env('__proto__', 'polluted')
    env('BIG', 'x'.repeat(30_000))
    for (let count = 0; count < 5; count++) env(`BIG${count}`, 'x'.repeat(30_000))
    for (let count = 0; count < 300; count++) env(`V${count}`, 'x')
    startProgramOn(sink)
    await pair.settle()
    const { environment } = pair.started[0]!.session
    expect(environment.size).toBe(128)
    expect(environment.get('__proto__')).toBe('polluted')
    expect([...environment.values()].filter(value => value.length === 30_000).length).toBe(4)
    expect(environment.has('')).toBe(false)
    expect(environment.has('A=B')).toBe(false)
  })

  function startProgramOn(sink: RecordingSink): void {
    sink.channel!.request('shell').catch(() => {})
  }

  it('asks the handler about every variable, and grants nothing when it has no opinion', async () => {
    const accept = acceptSessions({
      start: (session, program, reply) => void started.push({ session, program, reply }),
    })
    const started: Started[] = []
    const pair = fakePair({}, { channelTypes: new Map([['session', accept]]) })
    const options = { pty: { term: 'x' }, env: [['A', 'B'] as const], agentForwarding: true }
    startSession(pair.client, options, new RecordingSink()).catch(() => {})
    await pair.settle()
    const { session } = started[0]!
    expect([session.pty, session.environment.size, session.agentForwarding]).toEqual([undefined, 0, false])
  })

  it('holds input back until somebody is there for it, within the window, however small its pieces', async () => {
    const pair = sessionPair()
    const sink = new RecordingSink()
    void pair.client.openChannel('session', sink)
    pair.pump()
    startProgramOn(sink)
    const sent = bytes(5000)
    for (let at = 0; at < 3000; at++) sink.channel!.write(sent.subarray(at, at + 1))
    sink.channel!.write(sent.subarray(3000))
    sink.channel!.eof()
    pair.pump()
    const input = new RecordingSink('by hand')
    pair.started[0]!.session.attach(input)
    pair.started[0]!.reply(true)
    expect(input.received.equals(sent)).toBe(true)
    expect(input.chunks.length).toBeLessThan(10)
    expect(input.events).toEqual(['opened', 'eof'])
    input.consume(5000)
  })

  it('hands window changes, signals and breaks to the program', async () => {
    const pair = sessionPair()
    const events: unknown[] = []
    const opened = startSession(pair.client, { pty: { term: 'x' } }, new RecordingSink())
    await pair.settle()
    const { session, reply } = pair.started[0]!
    session.attach({
      data() {},
      windowChange: size => void events.push(size),
      signal: name => events.push(name) > 0,
      break: milliseconds => events.push(milliseconds) > 0,
    })
    reply(true)
    await pair.settle()
    const ours = await opened
    ours.resize(100, 30)
    ours.signal('TERM')
    const broken = ours.sendBreak(500)
    await pair.settle()
    await broken
    expect(events).toEqual([{ columns: 100, rows: 30, width: 0, height: 0 }, 'TERM', 500])
    expect(session.pty).toMatchObject({ term: 'x', columns: 100, rows: 30 })
  })
})

describe('how a program ended', () => {
  it('with a status, after all output', async () => {
    const pair = sessionPair()
    const sink = new RecordingSink()
    const { ours, theirs } = await running(pair, sink)
    theirs.channel.write(bytes(100_000))
    theirs.exit(3)
    await pair.settle()
    expect(await ours.exit).toEqual({ status: 3 })
    expect(sink.received.length).toBe(100_000)
    expect(sink.events).toEqual(['opened', 'eof', 'closed'])
  })

  it('sends EOF before CLOSE even when output was still queued', async () => {
    const pair = sessionPair()
    const sink = new RecordingSink('by hand')
    const { ours, theirs } = await running(pair, sink)
    theirs.channel.write(bytes(3 * 1024 * 1024))
    theirs.exit(0)
    while (pair.pump() > 0 || sink.unread > 0) sink.consume()
    expect(sink.received.length).toBe(3 * 1024 * 1024)
    expect(sink.events).toEqual(['opened', 'eof', 'closed'])
    expect(await ours.exit).toEqual({ status: 0 })
  })

  it('with a signal, whose words are made safe', async () => {
    const pair = sessionPair()
    const { ours, theirs } = await running(pair)
    theirs.exitSignal('SEGV', true, 'oops\x1b]0;')
    await pair.settle()
    expect(await ours.exit).toEqual({ signal: { name: 'SEGV', coreDumped: true, message: 'oops\\033]0;' } })
  })

  it('without a word, which is no success', async () => {
    const pair = sessionPair()
    const { ours, theirs } = await running(pair)
    theirs.close()
    await pair.settle()
    expect(await ours.exit).toEqual({})
  })

  it('keeps what was said first', async () => {
    const pair = sessionPair()
    const { ours, theirs } = await running(pair)
    theirs.channel.notify('exit-status', writer => writer.uint32(1))
    theirs.exit(0)
    await pair.settle()
    expect(await ours.exit).toEqual({ status: 1 })
  })

  it('is an error when the connection is lost first', async () => {
    const pair = sessionPair()
    const { ours } = await running(pair)
    pair.clientTransport.end(new ConnectionLostError('reset', 'cut'))
    await expect(ours.exit).rejects.toThrow(ConnectionLostError)
  })

  it('is known when the connection is lost just after', async () => {
    const pair = sessionPair()
    const { ours, theirs } = await running(pair)
    theirs.channel.notify('exit-status', writer => writer.uint32(0))
    await pair.settle()
    pair.clientTransport.end(new ConnectionLostError('reset', 'cut'))
    expect(await ours.exit).toEqual({ status: 0 })
  })

  it('tells the server when the client goes away', async () => {
    const closed: unknown[] = []
    const pair = sessionPair({ closed: (_, error) => void closed.push(error) })
    const { theirs } = await running(pair)
    const input = new RecordingSink()
    theirs.attach(input)
    pair.serverTransport.end()
    expect(closed.length).toBe(1)
    expect(closed[0]).toBeInstanceOf(ConnectionLostError)
    expect(input.events).toEqual(['opened', 'closed'])
  })
})

describe('a remote process', () => {
  it('has stdin, stdout and stderr', async () => {
    const pair = sessionPair({
      start(session, _, reply) {
        reply(true)
        const { stdin, stdout, stderr } = session.streams()
        stdin.on('data', (chunk: Buffer) => stdout.write(chunk.toString().toUpperCase()))
        stdin.on('end', () => {
          stderr.write('done')
          stdout.end(() => session.exit(7))
        })
      },
    })
    const starting = startProcess(pair.client, { command: 'tr a-z A-Z' })
    await pair.settle()
    const process = await starting
    process.stdin.end('hello')
    const output = Promise.all([text(process.stdout), text(process.stderr), process.exit])
    await pair.settle()
    expect(await output).toEqual(['HELLO', 'done', { status: 7 }])
  })

  it('breaks the pipe of a program whose reader went away', async () => {
    const pair = sessionPair()
    const { ours, theirs } = await running(pair, { data() {} })
    const { stdout } = theirs.streams()
    const failed = new Promise<Error>(resolve => stdout.on('error', resolve))
    ours.channel.notify('eow@openssh.com')
    await pair.settle()
    expect(await failed).toMatchObject({ code: 'EPIPE' })
    theirs.exit(141)
    await pair.settle()
    expect(await ours.exit).toEqual({ status: 141 })
  })

  it('does not end quietly when the connection is cut', async () => {
    const pair = sessionPair({
      start(session, _, reply) {
        session.streams()
        reply(true)
      },
    })
    const starting = startProcess(pair.client, {})
    await pair.settle()
    const process = await starting
    const output = text(process.stdout)
    const failed = expect(output).rejects.toThrow(ConnectionLostError)
    pair.clientTransport.end(new ConnectionLostError('reset', 'cut'))
    await failed
    await expect(process.exit).rejects.toThrow(ConnectionLostError)
    expect(process.stdin.destroyed).toBe(true)
  })
})

describe('terminal modes', () => {
  it('are encoded as in RFC 4254 §8', () => {
    const encoded = encodeTerminalModes(
      new Map([
        [3, 127],
        [129, 9600],
      ]),
    )
    expect(encoded.toString('hex')).toBe('030000007f810000258000')
    expect([...decodeTerminalModes(encoded)]).toEqual([
      [3, 127],
      [129, 9600],
    ])
  })

  it('leaves out what has no encoding', () => {
    expect(encodeTerminalModes(new Map([[0, 1]]))).toEqual(Buffer.from([0]))
    expect(encodeTerminalModes(new Map([[160, 1]]))).toEqual(Buffer.from([0]))
  })

  it('are read up to the end, to what is cut off and to what is unknown, and never throw', () => {
    const decode = (hex: string) => [...decodeTerminalModes(Buffer.from(hex, 'hex'))]
    expect(decode('')).toEqual([])
    expect(decode('00')).toEqual([])
    expect(decode('030000007f')).toEqual([[3, 127]])
    expect(decode('030000007f0500')).toEqual([[3, 127]])
    expect(decode('0000000001030000007f')).toEqual([])
    expect(decode('030000007fa000000001040000000100')).toEqual([[3, 127]])
    expect(decode('0300000001030000000200')).toEqual([[3, 2]])
    const many = Buffer.alloc(5 * 100_000, 1)
    expect(decodeTerminalModes(many).size).toBe(1)
  })
})
