import type { DataRange, FileHandle } from '../filesystem.ts'

/** Zeros shorter than this are written: a hole costs a piece of bookkeeping in the file system as well. */
const smallestHole = 32 * 1024
const zeros = Buffer.alloc(smallestHole)

/** The parts of a piece of data that are not long runs of zeros, as offsets in it. */
export function dataRuns(data: Buffer): DataRange[] {
  const runs: { offset: number; length: number }[] = []
  for (let at = 0; at < data.length; at += smallestHole) {
    const length = Math.min(smallestHole, data.length - at)
    if (data[at] === 0 && data.compare(zeros, 0, length, at, at + length) === 0) continue
    const last = runs.at(-1)
    if (last && last.offset + last.length === at) last.length += length
    else runs.push({ offset: at, length })
  }
  return runs
}

/** Bytes whose holes are asked for at a time: looking for them may mean reading. */
const lookAhead = 64 * 1024 * 1024

/** The parts of a file that hold data, asked for bit by bit; all of it unless `sparse`. */
export async function* dataRangesOf(
  file: FileHandle,
  start: number,
  end: number,
  sparse: boolean,
): AsyncGenerator<DataRange, void> {
  if (!sparse || !file.ranges) {
    if (end > start) yield { offset: start, length: end - start }
    return
  }
  for (let at = start; at < end; at += lookAhead) yield* await file.ranges(at, Math.min(lookAhead, end - at))
}
