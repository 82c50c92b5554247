/** What is left of pieces after their first `count` bytes. */
export function piecesAfter(pieces: readonly Buffer[], count: number): Buffer[] {
  const left: Buffer[] = []
  for (const piece of pieces) {
    if (count < piece.length) left.push(count > 0 ? piece.subarray(count) : piece)
    count = Math.max(0, count - piece.length)
  }
  return left
}
