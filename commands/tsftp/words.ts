/** A line that cannot be understood; its text is what the user is told. */
export interface Problem {
  readonly problem: string
}

/** The words of a line. In each, a glob character that was quoted has a backslash before it. */
export interface Words {
  readonly words: string[]
  /** The quote in which the line ended, for completion. */
  readonly openQuote: '' | "'" | '"'
  /** Where the last word begins in the line; its length when the line ends between words. */
  readonly lastStart: number
}

const maximumWords = 128
const isGlob = (c: string | undefined): boolean => c === '?' || c === '[' || c === '*'

/** Splits a line as sftp(1) does: blanks, quotes, backslashes and `#`. `sloppy`: a quote may stay open. */
export function splitLine(line: string, sloppy = false): Words | Problem {
  const words: string[] = []
  let word: string | undefined
  let quote: '' | "'" | '"' = ''
  let lastStart = line.length
  const add = (text: string, at: number): void => {
    if (word === undefined) lastStart = at
    word = (word ?? '') + text
  }
  const unterminated = { problem: 'Unterminated quoted argument' }
  for (let at = 0; at < line.length; at++) {
    const c = line[at]!
    const next = line[at + 1]
    if (quote === '' && /\s/.test(c)) {
      if (word !== undefined) words.push(word)
      word = undefined
    } else if (quote === '' && c === '#') {
      break
    } else if (c === '"' || c === "'") {
      if (quote === '') {
        add('', at)
        quote = c
      } else if (quote === c) quote = ''
      else add(c, at)
    } else if (c === '\\') {
      if (next === undefined) {
        if (!sloppy) return unterminated
        add('', at)
      } else if (quote === '') add(isGlob(next) || next === '\\' ? c + next : next, at++)
      else if (next === quote) add(next, at++)
      else add(isGlob(next) ? `\\\\\\${next}` : c + next, at++)
    } else add(quote !== '' && isGlob(c) ? `\\${c}` : c, at)
    if (words.length >= maximumWords) return { problem: 'Too many arguments.' }
  }
  if (quote !== '' && !sloppy) return unterminated
  if (word !== undefined) words.push(word)
  else lastStart = line.length
  return { words, openQuote: quote, lastStart }
}

/** A word that is no pattern, as the name that it means. */
export const literal = (word: string): string => word.replace(/\\([?[*\\])/g, '$1')
