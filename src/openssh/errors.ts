import { SshError } from '../../lib/errors.ts'

/** One thing wrong in a configuration file; `line` is 0 where OpenSSH counts none (`-o`, a whole file). */
export interface ConfigProblem {
  readonly file: string
  readonly line: number
  /** The whole text, with file and line in the form that OpenSSH writes them. */
  readonly message: string
}

/** A text file of OpenSSH's cannot be used: `message` has one line for each problem, as OpenSSH prints them. */
export class ConfigError extends SshError<'config'> {
  /** Where the first problem is. */
  readonly file: string
  readonly line: number
  readonly problems: readonly ConfigProblem[]

  constructor(file: string, line: number, message: string, problems?: readonly ConfigProblem[]) {
    super('config', message)
    this.file = file
    this.line = line
    this.problems = problems ?? [{ file, line, message }]
  }
}
