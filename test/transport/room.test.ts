import { expect, test } from 'vitest'
import { bytesGivenBack, giveBack, room } from '../../lib/wire/room.ts'

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

test('small pieces, of which many are kept, hold no memory that is to be used again', () => {
  const kept: Buffer[] = []
  const seen = new Set<ArrayBufferLike>()
  for (let turn = 0; turn < 500; turn++) {
    kept.push(room(40).fill(turn & 0xff))
    const piece = room(60_000)
    seen.add(piece.buffer)
    expect(giveBack(piece)).toBe(true)
  }
  expect(seen.size).toBeLessThan(6)
  expect(kept.every((piece, turn) => piece.equals(Buffer.alloc(40, turn & 0xff)))).toBe(true)
})

test('memory from elsewhere is left alone', () => {
  const own = Buffer.alloc(10, 5)
  expect(giveBack(own)).toBe(false)
  const before = bytesGivenBack()
  giveBack(own)
  giveBack(room(100_000))
  expect(bytesGivenBack() - before).toBe(100_000)
  expect(room(10).buffer).not.toBe(own.buffer)
})
