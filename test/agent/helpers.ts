import { AgentClient } from '../../lib/agent/client.ts'
import { type AgentClock, type Confirmation, Keyring, type KeyringOptions } from '../../lib/agent/keyring.ts'
import { serveAgent } from '../../lib/agent/server.ts'
import type { ByteStream } from '../../lib/wire/byte-stream.ts'

/** A clock that moves when told to. */
export class FakeClock implements AgentClock {
  time = 1000
  wall = 1_700_000_000n
  #timers: { readonly at: number; readonly action: () => void }[] = []

  now(): number {
    return this.time
  }

  wallTime(): bigint {
    return this.wall
  }

  after(seconds: number, action: () => void): () => void {
    const timer = { at: this.time + seconds, action }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }

  /** Seconds until each timer. */
  get waiting(): number[] {
    return this.#timers.map(({ at }) => at - this.time)
  }

  advance(seconds: number): void {
    this.time += seconds
    const due = this.#timers.filter(({ at }) => at <= this.time)
    this.#timers = this.#timers.filter(({ at }) => at > this.time)
    for (const { action } of due) action()
  }
}

export interface TestAgent {
  readonly keyring: Keyring
  readonly clock: FakeClock
  readonly questions: Confirmation[]
  /** What the user says to the next questions. */
  answer: boolean
  readonly lines: string[]
  /** One more connection. */
  connect(): AgentClient & { readonly raw: RawEnd }
}

/** The client's end of a connection, for bytes that no client would send. */
export interface RawEnd {
  send(bytes: Buffer): void
  readonly received: Buffer[]
  readonly isClosed: boolean
}

export function startAgent(options: Partial<KeyringOptions> = {}): TestAgent {
  const clock = new FakeClock()
  const lines: string[] = []
  const questions: Confirmation[] = []
  const log = { error: (line: string) => lines.push(line), info: (line: string) => lines.push(line) }
  const agent: TestAgent = {
    answer: true,
    clock,
    questions,
    lines,
    keyring: new Keyring({
      clock,
      log,
      confirm: async question => {
        questions.push(question)
        return agent.answer
      },
      ...options,
    }),
    connect() {
      const state = { isClosed: false }
      const received: Buffer[] = []
      const stream: ByteStream = {
        sink: { data() {} },
        write(data) {
          received.push(data)
          client.receive(Buffer.from(data))
          return true
        },
        consumed() {},
        eof() {},
        close() {
          state.isClosed = true
          client.end()
        },
        abort() {
          state.isClosed = true
          client.end()
        },
      }
      serveAgent(stream, { keyring: agent.keyring, log })
      const send = (bytes: Buffer): void => stream.sink.data(Buffer.from(bytes))
      const client = new AgentClient(send)
      const raw: RawEnd = {
        send,
        received,
        get isClosed() {
          return state.isClosed
        },
      }
      return Object.assign(client, { raw })
    },
  }
  return agent
}
