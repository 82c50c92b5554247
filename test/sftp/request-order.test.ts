import { expect, test } from 'vitest'
import { RequestOrder, type Scope } from '../../lib/sftp/request-order.ts'
import { randomNumbers } from '../support/cutting-proxy.ts'

const handle = {}

/** By hand, for the scopes below alone: paths that are the same or one above the other, ranges that overlap. */
function inTheWay(a: Scope, b: Scope): boolean {
  if (!a.writes && !b.writes) return false
  if (a.handle && b.handle) return a.start! < b.end! && b.start! < a.end!
  const [one, other] = [a.paths?.[0], b.paths?.[0]]
  return (
    one !== undefined && other !== undefined && (`${one}/`.startsWith(`${other}/`) || `${other}/`.startsWith(`${one}/`))
  )
}

test('requests wait for all earlier ones in their way, and for no others', async () => {
  const next = randomNumbers(7)
  const random = (below: number): number => Math.floor(next() * below)
  for (let round = 0; round < 30; round++) {
    const order = new RequestOrder()
    const requests: { scope: Scope; state: 'waiting' | 'running' | 'ended'; end: () => void }[] = []
    const check = (): void => {
      for (const [index, { scope, state }] of requests.entries()) {
        const free = requests
          .slice(0, index)
          .every(earlier => earlier.state === 'ended' || !inTheWay(earlier.scope, scope))
        expect(state === 'waiting').toBe(!free)
      }
    }
    for (let index = 0; index < 60; index++) {
      const start = random(8)
      const scope: Scope =
        random(2) === 0
          ? { writes: random(3) > 0, handle, start, end: start + 1 + random(4) }
          : { writes: random(3) > 0, paths: [['/a', '/a/b', '/a/b/c', '/ab', '/d'][random(5)]!] }
      const request = { scope, state: 'waiting' as 'waiting' | 'running' | 'ended', end: () => {} }
      requests.push(request)
      order.enter(scope, () => {
        request.state = 'running'
        return new Promise(resolve => {
          request.end = resolve
        })
      })
      check()
      if (random(3) > 0) continue
      const running = requests.filter(({ state }) => state === 'running')
      const ending = running[random(running.length)]!
      ending.state = 'ended'
      ending.end()
      await new Promise(resolve => setImmediate(resolve))
      check()
    }
    for (let running = requests.find(({ state }) => state === 'running'); running; ) {
      running.state = 'ended'
      running.end()
      await new Promise(resolve => setImmediate(resolve))
      running = requests.find(({ state }) => state === 'running')
    }
    expect(order.size).toBe(0)
    expect(requests.every(({ state }) => state === 'ended')).toBe(true)
  }
})
