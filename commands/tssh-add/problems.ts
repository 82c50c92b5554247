import { AgentError, KeyError, messageOf, sanitize } from '../../lib/errors.ts'
import { systemErrorText } from '../../src/openssh/system-error.ts'

/** A line on stderr. Comments and names in it are not ours: they cannot command the terminal. */
export const say = (line: string): void => {
  process.stderr.write(`${sanitize(line, true)}\n`)
}

/** What ssh-add says of an error; people and scripts know these words. */
export function problemText(error: unknown): string {
  if (error instanceof AgentError) {
    if (error.code === 'unreachable') return 'communication with agent failed'
    return error.code === 'malformed' ? 'invalid format' : 'agent refused operation'
  }
  if (error instanceof KeyError) {
    if (error.code === 'unknown-format' || error.code === 'malformed') return 'invalid format'
    return error.code === 'unsupported' ? `unknown or unsupported key type (${error.message})` : error.message
  }
  return systemErrorText(error) ?? messageOf(error)
}
