import type { FileHandle } from '../filesystem.ts'

/** Bytes that one checksum covers. */
const segment = 16 * 1024 * 1024
/** Segments and blocks compared at once. */
const parallel = 4
const algorithm = 'sha256'

/**
 * How many of the first `length` bytes both files have in common, rounded down to a block. Checksums are asked for where
 * both can give them; else both are read.
 */
export async function commonPrefix(a: FileHandle, b: FileHandle, length: number, block: number): Promise<number> {
  const bySum = await compareParts(length, segment, async (offset, size) => {
    const [one, other] = await Promise.all([sum(a, offset, size), sum(b, offset, size)])
    return one && other ? one.equals(other) : undefined
  })
  if (bySum.known === length && bySum.same === length) return length
  // From the first segment that differs, or whose sums nobody gave, on.
  return compareParts(
    length,
    block,
    async (offset, size) => {
      const [one, other] = await Promise.all([readPart(a, offset, size), readPart(b, offset, size)])
      return one.equals(other)
    },
    bySum.same,
  ).then(({ same }) => same)
}

const sum = (file: FileHandle, offset: number, length: number): Promise<Buffer | undefined> =>
  file.checksum?.(algorithm, offset, length) ?? Promise.resolve(undefined)

/** Compares part after part, some at once, up to the first that differs or is not known. */
async function compareParts(
  length: number,
  part: number,
  compare: (offset: number, size: number) => Promise<boolean | undefined>,
  start = 0,
): Promise<{ same: number; known: number }> {
  let known = start
  for (let at = start; at < length; ) {
    const parts: { offset: number; size: number; result: Promise<boolean | undefined> }[] = []
    for (; at < length && parts.length < parallel; at += part) {
      const size = Math.min(part, length - at)
      parts.push({ offset: at, size, result: compare(at, size) })
    }
    const results = await Promise.all(parts.map(({ result }) => result))
    for (const [index, result] of results.entries()) {
      const { offset, size } = parts[index]!
      if (result !== true) return { same: offset, known }
      known = offset + size
    }
  }
  return { same: length, known }
}

/** A part of a file, fewer bytes only at its end. */
export async function readPart(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let at = 0; at < length; ) {
    const data = await file.readAt(offset + at, length - at)
    if (data.length === 0) break
    parts.push(data)
    at += data.length
  }
  return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
}
