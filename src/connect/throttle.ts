import { setTimeout as sleep } from 'node:timers/promises'

/** Time that is waited at least, in milliseconds: shorter waits cost more than they even out. */
const shortestWait = 20

/**
 * Holds data back to a rate, in bits per second. Callers ask before they move some bytes; those of several callers add
 * up. A pause does not save up more than a second of speed.
 */
export function createThrottle(
  bitsPerSecond: number,
  now: () => number = Date.now,
): (bytes: number) => Promise<void> | undefined {
  /** When what was granted so far has gone, in milliseconds. */
  let due = now()
  return bytes => {
    const time = now()
    due = Math.max(due, time - 1000) + (bytes * 8000) / bitsPerSecond
    const wait = due - time
    return wait < shortestWait ? undefined : sleep(wait)
  }
}
