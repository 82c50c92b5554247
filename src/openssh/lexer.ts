/** The words of a line of ssh_config and sshd_config, exactly as OpenSSH cuts them. */

const blanks = ' \t\r\n'

/** A configuration line that is neither empty nor a comment. */
export interface ConfigLine {
  readonly file: string
  readonly line: number
  /** Lower case. */
  readonly keyword: string
  /** The keyword as it stands in the file. */
  readonly written: string
  /** What follows the keyword and its `=`, for keywords whose argument is a whole command. */
  readonly rest: string
  /** The arguments, without quotes, escapes and a comment at the end. Undefined when a quote is not closed. */
  readonly words: readonly string[] | undefined
}

function skip(text: string, at: number, characters: string): number {
  while (at < text.length && characters.includes(text[at]!)) at++
  return at
}

/** One step of OpenSSH's keyword splitter: blanks, one `=`, or a quoted part end the token. */
function takeToken(text: string): { token: string; rest: string | undefined } | undefined {
  let end = 0
  while (end < text.length && !`${blanks}"=`.includes(text[end]!)) end++
  if (end === text.length) return { token: text, rest: undefined }
  if (text[end] === '"') {
    const close = text.indexOf('"', end + 1)
    if (close < 0) return undefined
    return { token: text.slice(0, end) + text.slice(end + 1, close), rest: text.slice(skip(text, close + 1, blanks)) }
  }
  let next = skip(text, end + 1, blanks)
  if (text[end] !== '=' && text[next] === '=') next = skip(text, next + 1, blanks)
  return { token: text.slice(0, end), rest: text.slice(next) }
}

/**
 * Splits arguments at blanks. Quotes of both kinds group; a backslash escapes quotes, itself and, outside quotes, a
 * space. Undefined when a quote is not closed.
 */
export function splitArguments(text: string, options: { comments: boolean }): string[] | undefined {
  const words: string[] = []
  let at = 0
  for (;;) {
    at = skip(text, at, ' \t')
    if (at >= text.length || (options.comments && text[at] === '#')) return words
    let word = ''
    let quote = ''
    for (; at < text.length; at++) {
      const c = text[at]!
      if (c === '\\') {
        const next = text[at + 1] ?? ''
        const escapes = next !== '' && (`'"\\`.includes(next) || (quote === '' && next === ' '))
        if (escapes) at++
        word += text[at]
      } else if (quote === '' && (c === ' ' || c === '\t')) break
      else if (quote === '' && (c === '"' || c === "'")) quote = c
      else if (c === quote) quote = ''
      else word += c
    }
    if (quote !== '') return undefined
    words.push(word)
  }
}

/**
 * Reads one line. Undefined for an empty line, a comment, or one whose keyword has an unclosed quote, all of which
 * OpenSSH passes over. `rest` is empty when there is no argument.
 */
export function splitLine(raw: string, file: string, line: number): ConfigLine | undefined {
  const nul = raw.indexOf('\0')
  let end = nul < 0 ? raw.length : nul
  while (end > 1 && `${blanks}\f`.includes(raw[end - 1]!)) end--
  const text = raw.slice(0, end)
  let first = takeToken(text)
  if (first?.token === '' && first.rest !== undefined) first = takeToken(first.rest)
  if (!first || first.token === '' || first.token.startsWith('#')) return undefined
  const rest = first.rest === undefined ? '' : first.rest.slice(skip(first.rest, 0, blanks))
  const keyword = first.token.replace(/[A-Z]/g, upper => upper.toLowerCase())
  return { file, line, keyword, written: first.token, rest, words: splitArguments(rest, { comments: true }) }
}

/** All lines of a file. */
export function splitLines(text: string, file: string): ConfigLine[] {
  const lines: ConfigLine[] = []
  for (const [index, raw] of text.split('\n').entries()) {
    const line = splitLine(raw, file, index + 1)
    if (line) lines.push(line)
  }
  return lines
}

/** A Host or Match line with the lines that it governs. */
export interface ConfigBlock {
  /** Undefined for what comes before the first Host or Match. */
  readonly header: ConfigLine | undefined
  readonly lines: readonly ConfigLine[]
}

/** The blocks of an ssh_config or sshd_config, as they stand: nothing is judged, opened or run. */
export function parseSshConfig(text: string, file: string): ConfigBlock[] {
  const blocks: { header: ConfigLine | undefined; lines: ConfigLine[] }[] = [{ header: undefined, lines: [] }]
  for (const line of splitLines(text, file)) {
    if (line.keyword === 'host' || line.keyword === 'match') blocks.push({ header: line, lines: [] })
    else blocks.at(-1)!.lines.push(line)
  }
  return blocks
}
