import type { AlgorithmNames } from './algorithm-list.ts'
import { ConfigError } from './errors.ts'
import type { ConfigLine } from './lexer.ts'
import type { Environment } from './tokens.ts'

/** What a value parser may need to know besides its line. */
export interface ParseSettings {
  readonly algorithms: AlgorithmNames
  readonly env: Environment
  /** Name a line's keyword in errors as it was written, as sshd does; ssh uses lower case. */
  readonly keywordsAsWritten?: boolean
  /** Makes the path of a file absolute; `none` stays. */
  absolutePath?(path: string): string
}

/** A line's arguments, taken from the front. */
export class Arguments {
  readonly line: ConfigLine
  readonly settings: ParseSettings
  readonly #words: string[]

  constructor(line: ConfigLine, settings: ParseSettings) {
    this.line = line
    this.settings = settings
    this.#words = [...(line.words ?? [])]
  }

  get keyword(): string {
    return this.settings.keywordsAsWritten ? this.line.written : this.line.keyword
  }

  get left(): number {
    return this.#words.length
  }

  next(): string | undefined {
    return this.#words.shift()
  }

  /** The next argument, which must be there and not be empty. */
  need(text = 'Missing argument.'): string {
    const word = this.next()
    if (word === undefined || word === '') this.fail(text)
    return word
  }

  all(): string[] {
    return this.#words.splice(0)
  }

  /** The rest of the line as it stands, for commands. */
  raw(): string {
    this.#words.length = 0
    return this.line.rest.replace(/^[ \t\r\n=]+/, '')
  }

  fail(text: string): never {
    throw problemAt(this.line, text)
  }
}

/** A problem in the usual form `file line N: text`. */
export function problemAt(where: { readonly file: string; readonly line: number }, text: string): ConfigError {
  return new ConfigError(where.file, where.line, `${where.file} line ${where.line}: ${text}`)
}

/** How values of one sort are read and printed. `undefined` from `parse` leaves the option as if it had not been set. */
export interface Kind<T> {
  parse(args: Arguments): T | undefined
  /** The text after the keyword in `-G` and `-T`; several texts make several lines, undefined or none makes no line. */
  print(value: T): string | readonly string[] | undefined
  /** Applies an expansion to the texts inside a value. */
  mapText?(value: T, change: (text: string) => string): T
}

/** `percent`: `%x` tokens only; `all`: also `~` in front and `${NAME}`; `user`: like `all` without `%C`, `%r` and `~`. */
export type TokenUse = 'percent' | 'all' | 'environment' | 'user'

/** A row of a configuration table. */
export interface Keyword<T> extends Kind<T> {
  /** As the manual page writes it. */
  readonly name: string
  /** Other spellings that older configurations use. */
  readonly aliases: readonly string[]
  readonly default: T
  /** sshd only: whether the keyword may stand in a Match block. */
  readonly scope: 'global' | 'match'
  /** Which expansion applies once everything is known. */
  readonly tokens: TokenUse | undefined
  /**
   * Joins what is set already (undefined: nothing) with the value of a later line. `others` gives the other options as
   * set so far. Returning the current value means that the line lost. Without it the first value wins.
   */
  merge?(current: T | undefined, value: T, others: OptionReader): T | undefined
}

export type OptionReader = (property: string) => unknown

type Extras<T> = Partial<Pick<Keyword<T>, 'aliases' | 'scope' | 'tokens' | 'merge' | 'print'>>

/** A row whose option always has a value. */
export function keyword<T>(name: string, kind: Kind<T>, value: NoInfer<T>, extras: Extras<T> = {}): Keyword<T> {
  const base = { name, aliases: [], default: value, scope: 'global' as const, tokens: undefined }
  const parse = (args: Arguments): T | undefined => kind.parse(args)
  const print = (set: T): string | readonly string[] | undefined => kind.print(set)
  return { ...base, parse, print, ...(kind.mapText ? { mapText: kind.mapText } : {}), ...extras }
}

/** A row whose option may stay unset. */
export function optional<T>(name: string, kind: Kind<T>, extras: Extras<T | undefined> = {}): Keyword<T | undefined> {
  const mapText = kind.mapText
  return keyword<T | undefined>(
    name,
    {
      parse: args => kind.parse(args),
      print: value => (value === undefined ? undefined : kind.print(value)),
      ...(mapText ? { mapText: (value, change) => value && mapText(value, change) } : {}),
    },
    undefined,
    extras,
  )
}

/** Any table of rows, by property name. */
export type KeywordTable = Readonly<Record<string, Keyword<unknown>>>

/** The typed options of a table. */
export type Options<Table extends KeywordTable> = {
  -readonly [K in keyof Table]: Table[K] extends Keyword<infer T> ? T : never
}

const indexes = new WeakMap<KeywordTable, ReadonlyMap<string, string>>()

/** Keywords and aliases in lower case → property. */
export function keywordIndex(table: KeywordTable): ReadonlyMap<string, string> {
  const known = indexes.get(table)
  if (known) return known
  const index = new Map<string, string>()
  indexes.set(table, index)
  for (const [property, row] of Object.entries(table)) {
    for (const name of [row.name, ...row.aliases]) index.set(name.toLowerCase(), property)
  }
  return index
}
