import type { Duplex } from 'node:stream'

/** What a SOCKS client asks for (SOCKS 4, 4a, and RFC 1928), and how it is answered. */
export interface SocksRequest {
  readonly host: string
  readonly port: number
  /** The answer that the connection is there, and the one that it cannot be had. */
  readonly granted: Buffer
  readonly refused: Buffer
}

/** Bytes that a request may have: two names of 255 bytes and what is around them. */
const requestLimit = 1024
/** Longest time for a request, in milliseconds. */
const patience = 30_000

/** A step of reading: more bytes are needed, an answer goes out before the rest, or there is a request. */
type Step =
  | { readonly kind: 'more' }
  | { readonly kind: 'answer'; readonly used: number; readonly bytes: Buffer }
  | { readonly kind: 'request'; readonly used: number; readonly request: SocksRequest }

class SocksError extends Error {}

const more: Step = { kind: 'more' }
const connectCommand = 1

const answer4 = (code: number): Buffer => Buffer.from([0, code, 0, 0, 0, 0, 0, 0])
const answer5 = (code: number): Buffer => Buffer.from([5, code, 0, 1, 0, 0, 0, 0, 0, 0])

/** Text up to a zero byte. */
function zeroEnded(bytes: Buffer, start: number): { readonly text: string; readonly end: number } | undefined {
  const end = bytes.indexOf(0, start)
  return end < 0 ? undefined : { text: bytes.toString('latin1', start, end), end: end + 1 }
}

function readVersion4(bytes: Buffer): Step {
  if (bytes.length < 9) return more
  const user = zeroEnded(bytes, 8)
  if (!user) return more
  if (bytes[1] !== connectCommand) throw new SocksError('only connections can be asked for')
  const request = (host: string, used: number): Step => ({
    kind: 'request',
    used,
    request: { host, port: bytes.readUInt16BE(2), granted: answer4(90), refused: answer4(91) },
  })
  // 0.0.0.x stands for a name that follows (SOCKS 4a).
  const isNamed = bytes[4] === 0 && bytes[5] === 0 && bytes[6] === 0 && bytes[7] !== 0
  if (!isNamed) return request([...bytes.subarray(4, 8)].join('.'), user.end)
  const name = zeroEnded(bytes, user.end)
  return name ? request(name.text, name.end) : more
}

function readVersion5(bytes: Buffer, state: 'greeting' | 'request'): Step {
  if (bytes.length < 2) return more
  if (state === 'greeting') {
    const used = 2 + bytes[1]!
    if (bytes.length < used) return more
    if (!bytes.subarray(2, used).includes(0)) throw new SocksError('the client wants to authenticate')
    return { kind: 'answer', used, bytes: Buffer.from([5, 0]) }
  }
  if (bytes.length < 5) return more
  const type = bytes[3]
  const length = type === 1 ? 4 : type === 4 ? 16 : type === 3 ? 1 + bytes[4]! : undefined
  if (length === undefined || bytes[1] !== connectCommand) throw new SocksError('a request of an unknown kind')
  const end = 4 + length
  if (bytes.length < end + 2) return more
  const address = bytes.subarray(4, end)
  const host =
    type === 3
      ? address.toString('latin1', 1)
      : type === 1
        ? address.join('.')
        : (address.toString('hex').match(/.{4}/g) ?? []).join(':')
  return {
    kind: 'request',
    used: end + 2,
    request: { host, port: bytes.readUInt16BE(end), granted: answer5(0), refused: answer5(5) },
  }
}

/**
 * Reads one request of a SOCKS client, up to its last byte: what follows stays in the stream, which is paused then.
 * @throws Error when it makes no sense, or takes too long
 */
export function readSocksRequest(stream: Duplex): Promise<SocksRequest> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    let state: 'greeting' | 'request' = 'greeting'
    const finish = (): void => {
      clearTimeout(timer)
      stream.off('data', onData).off('close', onEnd).off('end', onEnd)
      stream.pause()
    }
    const fail = (text: string): void => {
      finish()
      reject(new SocksError(text))
    }
    const onEnd = (): void => fail('the client left')
    const timer = setTimeout(() => fail('the client said nothing'), patience)
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk])
      try {
        for (;;) {
          const version = bytes[0]
          if (version !== 4 && version !== 5) throw new SocksError('not a SOCKS client')
          const step = version === 4 ? readVersion4(bytes) : readVersion5(bytes, state)
          if (step.kind === 'more') break
          bytes = bytes.subarray(step.used)
          if (step.kind === 'request') {
            finish()
            if (bytes.length > 0) stream.unshift(bytes)
            resolve(step.request)
            return
          }
          stream.write(step.bytes)
          state = 'request'
          if (bytes.length === 0) break
        }
        if (bytes.length > requestLimit) throw new SocksError('the request is too long')
      } catch (error) {
        fail(error instanceof SocksError ? error.message : String(error))
      }
    }
    stream.on('data', onData).on('close', onEnd).on('end', onEnd)
    stream.resume()
  })
}
