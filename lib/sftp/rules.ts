import { matchName } from './glob.ts'

/** Whether files of a tree take part: the first rule that matches says so, and without one they do. */
export interface Rule {
  readonly action: 'include' | 'exclude'
  /**
   * A pattern as for `matchName`. Without a slash it is matched with the last component, with one with the whole path below
   * the root; a trailing slash makes it match directories only, and `**` stands for any number of components.
   */
  readonly pattern: string
}

/** A test for paths below a root, as `a/b`. What is below an excluded directory is never asked about. */
export function createFilter(rules: readonly Rule[]): (path: string, isDirectory: boolean) => boolean {
  const tests = rules.map(({ action, pattern }) => {
    const directoriesOnly = pattern.endsWith('/')
    const bare = directoriesOnly ? pattern.slice(0, -1) : pattern
    const parts = bare.replace(/^\//, '').split('/')
    const matches = bare.includes('/')
      ? (path: string) => matchParts(parts, path.split('/'))
      : (path: string) => matchAny(bare, path.slice(path.lastIndexOf('/') + 1))
    return {
      action,
      matches: (path: string, isDirectory: boolean) => (isDirectory || !directoriesOnly) && matches(path),
    }
  })
  return (path, isDirectory) => tests.find(({ matches }) => matches(path, isDirectory))?.action !== 'exclude'
}

/** A rule speaks of hidden files too, unlike the pattern of a command. */
const matchAny = (pattern: string, name: string): boolean => matchName(`x${pattern}`, `x${name}`)

/** Time is at most the product of both lengths: only the newest `**` can need to take more. */
function matchParts(patterns: readonly string[], names: readonly string[]): boolean {
  let p = 0
  let at = 0
  let star = -1
  let starAt = 0
  while (at < names.length) {
    if (patterns[p] === '**') {
      star = p++
      starAt = at
    } else if (p < patterns.length && matchAny(patterns[p]!, names[at]!)) {
      p++
      at++
    } else if (star >= 0) {
      p = star + 1
      at = ++starAt
    } else return false
  }
  while (patterns[p] === '**') p++
  return p === patterns.length
}
