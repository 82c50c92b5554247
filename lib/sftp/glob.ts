/** Names matched as sh(1) does: `*`, `?`, `[a-z]`, `[!a-z]` and `\` before any of them. No case is folded. */

/** Whether a path holds anything that `matchName` or a glob would take as a pattern. */
export const hasMagic = (pattern: string): boolean => /[*?[\\]/.test(pattern)

/**
 * Whether one component of a path matches. A leading dot must be there in the pattern. Time is at most the product of both
 * lengths.
 */
export function matchName(pattern: string, name: string): boolean {
  if (name.startsWith('.') && !(pattern.startsWith('.') || pattern.startsWith('\\.'))) return false
  let p = 0
  let at = 0
  let star = -1
  let starAt = 0
  while (at < name.length) {
    const next = pattern[p] === '*' ? undefined : matchOne(pattern, p, name[at]!)
    if (pattern[p] === '*') {
      star = p++
      starAt = at
    } else if (next !== undefined) {
      p = next
      at++
    } else if (star >= 0) {
      p = star + 1
      at = ++starAt
    } else return false
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}

/** Matches one character against what stands at `p`; where the pattern goes on, or undefined. */
function matchOne(pattern: string, p: number, character: string): number | undefined {
  const symbol = pattern[p]
  if (symbol === undefined) return undefined
  if (symbol === '?') return p + 1
  if (symbol === '\\' && p + 1 < pattern.length) return pattern[p + 1] === character ? p + 2 : undefined
  if (symbol === '[') {
    const end = classEnd(pattern, p)
    if (end > 0) return inClass(pattern.slice(p + 1, end), character) ? end + 1 : undefined
  }
  return symbol === character ? p + 1 : undefined
}

/** Where `]` ends a class that begins at `p`; 0 when it never does. */
function classEnd(pattern: string, p: number): number {
  let at = p + 1
  if (pattern[at] === '!' || pattern[at] === '^') at++
  // A first `]` is a member.
  at++
  while (at < pattern.length && pattern[at] !== ']') at++
  return at < pattern.length ? at : 0
}

function inClass(body: string, character: string): boolean {
  const negated = body[0] === '!' || body[0] === '^'
  let found = false
  for (let at = negated ? 1 : 0; at < body.length; at++) {
    const low = body[at]!
    if (body[at + 1] === '-' && at + 2 < body.length) {
      if (low <= character && character <= body[at + 2]!) found = true
      at += 2
    } else if (low === character) found = true
  }
  return found !== negated
}

/** A component without the backslashes that protect its characters. */
export const unescapeName = (pattern: string): string => pattern.replace(/\\(.)/gsu, '$1')

/** A name as a pattern that matches it alone. */
export const escapeName = (name: string): string => name.replace(/[*?[\]\\]/g, '\\$&')
