import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, isIP } from 'node:net'
import {
  type DnsQuestion,
  type DnsResponse,
  decodeResponse,
  encodeQuery,
  type QueryOptions,
  responseCode,
  sameName,
} from './message.ts'
import type { NameServer, ResolverConfig } from './resolv-conf.ts'

/** `failure`: no server gave an answer that can be used; `no-name`: the name does not exist. */
export type DnsOutcome =
  | { readonly kind: 'answer'; readonly response: DnsResponse; readonly authentic: boolean }
  | { readonly kind: 'no-name' | 'failure' }

const failure: DnsOutcome = { kind: 'failure' }

/** Replies that are no answer to the question, and are passed over, before a try is given up. */
const maxStrangers = 32

/**
 * Asks for one complete name: each server in turn, over UDP and, where an answer is cut, TCP. Never rejects. Whether the
 * answer is `authentic` follows the server's AD bit only where the configuration trusts the way to it.
 */
export async function askDns(question: DnsQuestion, config: ResolverConfig): Promise<DnsOutcome> {
  const { servers, attempts } = config
  const first = config.rotate ? Math.floor(Math.random() * servers.length) : 0
  for (let attempt = 0; attempt < attempts; attempt++) {
    for (let index = 0; index < servers.length; index++) {
      const server = servers[(first + index) % servers.length]!
      const outcome = await askServer(question, server, config, waitOf(config, attempt))
      if (outcome !== 'next') return outcome
    }
  }
  return failure
}

/** Milliseconds: longer in each round, shared among the servers. */
function waitOf({ timeout, servers }: ResolverConfig, attempt: number): number {
  const seconds = attempt === 0 ? timeout : Math.max(1, Math.floor((timeout << attempt) / servers.length))
  return seconds * 1000
}

async function askServer(
  question: DnsQuestion,
  server: NameServer,
  config: ResolverConfig,
  wait: number,
): Promise<DnsOutcome | 'next'> {
  const { trustAuthentic } = config
  for (const edns of [true, false]) {
    const query = newQuery(question, { edns, trustAuthentic })
    if (!query) return failure
    let response = config.alwaysTcp ? undefined : await askUdp(query, server, wait)
    if (config.alwaysTcp || response?.truncated) response = await askTcp(query, server, wait)
    if (!response) return 'next'
    // A server that does not know EDNS.
    if (response.code === responseCode.formatError && edns) continue
    if (response.code === responseCode.noSuchName) return { kind: 'no-name' }
    if (response.code !== responseCode.noError) return 'next'
    return { kind: 'answer', response, authentic: trustAuthentic && response.authentic }
  }
  return 'next'
}

interface Query {
  readonly bytes: Buffer
  /** The answer, if a message is one. */
  answerIn(message: Buffer): DnsResponse | undefined
}

/** Its number is drawn by chance, like the port that it leaves from, so that nobody off the path can answer it. */
function newQuery(question: DnsQuestion, options: QueryOptions): Query | undefined {
  const id = randomBytes(2).readUInt16BE(0)
  const bytes = encodeQuery(id, question, options)
  if (!bytes) return undefined
  return {
    bytes,
    answerIn(message) {
      const response = decodeResponse(message)
      if (!response || response.id !== id) return undefined
      const { name, type } = response.question
      return type === question.type && sameName(name, question.name) ? response : undefined
    },
  }
}

function askUdp(query: Query, { address, port }: NameServer, wait: number): Promise<DnsResponse | undefined> {
  return new Promise(resolve => {
    const socket = createSocket(isIP(address.replace(/%.*/s, '')) === 6 ? 'udp6' : 'udp4')
    const timer = setTimeout(() => end(undefined), wait)
    let strangers = 0
    let ended = false
    const end = (response: DnsResponse | undefined): void => {
      if (ended) return
      ended = true
      clearTimeout(timer)
      socket.close()
      resolve(response)
    }
    socket.on('error', () => end(undefined))
    socket.on('message', message => {
      const response = query.answerIn(message)
      if (response || ++strangers > maxStrangers) end(response)
    })
    // A connected socket hears of that server alone, and of a closed port at once.
    socket.connect(port, address, () => {
      if (!ended) socket.send(query.bytes, error => error && end(undefined))
    })
  })
}

function askTcp(query: Query, { address, port }: NameServer, wait: number): Promise<DnsResponse | undefined> {
  return new Promise(resolve => {
    const socket = connect({ host: address, port })
    const timer = setTimeout(() => end(undefined), wait)
    let received = Buffer.alloc(0)
    const end = (response: DnsResponse | undefined): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(response)
    }
    socket.on('error', () => end(undefined))
    socket.on('close', () => end(undefined))
    socket.on('data', data => {
      // A message's length takes two bytes, so no more than that is ever kept.
      received = Buffer.concat([received, data])
      if (received.length < 2) return
      const length = received.readUInt16BE(0)
      if (received.length >= 2 + length) {
        const response = query.answerIn(received.subarray(2, 2 + length))
        end(response?.truncated ? undefined : response)
      }
    })
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.bytes.length, 0)
    socket.write(Buffer.concat([length, query.bytes]))
  })
}
