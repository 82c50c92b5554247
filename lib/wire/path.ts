import { isUtf8 } from 'node:buffer'

/**
 * File names are bytes on the wire and strings in this library. UTF-8 becomes the string that it spells. A byte that is
 * not UTF-8 becomes the lone surrogate U+DC00 + byte (U+DC80 to U+DCFF), which no valid UTF-8 can give, so that every
 * name comes back as the bytes it was. Names can be compared, joined and split at `/` like any string.
 */
export function decodePath(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8')
  let text = ''
  let at = 0
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at)
    if (length === 0) text += String.fromCharCode(0xdc00 + bytes[at]!)
    else text += bytes.toString('utf8', at, at + length)
    at += Math.max(length, 1)
  }
  return text
}

/** The bytes of a name that `decodePath` gave, or of any text as UTF-8. */
export function encodePath(path: string): Buffer {
  if (isText(path)) return Buffer.from(path, 'utf8')
  const parts: Buffer[] = []
  let start = 0
  for (let at = 0; at < path.length; at++) {
    const unit = path.charCodeAt(at)
    if (unit >= 0xd800 && unit <= 0xdbff && isLowSurrogate(path.charCodeAt(at + 1))) at++
    else if (unit >= 0xdc80 && unit <= 0xdcff) {
      parts.push(Buffer.from(path.slice(start, at), 'utf8'), Buffer.of(unit - 0xdc00))
      start = at + 1
    }
  }
  parts.push(Buffer.from(path.slice(start), 'utf8'))
  return Buffer.concat(parts)
}

/** Whether a name is all UTF-8, so that its text says everything. */
export const isText = (path: string): boolean => !/[\udc80-\udcff]/u.test(path)

const isLowSurrogate = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

/** Bytes of the valid UTF-8 sequence that begins at `at`, or 0. */
function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length++) {
    if (isUtf8(bytes.subarray(at, at + length))) return length
  }
  return 0
}
