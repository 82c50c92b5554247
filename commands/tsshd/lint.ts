import { CommandError } from '../../src/command/errors.ts'
import { ConfigError } from '../../src/openssh/errors.ts'
import { formatFindings, lintSshdConfig } from '../../src/openssh/lint.ts'
import { lintFile } from '../../src/openssh/load.ts'
import type { Invocation } from './command-line.ts'

/** `--lint`: prints what is wrong or doubtful in the configuration file. @returns whether anything is */
export function printFindings({ configFile = '', json }: Invocation): boolean {
  try {
    const findings = lintFile(lintSshdConfig, configFile, '/etc/ssh')
    process.stdout.write(formatFindings(findings, json))
    return findings.length > 0
  } catch (error) {
    throw error instanceof ConfigError ? new CommandError(`tsshd: ${error.message}`, 1) : error
  }
}
