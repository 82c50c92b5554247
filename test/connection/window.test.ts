import { describe, expect, it } from 'vitest'
import { Growth, maximumWindow, ReceiveWindow, SendWindow } from '../../lib/connection/window.ts'
import { ProtocolError, UsageError } from '../../lib/errors.ts'

const mib = 1024 * 1024

describe('the receive window', () => {
  it('refills after three maximum packets', () => {
    const window = new ReceiveWindow(mib / 2, 32768, new Growth())
    window.receive(4 * 32768)
    expect(window.take(3 * 32768 - 1)).toBe(0)
    expect(window.take(1)).toBe(3 * 32768)
    expect(window.credit).toBe(mib / 2 - 32768)
  })

  it('refills after an eighth of a large window', () => {
    const window = new ReceiveWindow(2 * mib, 32768, new Growth())
    window.receive(9 * 32768)
    expect(window.take(8 * 32768 - 1)).toBe(0)
    expect(window.take(1)).toBe(mib / 4)
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

  interface Path {
    /** Milliseconds. */
    readonly roundTrip: number
    /** Bytes that come in each millisecond at most, a list being taken in turns. */
    readonly rate: number | readonly number[]
    /** What the round trip was thought to be at first, 0 when that is unknown. */
    readonly thought?: number
    readonly left?: number
  }

  /** Carries `total` bytes to a reader that takes them at once, by a sender that sends whatever it may. */
  function carry(size: number, total: number, { roundTrip, rate, thought = roundTrip, left }: Path) {
    const clock = { time: 1000 }
    const growth = new Growth(() => clock.time)
    growth.roundTrip = thought
    if (left !== undefined) growth.left = left
    const before = growth.left
    const window = new ReceiveWindow(size, 32768, growth)
    const rates = typeof rate === 'number' ? [rate] : rate
    const grants = [{ time: clock.time, bytes: size }]
    let granted = size
    let credit = 0
    for (let taken = 0; taken < total; clock.time++) {
      // What is taken now was sent half a round trip ago, for a grant that was made half a round trip earlier.
      while (grants[0] && grants[0].time + roundTrip <= clock.time) credit += grants.shift()!.bytes
      const bytes = Math.min(credit, Math.floor(rates[clock.time % rates.length]!))
      if (bytes === 0) continue
      credit -= bytes
      taken += bytes
      window.receive(bytes)
      const grant = window.take(bytes)
      if (grant > 0) grants.push({ time: clock.time, bytes: grant })
      granted += grant
    }
    return { growth, window, before, granted, elapsed: clock.time - 1000 }
  }

  it('grows to its maximum while the round trip limits and the reader keeps up, and keeps its books', () => {
    const { growth, window, before, granted } = carry(2 * mib, 256 * mib, { roundTrip: 100, rate: mib })
    expect(window.size).toBe(maximumWindow)
    expect(growth.roundTrip).toBe(100)
    expect(growth.left).toBe(before - 14 * mib)
    expect(granted - window.credit).toBeGreaterThanOrEqual(256 * mib)
    window.release()
    expect(growth.left).toBe(before)
  })

  it('grows no more than the round trip asks for', () => {
    // Nearly 4 MiB are on their way at any time.
    const { window } = carry(2 * mib, 128 * mib, { roundTrip: 20, rate: (3.9 * mib) / 20 })
    expect(window.size).toBeGreaterThanOrEqual(4 * mib)
    expect(window.size).toBeLessThanOrEqual(8 * mib)
  })

  it.each([
    { roundTrip: 1, rate: mib },
    { roundTrip: 1, rate: mib, thought: 0 },
    { roundTrip: 50, rate: mib / 100 },
  ])('does not grow on a short path, or where something else limits: %j', path => {
    expect(carry(2 * mib, 64 * mib, path).window.size).toBe(2 * mib)
  })

  it.each([5, 8, 20, 60, 100, 400])('grows once at most where a busy machine first answered after %d ms', thought => {
    // 80 MiB/s, in bursts of three times as much.
    const rate = [240, 0, 0, 0, 160, 0, 80, 160].map(rate => (rate * mib) / 1000)
    const { window, growth } = carry(2 * mib, 512 * mib, { roundTrip: 1, rate, thought })
    expect(window.size).toBeLessThanOrEqual(4 * mib)
    expect(growth.roundTrip).toBeLessThanOrEqual(60)
  })

  it('remembers the shortest round trip', () => {
    const growth = new Growth(() => 1000)
    for (const roundTrip of [30, 10, 500]) growth.sample(1000 - roundTrip)
    expect(growth.roundTrip).toBe(10)
  })

  it('does not grow when the reader is often more than half a window behind', () => {
    const growth = new Growth()
    growth.roundTrip = 100
    const window = new ReceiveWindow(mib, 32768, growth)
    for (let round = 0; round < 20; round++) {
      window.receive(window.credit)
      window.take(window.unread)
    }
    expect(window.size).toBe(mib)
  })

  it('grows no further than the connection allows', () => {
    expect(carry(mib, 64 * mib, { roundTrip: 100, rate: mib / 10, left: 100 }).window.size).toBe(mib + 100)
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
