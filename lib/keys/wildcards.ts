/**
 * Whether `text` matches a pattern in which `*` stands for any characters and `?` for exactly one. Takes at most the
 * product of both lengths, whatever the pattern.
 */
export function matchWildcards(text: string, pattern: string): boolean {
  let [at, wanted] = [0, 0]
  // Where the newest star stands, and where what it swallows ends: only that one can need to take more.
  let [star, swallowed] = [-1, 0]
  while (at < text.length) {
    if (pattern[wanted] === '*') {
      star = wanted++
      swallowed = at
    } else if (wanted < pattern.length && (pattern[wanted] === '?' || pattern[wanted] === text[at])) {
      wanted++
      at++
    } else if (star >= 0) {
      wanted = star + 1
      at = ++swallowed
    } else {
      return false
    }
  }
  while (pattern[wanted] === '*') wanted++
  return wanted === pattern.length
}
