import { opensshAlgorithmNames } from './algorithm-names.ts'
import { ConfigError } from './errors.ts'
import type { KeywordTable } from './keyword.ts'
import { type ConfigLine, splitLines } from './lexer.ts'
import {
  type Contradiction,
  clientContradictions,
  type Severity,
  serverContradictions,
  suggestion,
  type Weaknesses,
  weakClient,
  weakServer,
} from './lint-rules.ts'
import { OptionStore } from './options.ts'
import { matchPatternList } from './pattern.ts'
import { formerSshKeywords, sshKeywords } from './ssh-config.ts'
import { formerSshdKeywords, sshdKeywords } from './sshd-config.ts'

/** Something in a configuration file that is wrong, or probably not what was meant. */
export interface LintFinding {
  readonly file: string
  readonly line: number
  readonly severity: Severity
  readonly rule: 'unknown' | 'malformed' | 'shadowed' | 'deprecated' | 'weak' | 'contradictory'
  readonly message: string
  /** What to do about it. */
  readonly fix: string
}

/** A file that an Include line brings in. */
export interface IncludedText {
  readonly file: string
  readonly text: string
}

/** The files of an Include line, in order. @throws ConfigError when one of them cannot be used */
export type ReadIncludes = (line: ConfigLine, depth: number) => readonly IncludedText[]

interface Dialect {
  readonly table: KeywordTable
  readonly weak: Weaknesses
  former(keyword: string): 'ignored' | 'deprecated' | 'unsupported' | undefined
  contradictions(first: ReadonlyMap<string, ConfigLine>): Contradiction[]
  /** Whether a value before every block makes the same keyword of later blocks useless. */
  readonly firstBlockWins: boolean
}

/** The lines that one Host or Match line governs, while they are read. */
interface Block {
  readonly header: ConfigLine | undefined
  readonly universal: boolean
  /** The first line of each option. */
  readonly first: Map<string, ConfigLine>
  /** The block that the Include line of this file stands in. */
  readonly outer: Block | undefined
}

/** Whether a Host or Match line applies to everybody. */
function isUniversal({ keyword, words = [] }: ConfigLine): boolean {
  if (keyword === 'host') return words.includes('*') && !words.some(word => word.startsWith('!'))
  return words.length === 1 && words[0]!.toLowerCase() === 'all'
}

const settings = { algorithms: opensshAlgorithmNames, env: {} }

class Linter {
  readonly findings: LintFinding[] = []
  readonly #dialect: Dialect
  readonly #includes: ReadIncludes
  readonly #scratch: OptionStore
  /** What a block for everybody set. */
  readonly #settled = new Map<string, ConfigLine>()
  #ignored: string | undefined
  #block: Block = { header: undefined, universal: true, first: new Map(), outer: undefined }

  constructor(dialect: Dialect, includes: ReadIncludes) {
    this.#dialect = dialect
    this.#includes = includes
    this.#scratch = new OptionStore(dialect.table)
  }

  file(text: string, file: string, depth = 0): void {
    const outer = this.#block
    for (const line of splitLines(text, file)) this.#line(line, depth, depth > 0 ? outer : undefined)
    // Host and Match of an included file end with it.
    if (this.#block !== outer && depth > 0) {
      this.#close()
      this.#block = outer
    }
    if (depth === 0) this.#close()
  }

  #line(line: ConfigLine, depth: number, outer: Block | undefined): void {
    switch (line.keyword) {
      case 'host':
      case 'match':
        if (this.#block !== outer) this.#close()
        this.#block = {
          header: line,
          universal: isUniversal(line) && (outer?.universal ?? true),
          first: new Map(),
          outer,
        }
        return
      case 'include':
        this.#include(line, depth)
        return
      default:
        this.#option(line)
    }
  }

  #include(line: ConfigLine, depth: number): void {
    try {
      for (const { text, file } of this.#includes(line, depth)) this.file(text, file, depth + 1)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      this.#report(line, 'error', 'malformed', error.message, 'mend the included file, or remove the line')
    }
  }

  #option(line: ConfigLine): void {
    const { table, weak } = this.#dialect
    const property = this.#scratch.propertyOf(line.keyword)
    if (property === undefined) {
      this.#notAKeyword(line)
      return
    }
    const row = table[property]!
    if (row.name.toLowerCase() !== line.keyword)
      this.#report(line, 'hint', 'deprecated', `${line.written} is an old name`, `write ${row.name}`)
    try {
      if (line.rest === '') throw new ConfigError(line.file, line.line, `${line.written} has no argument`)
      this.#scratch.apply(property, line, false, settings)
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      this.#report(line, 'error', 'malformed', error.message, `see ${row.name} in the manual page`)
      return
    }
    if (line.keyword === 'ignoreunknown') this.#ignored ??= line.words![0]
    const weakness = weak[row.name.toLowerCase()]
    if (
      weakness?.values.test(line.words!.join(' ')) &&
      !line.rest.startsWith('-') &&
      !(weakness.universal && !this.#block.universal)
    )
      this.#report(line, weakness.severity, 'weak', `${row.name} ${weakness.message}`, weakness.fix)
    const earlier = row.merge ? undefined : this.#earlier(property)
    if (!earlier) {
      if (!this.#block.first.has(property)) this.#block.first.set(property, line)
      return
    }
    const where = earlier.file === line.file ? `line ${earlier.line}` : `${earlier.file}:${earlier.line}`
    const message = `${where} sets ${row.name} already, and the first value wins`
    this.#report(line, 'warning', 'shadowed', message, 'remove the line, or move it before the other')
  }

  /** The line that made this one useless. */
  #earlier(property: string): ConfigLine | undefined {
    for (let block: Block | undefined = this.#block; block; block = block.outer) {
      if (block !== this.#block && !block.header && !this.#dialect.firstBlockWins) break
      const line = block.first.get(property)
      if (line) return line
    }
    return this.#settled.get(property)
  }

  #notAKeyword(line: ConfigLine): void {
    const { table, former } = this.#dialect
    if (former(line.keyword)) {
      this.#report(line, 'warning', 'deprecated', `${line.written} has no effect any more`, 'remove the line')
      return
    }
    const known =
      this.#ignored !== undefined && matchPatternList(line.keyword, this.#ignored, { lowerCasePatterns: true })
    if (known === 'match') return
    this.#report(line, 'error', 'unknown', `there is no keyword ${line.written}`, suggestion(line.keyword, table))
  }

  #close(): void {
    const { header, universal, first } = this.#block
    if (universal && (this.#dialect.firstBlockWins || header)) {
      for (const [property, line] of first) if (!this.#settled.has(property)) this.#settled.set(property, line)
    }
    for (const { line, message, fix } of this.#dialect.contradictions(first))
      this.#report(line, 'warning', 'contradictory', message, fix)
  }

  #report(line: ConfigLine, severity: Severity, rule: LintFinding['rule'], message: string, fix: string): void {
    this.findings.push({ file: line.file, line: line.line, severity, rule, message, fix })
  }
}

const noIncludes: ReadIncludes = () => []

function lint(text: string, file: string, dialect: Dialect, includes: ReadIncludes): LintFinding[] {
  const linter = new Linter(dialect, includes)
  linter.file(text, file)
  const files = [...new Set([file, ...linter.findings.map(finding => finding.file)])]
  return linter.findings.sort((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line)
}

/** What is wrong or doubtful in the text of an ssh_config, and in the files that it includes if they are given. */
export function lintSshConfig(text: string, file: string, includes = noIncludes): LintFinding[] {
  const dialect: Dialect = {
    table: sshKeywords,
    weak: weakClient,
    former: keyword => (Object.hasOwn(formerSshKeywords, keyword) ? formerSshKeywords[keyword] : undefined),
    contradictions: clientContradictions,
    firstBlockWins: true,
  }
  return lint(text, file, dialect, includes)
}

/** As `lintSshConfig`, of an sshd_config. There, a Match block comes before the global values. */
export function lintSshdConfig(text: string, file: string, includes = noIncludes): LintFinding[] {
  const dialect: Dialect = {
    table: sshdKeywords,
    weak: weakServer,
    former: keyword => (Object.hasOwn(formerSshdKeywords, keyword) ? formerSshdKeywords[keyword]?.fate : undefined),
    contradictions: serverContradictions,
    firstBlockWins: false,
  }
  return lint(text, file, dialect, includes)
}

/** Findings as lines `file:line: severity: message [rule]; fix`, or as JSON. */
export function formatFindings(findings: readonly LintFinding[], json: boolean): string {
  if (json) return `${JSON.stringify(findings, undefined, 2)}\n`
  const lines = findings.map(
    ({ file, line, severity, message, fix, rule }) => `${file}:${line}: ${severity}: ${message} [${rule}]; ${fix}\n`,
  )
  return lines.join('')
}
