import { expect, test, vi } from 'vitest'
import { ConnectionLostError, HostKeyError, ProtocolError } from '../../lib/errors.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { Reconnector } from '../../lib/sftp/transfer/reconnect.ts'
import { isFinalFailure } from '../../src/connect/retrying.ts'

const lost = new ConnectionLostError('closed', 'gone')
const refused = (): Promise<never> => Promise.reject(new ConnectionLostError('reset', 'refused'))

test('pauses double up to 30 seconds, and after so many attempts in a row it is lost', async () => {
  vi.useFakeTimers()
  try {
    const asked: [number, number, string][] = []
    const reconnector = new Reconnector(
      { attempts: 8, reconnect: refused },
      { retrying: (attempt, milliseconds, { message }) => void asked.push([attempt, milliseconds, message]) },
    )
    const again = async (): Promise<unknown> => {
      const outcome = reconnector.again(lost)
      await vi.advanceTimersByTimeAsync(300_000)
      return outcome
    }
    expect(await again()).toBe('lost')
    expect(asked.map(([, milliseconds]) => milliseconds)).toEqual([
      1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ])
    expect(asked.map(([attempt]) => attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(asked.map(([, , message]) => message)).toEqual(['gone', ...Array<string>(7).fill('refused')])
    expect(await again()).toBe('lost')
    expect(asked).toHaveLength(8)
    // Something got through: counted anew.
    reconnector.moved()
    expect(await again()).toBe('lost')
    expect(asked).toHaveLength(16)
  } finally {
    vi.useRealTimers()
  }
})

test('the first pause is a second', async () => {
  const stop = new AbortController()
  let pause = 0
  const reconnector = new Reconnector(
    { reconnect: refused },
    {
      signal: stop.signal,
      retrying(_attempt, milliseconds) {
        pause = milliseconds
        stop.abort()
      },
    },
  )
  const begun = Date.now()
  expect(await reconnector.again(lost)).toBe('aborted')
  expect(pause).toBe(1000)
  expect(Date.now() - begun).toBeLessThan(900)
})

test('what another attempt does not mend is not tried again', async () => {
  let attempts = 0
  const changed = new HostKeyError('changed', 'the host key changed')
  const reconnect = (): Promise<never> => {
    attempts++
    return Promise.reject(new SftpError('connection-lost', { cause: changed }))
  }
  const retry = { attempts: 9, backoff: () => 0, isFinal: isFinalFailure, reconnect }
  expect(await new Reconnector(retry).again(lost)).toBe('lost')
  expect(attempts).toBe(1)
  expect(await new Reconnector(retry).again(new ProtocolError('malformed-message', 'nonsense'))).toBe('lost')
  expect(attempts).toBe(1)
})

test('an abort does not wait for a connection that hangs', async () => {
  const stop = new AbortController()
  const retry = { backoff: () => 0, reconnect: () => new Promise<never>(() => {}) }
  const again = new Reconnector(retry, { signal: stop.signal }).again(lost)
  setTimeout(() => stop.abort(), 20)
  expect(await again).toBe('aborted')
})
