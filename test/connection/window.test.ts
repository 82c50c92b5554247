import { describe, expect, it } from 'vitest'
import { maximumWindow, ReceiveWindow, SendWindow } from '../../lib/connection/window.ts'
import { ProtocolError, UsageError } from '../../lib/errors.ts'

const mib = 1024 * 1024

describe('the receive window', () => {
  it('refills after three maximum packets', () => {
    const window = new ReceiveWindow(2 * mib, 32768, { left: 0 })
    window.receive(4 * 32768)
    expect(window.take(3 * 32768 - 1)).toBe(0)
    expect(window.take(1)).toBe(3 * 32768)
    expect(window.credit).toBe(2 * mib - 32768)
  })

  it('refills after half of a small window', () => {
    const window = new ReceiveWindow(1000, 32768, { left: 0 })
    window.receive(1000)
    expect(window.credit).toBe(0)
    expect(window.take(499)).toBe(0)
    expect(window.take(1)).toBe(500)
  })

  it('refuses one byte too many, also when some window is left', () => {
    const window = new ReceiveWindow(10, 32768, { left: 0 })
    window.receive(4)
    expect(() => window.receive(7)).toThrow(ProtocolError)
    window.receive(6)
    expect(() => window.receive(1)).toThrow(ProtocolError)
  })

  it('does not let a reader take what was not delivered', () => {
    const window = new ReceiveWindow(10, 32768, { left: 0 })
    window.receive(4)
    expect(() => window.take(5)).toThrow(UsageError)
    expect(() => window.take(-1)).toThrow(UsageError)
    expect(() => window.take(Number.NaN)).toThrow(UsageError)
  })

  it('grows to its maximum while the reader keeps up, and keeps its books', () => {
    const growth = { left: 100 * mib }
    const window = new ReceiveWindow(2 * mib, 32768, growth)
    let granted = 2 * mib
    for (let sent = 0; sent < 64 * mib; sent += 32768) {
      window.receive(32768)
      granted += window.take(32768)
    }
    expect(window.size).toBe(maximumWindow)
    expect(growth.left).toBe(100 * mib - 14 * mib)
    expect(granted - 64 * mib).toBe(window.credit)
    window.release()
    expect(growth.left).toBe(100 * mib)
  })

  it('does not grow when the reader is often more than half a window behind', () => {
    const window = new ReceiveWindow(mib, 32768, { left: 100 * mib })
    for (let round = 0; round < 20; round++) {
      window.receive(window.credit)
      window.take(window.unread)
    }
    expect(window.size).toBe(mib)
  })

  it('grows no further than the connection allows', () => {
    const window = new ReceiveWindow(mib, 32768, { left: 100 })
    for (let sent = 0; sent < 8 * mib; sent += 32768) {
      window.receive(32768)
      window.take(32768)
    }
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
