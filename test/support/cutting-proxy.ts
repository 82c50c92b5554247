import { connect, createServer, type Socket } from 'node:net'

/** A way to a port of this machine that breaks after so many bytes. */
export interface CuttingProxy {
  readonly port: number
  /** Connections that were broken so far. */
  readonly cuts: number
  /** Connections that were accepted so far. */
  readonly connections: number
  close(): Promise<void>
}

/**
 * Forwards connections to `port`. `allowance`: how many bytes, both ways together, the next connection carries before it is
 * reset; `Infinity` for one that is left alone.
 */
export async function startCuttingProxy(port: number, allowance: () => number): Promise<CuttingProxy> {
  const open = new Set<Socket>()
  const count = { cuts: 0, connections: 0 }
  const server = createServer(near => {
    count.connections++
    const far = connect(port, '127.0.0.1')
    let left = allowance()
    let state: 'open' | 'cut' = 'open'
    const cut = (): void => {
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.on('error', () => {})
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
      from.on('end', () => to.end())
      from.on('data', (data: Buffer) => {
        if (state === 'cut') return
        const part = data.subarray(0, Math.max(0, Math.min(left, data.length)))
        left -= data.length
        if (part.length > 0 && !to.destroyed && !to.write(part)) from.pause()
        if (left > 0) return
        state = 'cut'
        count.cuts++
        // What was let through still arrives: the cut is at this byte.
        setImmediate(cut)
      })
    }
    near.on('drain', () => far.resume())
    far.on('drain', () => near.resume())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    get cuts() {
      return count.cuts
    },
    get connections() {
      return count.connections
    },
    close() {
      for (const socket of open) socket.destroy()
      return new Promise(resolve => server.close(() => resolve()))
    },
  }
}

/** Numbers from 0 up to 1 that a seed determines (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let value = Math.imul(state ^ (state >>> 15), state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}
