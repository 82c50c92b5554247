/** Most words that braces may give: more could only be meant to exhaust memory. */
const maximumWords = 1024

/** `a{b,c}d` as `abd` and `acd`, as csh(1) and brace-aware shells have it; braces without a comma stay. */
export function expandBraces(text: string): string[] {
  const words = [text]
  for (let at = 0; at < words.length; ) {
    const expanded = expandFirst(words[at]!)
    if (!expanded || words.length + expanded.length > maximumWords) at++
    else words.splice(at, 1, ...expanded)
  }
  return words
}

function expandFirst(text: string): string[] | undefined {
  for (let open = nextBrace(text, 0); open >= 0; open = nextBrace(text, open + 1)) {
    const parts = alternatives(text, open)
    if (parts) return parts.words.map(word => text.slice(0, open) + word + text.slice(parts.end))
  }
  return undefined
}

/** The next `{` that no backslash protects. */
function nextBrace(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '{') return at
  }
  return -1
}

/** What stands between the commas of the braces that open at `open`; undefined without a comma or an end. */
function alternatives(text: string, open: number): { words: string[]; end: number } | undefined {
  const words: string[] = []
  let start = open + 1
  let depth = 0
  for (let at = start; at < text.length; at++) {
    const character = text[at]
    if (character === '\\') at++
    else if (character === '{') depth++
    else if (character === '}' && depth > 0) depth--
    else if (character === ',' && depth === 0) {
      words.push(text.slice(start, at))
      start = at + 1
    } else if (character === '}') {
      if (words.length === 0) return undefined
      words.push(text.slice(start, at))
      return { words, end: at + 1 }
    }
  }
  return undefined
}
