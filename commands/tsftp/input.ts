import type { Readable } from 'node:stream'
import { decodePath } from '../../lib/wire/path.ts'

/** Longest line, in bytes; longer ones are cut. */
const maximumLine = 64 * 1024

/** The lines of a stream, bytes that are not UTF-8 included; at most one line is read ahead of its use. */
export async function* linesOf(input: Readable): AsyncGenerator<string, void> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of input) {
    rest = Buffer.concat([rest, chunk as Buffer])
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      const line = rest.subarray(0, Math.min(end, maximumLine))
      rest = rest.subarray(end + 1)
      yield decodePath(Buffer.from(line))
    }
    if (rest.length > maximumLine) rest = rest.subarray(0, maximumLine)
  }
  if (rest.length > 0) yield decodePath(Buffer.from(rest))
}
