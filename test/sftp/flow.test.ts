import { expect, test } from 'vitest'
import { Flow } from '../../lib/sftp/transfer/flow.ts'

test('a rate is never waited for after it is due', async () => {
  // The clock passes the due time between two looks at it.
  let time = 0
  const flow = new Flow({ rate: 500, now: () => time++ })
  flow.tryTake(1)
  flow.give(1)
  await expect(flow.take(1)).resolves.toBeUndefined()
})

test.each([
  [true, 2 * 1024 * 1024],
  [false, 32 * 1024 * 1024],
])('what is in flight between ends of which both are near (%s) is at most %i bytes', (isNear, most) => {
  let time = 0
  const flow = new Flow({ isNear, now: () => time++ })
  const block = 256 * 1024
  for (let count = 0; count < 20_000; count++) {
    expect(flow.tryTake(block)).toBe(true)
    flow.give(block)
  }
  expect(flow.limit).toBe(most)
})
