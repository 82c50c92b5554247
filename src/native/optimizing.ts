import { setFlagsFromString } from 'node:v8'

/** Milliseconds from which on a run counts as long. */
const longRun = 3000

/**
 * For a program that is ours alone, while it does much that is soon over: V8 does not optimize what runs often. Its compiler
 * works beside us, with as much processor time as a tree of small files takes, and on a machine of few cores the peer has to
 * wait for it. A long run is optimized all the same.
 */
export async function withoutOptimizing<T>(work: () => Promise<T>): Promise<T> {
  setFlagsFromString('--no-opt')
  const resume = (): void => setFlagsFromString('--opt')
  const timer = setTimeout(resume, longRun)
  timer.unref()
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    resume()
  }
}
