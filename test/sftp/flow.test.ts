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
