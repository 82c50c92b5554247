import { describe, expect, it } from 'vitest'
import { Growth, maximumWindow, ReceiveWindow, SendWindow } from '../../lib/connection/window.ts'
import { ProtocolError, UsageError } from '../../lib/errors.ts'

const mib = 1024 * 1024

describe('the receive window', () => {
  it('refills after three maximum packets', () => {
    const window = new ReceiveWindow(2 * mib, 32768, new Growth())
    window.receive(4 * 32768)
    expect(window.take(3 * 32768 - 1)).toBe(0)
    expect(window.take(1)).toBe(3 * 32768)
    expect(window.credit).toBe(2 * mib - 32768)
  })

  it('refills after half of a small window', () => {
    const window = new ReceiveWindow(1000, 32768, new Growth())
    window.receive(1000)
    expect(window.credit).toBe(0)
    expect(window.take(499)).toBe(0)
    expect(window.take(1)).toBe(500)
  })

  it('refuses one byte too many, also when some window is left', () => {
    const window = new ReceiveWindow(10, 32768, new Growth())
    window.receive(4)
    expect(() => window.receive(7)).toThrow(ProtocolError)
    window.receive(6)
    expect(() => window.receive(1)).toThrow(ProtocolError)
  })

  it('does not let a reader take what was not delivered', () => {
    const window = new ReceiveWindow(10, 32768, new Growth())
    window.receive(4)
    expect(() => window.take(5)).toThrow(UsageError)
    expect(() => window.take(-1)).toThrow(UsageError)
    expect(() => window.take(Number.NaN)).toThrow(UsageError)
  })

  /** Passes `total` bytes through, a packet at a time, at so many bytes per millisecond. Returns what was granted. */
  function pass(window: ReceiveWindow, clock: { time: number }, total: number, rate: number): number {
    let granted = 0
    for (let sent = 0; sent < total; sent += 32768) {
      clock.time += 32768 / rate
      window.receive(32768)
      granted += window.take(32768)
    }
    return granted
  }

  /** Growth on a path with this round trip. */
  function path(milliseconds: number): { growth: Growth; clock: { time: number } } {
    const clock = { time: 1000 }
    const growth = new Growth(() => clock.time)
    growth.sample(clock.time - milliseconds)
    return { growth, clock }
  }

  it('grows to its maximum while the round trip limits and the reader keeps up, and keeps its books', () => {
    const { growth, clock } = path(100)
    const window = new ReceiveWindow(2 * mib, 32768, growth)
    const before = growth.left
    const granted = 2 * mib + pass(window, clock, 128 * mib, (16 * mib) / 100)
    expect(window.size).toBe(maximumWindow)
    expect(growth.left).toBe(before - 14 * mib)
    expect(granted - 128 * mib).toBe(window.credit)
    window.release()
    expect(growth.left).toBe(before)
  })

  it('grows no more than the round trip asks for', () => {
    const { growth, clock } = path(20)
    const window = new ReceiveWindow(2 * mib, 32768, growth)
    // 4 MiB are on their way at any time.
    pass(window, clock, 128 * mib, (4 * mib) / 20)
    expect(window.size).toBeGreaterThanOrEqual(4 * mib)
    expect(window.size).toBeLessThanOrEqual(8 * mib)
  })

  it('does not grow on a short path, on an unknown one, or when something else limits', () => {
    for (const [roundTrip, rate] of [
      [1, mib],
      [0, mib],
      [50, mib / 100],
    ] as const) {
      const { growth, clock } = path(roundTrip)
      const window = new ReceiveWindow(2 * mib, 32768, growth)
      pass(window, clock, 64 * mib, rate)
      expect(window.size).toBe(2 * mib)
    }
  })

  it('remembers the shortest round trip', () => {
    const { growth, clock } = path(30)
    growth.sample(clock.time - 10)
    growth.sample(clock.time - 500)
    expect(growth.roundTrip).toBe(10)
  })

  it('does not grow when the reader is often more than half a window behind', () => {
    const window = new ReceiveWindow(mib, 32768, path(100).growth)
    for (let round = 0; round < 20; round++) {
      window.receive(window.credit)
      window.take(window.unread)
    }
    expect(window.size).toBe(mib)
  })

  it('grows no further than the connection allows', () => {
    const { growth, clock } = path(100)
    growth.left = 100
    const window = new ReceiveWindow(mib, 32768, growth)
    pass(window, clock, 64 * mib, mib)
    expect(window.size).toBe(mib + 100)
  })
})

describe('the send window', () => {
  it('takes credit up to 2^32-1 and not beyond', () => {
    const window = new SendWindow(0xfffffff0)
    window.adjust(15)
    expect(window.credit).toBe(0xffffffff)
    expect(() => window.adjust(1)).toThrow(ProtocolError)
    expect(() => new SendWindow(1).adjust(0xffffffff)).toThrow(ProtocolError)
  })
})
