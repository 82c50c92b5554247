import type { Keyword, KeywordTable } from './keyword.ts'
import type { SshConfig } from './resolve-ssh-config.ts'
import { sshKeywords } from './ssh-config.ts'
import { type SshdOptions, sshdKeywords } from './sshd-config.ts'

/** The lines of one option. */
export function printOption(row: Keyword<unknown>, value: unknown, name: string): string[] {
  const texts = value === undefined && row.default !== undefined ? undefined : row.print(value)
  if (texts === undefined) return []
  return (typeof texts === 'string' ? [texts] : texts).map(text => `${name} ${text}`)
}

/** The lines of all options of a table, in its order. */
export function printOptions(
  table: KeywordTable,
  values: object,
  nameOf: (row: Keyword<unknown>) => string = row => row.name.toLowerCase(),
): string[] {
  const read = new Map<string, unknown>(Object.entries(values))
  return Object.entries(table).flatMap(([property, row]) => printOption(row, read.get(property), nameOf(row)))
}

/** What `ssh -G` prints: every option in its final form, one a line. */
export function printSshConfig(config: SshConfig): string {
  const lines = printOptions(sshKeywords, config)
    // The one name that OpenSSH does not print in lower case.
    .map(line => line.replace(/^canonicalizepermittedcnames /, 'canonicalizePermittedcnames '))
  return `${[`host ${config.host}`, ...lines].join('\n')}\n`
}

/** What `sshd -T` prints, of the server or of one connection. */
export function printSshdConfig(options: SshdOptions): string {
  return `${printOptions(sshdKeywords, options, row => row.name).join('\n')}\n`
}
