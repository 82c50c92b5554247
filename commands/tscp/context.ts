import type { FileHosts } from '../../src/connect/file-hosts.ts'
import type { Invocation } from './command-line.ts'

import type { Reporter } from './reporter.ts'

/** What every way of copying needs. */
export interface CopyContext {
  readonly invocation: Invocation
  readonly hosts: FileHosts
  readonly reporter: Reporter
  readonly signal: AbortSignal
}
