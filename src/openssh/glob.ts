/** A part of a glob(3) pattern, cut into what one character each may be; `undefined` stands for `*`. */
type Step = ((c: string) => boolean) | undefined

/** A bracket expression that begins at `at`: its test and the place after it. Undefined when it does not end. */
function bracket(pattern: string, at: number): { test: (c: string) => boolean; end: number } | undefined {
  const negated = pattern[at + 1] === '!' || pattern[at + 1] === '^'
  const first = at + (negated ? 2 : 1)
  const close = pattern.indexOf(']', first + 1)
  if (close < 0) return undefined
  const ranges: [string, string][] = []
  for (let i = first; i < close; i++) {
    if (pattern[i + 1] === '-' && i + 2 < close) {
      ranges.push([pattern[i]!, pattern[i + 2]!])
      i += 2
    } else ranges.push([pattern[i]!, pattern[i]!])
  }
  return { test: c => ranges.some(([low, high]) => c >= low && c <= high) !== negated, end: close + 1 }
}

function compile(pattern: string): Step[] {
  const steps: Step[] = []
  for (let at = 0; at < pattern.length; ) {
    const set = pattern[at] === '[' ? bracket(pattern, at) : undefined
    if (set) {
      steps.push(set.test)
      at = set.end
    } else if (pattern[at] === '*') {
      steps.push(undefined)
      at++
    } else if (pattern[at] === '?') {
      steps.push(() => true)
      at++
    } else {
      if (pattern[at] === '\\' && at + 1 < pattern.length) at++
      const literal = pattern[at]!
      steps.push(c => c === literal)
      at++
    }
  }
  return steps
}

/** Whether a file name matches one part of a glob(3) pattern; a leading dot must be written out. */
export function matchGlobComponent(name: string, pattern: string): boolean {
  if (name.startsWith('.') && !pattern.startsWith('.')) return false
  const steps = compile(pattern)
  let at = 0
  let step = 0
  let star = -1
  let starAt = 0
  while (at < name.length) {
    if (step < steps.length && steps[step] === undefined) {
      star = step++
      starAt = at
    } else if (step < steps.length && steps[step]!(name[at]!)) {
      step++
      at++
    } else if (star >= 0) {
      step = star + 1
      at = ++starAt
    } else return false
  }
  while (step < steps.length && steps[step] === undefined) step++
  return step === steps.length
}
