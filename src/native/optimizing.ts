import { setFlagsFromString } from 'node:v8'

/** Milliseconds from which on a run counts as long. */
const longRun = 3000

/**
 * For a program that is ours alone, before it does much that is soon over: V8 does not optimize what runs often. Its
 * compiler works beside us, with as much processor time as a tree of small files takes, and on a machine of few cores the
 * peer has to wait for it. A long run is optimized all the same. Call the result at the end.
 */
export function postponeOptimizing(): () => void {
  setFlagsFromString('--no-opt')
  const resume = (): void => {
    clearTimeout(timer)
    setFlagsFromString('--opt')
  }
  const timer = setTimeout(resume, longRun)
  timer.unref()
  return resume
}
