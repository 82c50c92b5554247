import { spawn } from 'node:child_process'
import { askTerminal, hasTerminal } from '../terminal/prompt.ts'

/** Asks the user; undefined when nobody can be asked or the answer was refused. */
export type Ask = (question: string, options: { echo: boolean }) => Promise<string | undefined>

export type Environment = Readonly<Record<string, string | undefined>>

/** Longest answer of an askpass program, in bytes. */
const answerLimit = 1024

/**
 * Asks on the terminal, or through SSH_ASKPASS: when there is no terminal but a display, or as SSH_ASKPASS_REQUIRE says
 * (ssh(1), ENVIRONMENT).
 */
export function interactiveAsk(env: Environment): Ask {
  return async (question, options) => {
    const program = env['SSH_ASKPASS'] || undefined
    const required = env['SSH_ASKPASS_REQUIRE']
    const display = Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY'])
    const force = required === 'force' || (required === 'prefer' && display)
    if (required !== 'never' && program && (force || (!hasTerminal() && display)))
      return askProgram(program, question, env)
    return askTerminal(question, options)
  }
}

function askProgram(program: string, question: string, env: Environment): Promise<string | undefined> {
  return new Promise(resolve => {
    const child = spawn(program, [question], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...env } })
    let answer = Buffer.alloc(0)
    child.stdout.on('data', (chunk: Buffer) => {
      if (answer.length < answerLimit) answer = Buffer.concat([answer, chunk]).subarray(0, answerLimit)
    })
    child.on('error', () => resolve(undefined))
    child.on('close', status => resolve(status === 0 ? answer.toString('utf8').split(/\r?\n/, 1)[0] : undefined))
  })
}
