import { ConfigError } from './errors.ts'
import { Arguments, type KeywordTable, keywordIndex, type ParseSettings, problemAt } from './keyword.ts'
import type { ConfigLine } from './lexer.ts'

/** One attempt of a line to set an option. */
export interface Setting {
  readonly property: string
  readonly file: string
  readonly line: number
  /** The arguments as written. */
  readonly text: string
  /** Whether it took effect; otherwise an earlier line had set the option. */
  readonly effective: boolean
}

/** Most settings that are remembered for an explanation. */
export const maxHistory = 100_000

/** The options of one table while files are read: what is set, and by which line. */
export class OptionStore {
  readonly table: KeywordTable
  readonly history: Setting[] = []
  readonly #index: ReadonlyMap<string, string>
  readonly #values = new Map<string, unknown>()

  constructor(table: KeywordTable) {
    this.table = table
    this.#index = keywordIndex(table)
  }

  /** The property of a keyword in lower case. */
  propertyOf(keyword: string): string | undefined {
    return this.#index.get(keyword)
  }

  get(property: string): unknown {
    return this.#values.get(property)
  }

  /** What is set so far. */
  entries(): [property: string, value: unknown][] {
    return [...this.#values]
  }

  /** A text option as set so far. */
  text(property: string): string | undefined {
    const value = this.#values.get(property)
    return typeof value === 'string' ? value : undefined
  }

  set(property: string, value: unknown): void {
    this.#values.set(property, value)
  }

  /**
   * Reads the value of a line, and sets it when the line is `active` and nothing earlier did.
   * @throws ConfigError for a value that is not understood, whether or not the line is active.
   */
  apply(property: string, line: ConfigLine, active: boolean, settings: ParseSettings): void {
    const row = this.table[property]!
    if (!line.words) throw problemAt(line, 'invalid quotes')
    const args = new Arguments(line, settings)
    const value = row.parse(args)
    if (args.left > 0) throw problemAt(line, `keyword ${line.keyword} extra arguments at end of line`)
    if (!active || value === undefined) return
    const current = this.#values.get(property)
    let next: unknown
    try {
      next = row.merge ? row.merge(current, value, other => this.#values.get(other)) : (current ?? value)
    } catch (error) {
      if (error instanceof ConfigError && error.file === '') throw problemAt(line, error.message)
      throw error
    }
    const effective = next !== current
    if (effective) this.#values.set(property, next)
    if (this.history.length < maxHistory) {
      this.history.push({ property, file: line.file, line: line.line, text: line.rest, effective })
    }
  }
}

/** Gathers the problems of a file, so that all of them are reported at once. */
export class ProblemList {
  readonly #file: string
  readonly #problems: ConfigError[] = []

  constructor(file: string) {
    this.#file = file
  }

  /** Runs one line; a ConfigError of this file is kept, everything else passes. */
  run(step: () => void): void {
    try {
      step()
    } catch (error) {
      if (!(error instanceof ConfigError) || error.file !== this.#file) throw error
      this.#problems.push(error)
    }
  }

  /** @throws ConfigError with all that was gathered, and OpenSSH's closing line. */
  finish(): void {
    const first = this.#problems[0]
    if (!first) return
    const closing = `${this.#file}: terminating, ${this.#problems.length} bad configuration options`
    const message = [...this.#problems.map(problem => problem.message), closing].join('\n')
    throw new ConfigError(
      this.#file,
      first.line,
      message,
      this.#problems.flatMap(problem => problem.problems),
    )
  }
}
