import { expect, test } from 'vitest'
import { giveBack, room } from '../../lib/wire/room.ts'

test('memory is used again only once every piece of it was given back', () => {
  const seen = new Set<ArrayBufferLike>()
  const kept = room(1000).fill(1)
  for (let turn = 0; turn < 100; turn++) {
    const pieces = [room(60_000), room(60_000), room(60_000)]
    for (const [index, piece] of pieces.entries()) piece.fill(index + 2)
    for (const [index, piece] of pieces.entries()) expect(piece.equals(Buffer.alloc(60_000, index + 2))).toBe(true)
    for (const piece of pieces) {
      seen.add(piece.buffer)
      giveBack(piece.subarray(7))
    }
  }
  // 18 MB went through few slabs of 256 KiB.
  expect(seen.size).toBeLessThan(6)
  const others = Array.from({ length: 12 }, () => room(100_000).fill(9))
  expect(others.every(other => other.equals(Buffer.alloc(100_000, 9)))).toBe(true)
  expect(kept.equals(Buffer.alloc(1000, 1))).toBe(true)
})

test('memory from elsewhere is left alone', () => {
  const own = Buffer.alloc(10, 5)
  giveBack(own)
  giveBack(room(200_000))
  expect(room(10).buffer).not.toBe(own.buffer)
})
