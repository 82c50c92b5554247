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
  [0, 768 * 1024],
  [4, 2 * 1024 * 1024],
  [5, 32 * 1024 * 1024],
  [undefined, 32 * 1024 * 1024],
])('what is in flight over a round trip of %s ms is at most %i bytes', (roundTrip, most) => {
  let time = 0
  const flow = new Flow({ roundTrip, now: () => time++ })
  const block = 256 * 1024
  for (let count = 0; count < 20_000; count++) {
    expect(flow.tryTake(block)).toBe(true)
    flow.give(block)
  }
  expect(flow.limit).toBe(most)
})
