import { hasTerminal } from '../terminal/prompt.ts'
import { readStdinLine } from '../terminal/stdin.ts'
import { type Environment, interactiveAsk } from './ask.ts'
import { askpassProgram } from './confirm.ts'

/**
 * Asks for a passphrase as ssh-add and ssh-keygen do: through askpass where stdin is no terminal (or as
 * SSH_ASKPASS_REQUIRE says), else on the terminal, else from a line of stdin. '' when nobody answers.
 */
export async function askPassphrase(question: string, env: Environment): Promise<string> {
  const program = askpassProgram(env)
  const required = env['SSH_ASKPASS_REQUIRE']?.toLowerCase()
  if (program !== undefined && (required === 'force' || required === 'prefer' || !process.stdin.isTTY)) {
    const forced = { ...env, SSH_ASKPASS: program, SSH_ASKPASS_REQUIRE: 'force' }
    return (await interactiveAsk(forced)(question, { echo: false })) ?? ''
  }
  if (hasTerminal()) {
    const onTerminal = interactiveAsk({ ...env, SSH_ASKPASS_REQUIRE: 'never' })
    return (await onTerminal(question, { echo: false })) ?? ''
  }
  process.stderr.write(question)
  return (readStdinLine() ?? '').replace(/\r$/, '')
}
