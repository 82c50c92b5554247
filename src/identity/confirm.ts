import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Environment } from './ask.ts'

/** Where distributions put an askpass program that SSH_ASKPASS does not name. */
const usualPrograms = ['/usr/bin/ssh-askpass', '/usr/libexec/ssh-askpass', '/usr/lib/ssh/ssh-askpass']

/** Longest answer that is looked at, in bytes. */
const answerLimit = 1024

/** The askpass program, when one may be used: there is a display, or SSH_ASKPASS_REQUIRE forces it. */
export function askpassProgram(env: Environment): string | undefined {
  const required = env['SSH_ASKPASS_REQUIRE']?.toLowerCase()
  const allowed = required === 'force' || (required !== 'never' && Boolean(env['DISPLAY'] || env['WAYLAND_DISPLAY']))
  return allowed ? env['SSH_ASKPASS'] || usualPrograms.find(existsSync) : undefined
}

/** Questions that are open now: they are asked one after the other, as a user can answer only one. */
let asking: Promise<unknown> = Promise.resolve()

/** Asks a yes-or-no question by the askpass program. An empty answer and `yes` permit; so nothing does where nobody can be asked. */
export function confirmByAskpass(question: string, env: Environment): Promise<boolean> {
  const answer = asking.then(() => {
    const program = askpassProgram(env)
    return program === undefined ? false : askOnce(program, question, env)
  })
  asking = answer
  return answer
}

const askOnce = (program: string, question: string, env: Environment): Promise<boolean> =>
  new Promise(resolve => {
    const child = spawn(program, [question], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...env, SSH_ASKPASS_PROMPT: 'confirm' },
    })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text = (text + chunk).slice(0, answerLimit)
    })
    child.on('error', () => resolve(false))
    child.on('close', status => resolve(status === 0 && /^(?:|yes)$/i.test(text.split(/\r?\n/, 1)[0] ?? '')))
  })
