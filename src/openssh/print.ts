import type { Keyword, KeywordTable } from './keyword.ts'
import type { SshConfig } from './resolve-ssh-config.ts'
import { sshKeywords } from './ssh-config.ts'

/** The lines of one option, keyword in lower case. */
export function printOption(row: Keyword<unknown>, value: unknown): string[] {
  const texts = value === undefined && row.default !== undefined ? undefined : row.print(value)
  if (texts === undefined) return []
  return (typeof texts === 'string' ? [texts] : texts).map(text => `${row.name.toLowerCase()} ${text}`)
}

export function printOptions(table: KeywordTable, values: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(table).flatMap(([property, row]) => printOption(row, values[property]))
}

/** What `ssh -G` prints: every option in its final form, one a line. */
export function printSshConfig(config: SshConfig): string {
  const lines = printOptions(sshKeywords, config as unknown as Record<string, unknown>)
    // The one name that OpenSSH does not print in lower case.
    .map(line => line.replace(/^canonicalizepermittedcnames /, 'canonicalizePermittedcnames '))
  return `${[`host ${config.host}`, ...lines].join('\n')}\n`
}
