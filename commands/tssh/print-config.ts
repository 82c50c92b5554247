import { homedir } from 'node:os'
import { CommandError } from '../../src/command/errors.ts'
import { ConfigError } from '../../src/openssh/errors.ts'
import { explainSshConfig } from '../../src/openssh/explain.ts'
import { formatFindings, lintSshConfig } from '../../src/openssh/lint.ts'
import { lintFile } from '../../src/openssh/load.ts'
import type { SshConfig } from '../../src/openssh/resolve-ssh-config.ts'

/** `-G --explain`: each option with the lines that made it, and those that came too late. */
export function explanationText(config: SshConfig, json: boolean): string {
  const rows = explainSshConfig(config)
  if (json) return `${JSON.stringify(rows, undefined, 2)}\n`
  const place = (file: string, line: number): string => (line > 0 ? `${file}:${line}` : file)
  const lines = rows.flatMap(({ keyword, values, setBy, overruled }) => {
    if (values.length === 0 && setBy.length === 0 && overruled.length === 0) return []
    const origin = setBy.length === 0 ? 'default' : setBy.map(({ file, line }) => place(file, line)).join(', ')
    return [
      `${keyword.toLowerCase()} ${values.join(' | ')}  (${origin})`,
      ...overruled.map(({ file, line, text }) => `    not ${place(file, line)}: ${text}`),
    ]
  })
  return `${lines.join('\n')}\n`
}

/** `--lint`: what is wrong or doubtful in a configuration file. @returns the text and the exit status: 1 with findings */
export function lintReport(file: string | undefined, json: boolean): { text: string; status: number } {
  const folder = `${homedir()}/.ssh`
  try {
    const findings = lintFile(lintSshConfig, file || `${folder}/config`, folder)
    return { text: formatFindings(findings, json), status: findings.length > 0 ? 1 : 0 }
  } catch (error) {
    throw error instanceof ConfigError ? new CommandError(`tssh: ${error.message}`, 255) : error
  }
}
