import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import type { KeyboardInteractiveDialogue } from '../../lib/userauth/authority.ts'
import type { PamMessage } from '../../src/native/pam.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { type PamOutcome, runPam } from './pam-helper.ts'
import { passwordIsInFile } from './password-file.ts'
import { decoySetting, expiryWarnings, parseShadow, passwordExpiry, passwordMatches, readShadow } from './shadow.ts'

/** Where passwords come from: the system (root only), a file of ours, or nowhere. */
export type PasswordSource =
  | { readonly kind: 'pam' }
  | { readonly kind: 'shadow' }
  | { readonly kind: 'file'; readonly file: string }
  | { readonly kind: 'none' }

/** The answer to a password. `expired`: it is right, but the user must choose another one first. */
export interface PasswordVerdict {
  readonly correct: boolean
  readonly expired: boolean
  /** For the user, shown on the terminal after the login. */
  readonly notes: readonly string[]
}

const wrong: PasswordVerdict = { correct: false, expired: false, notes: [] }

/** Who asks, and from where. */
export interface PasswordContext {
  readonly user: string
  readonly remoteHost: string
  readonly options: SshdOptions
  readonly log: Log
}

/** Whether the password is the user's. Users whom nobody knows take the same time. */
export async function checkPassword(
  source: PasswordSource,
  context: PasswordContext,
  password: string,
): Promise<PasswordVerdict> {
  switch (source.kind) {
    case 'pam':
      return pamPassword(context, password)
    case 'shadow':
      return shadowPassword(context, password)
    case 'file':
      return { ...wrong, correct: await passwordIsInFile(source.file, context.user, password) }
    case 'none':
      return wrong
  }
}

function shadowPassword({ user, log }: PasswordContext, password: string): PasswordVerdict {
  const text = readShadow()
  const entry = parseShadow(text, user)
  const correct = passwordMatches(password, entry?.hash, decoySetting(text))
  if (!correct || !entry) return wrong
  const expiry = passwordExpiry(entry, new Date())
  if (expiry) log.info?.(`User ${user} ${expiry}`)
  return { correct, expired: expiry !== undefined, notes: expiryWarnings(entry, new Date()) }
}

const pamRequest = ({ user, remoteHost, options }: PasswordContext) => ({
  service: options.pamServiceName,
  user,
  remoteHost,
  emptyPasswords: options.permitEmptyPasswords,
})

async function pamPassword(context: PasswordContext, password: string): Promise<PasswordVerdict> {
  const notes: string[] = []
  const outcome = await runPam(
    { ...pamRequest(context), purpose: 'login', mayChangePassword: false },
    async ({ style, text }) => {
      if (style === 'info' || style === 'error') notes.push(`${text}\n`)
      // A module that shows what is typed asks for something else than the password.
      return style === 'hidden' ? password : undefined
    },
  )
  logRefusal(outcome, context)
  if (outcome.kind === 'refused') return { ...wrong, notes }
  return { correct: true, expired: outcome.passwordExpired, notes }
}

function logRefusal(outcome: PamOutcome, { user, remoteHost, log }: PasswordContext): void {
  if (outcome.kind === 'accepted') return
  if (outcome.stage === 'account') log.info?.(`Access denied for user ${user} by PAM account configuration`)
  else log.error(`PAM: ${outcome.reason} for ${user} from ${remoteHost}`)
}

/** PAM's own questions, asked of the client (RFC 4256). Undefined when PAM refuses. */
export async function converseWithPam(
  context: PasswordContext,
  dialogue: KeyboardInteractiveDialogue,
): Promise<PasswordVerdict> {
  let shown = ''
  let failure: unknown
  const converse = async ({ style, text }: PamMessage): Promise<string | undefined> => {
    if (style === 'info' || style === 'error') {
      shown += `${text}\n`
      return undefined
    }
    try {
      const instruction = shown.trimEnd()
      shown = ''
      return (await dialogue.ask('', instruction, [{ text, echo: style === 'visible' }]))[0]
    } catch (error) {
      failure = error
      throw error
    }
  }
  try {
    const outcome = await runPam({ ...pamRequest(context), purpose: 'login', mayChangePassword: true }, converse)
    logRefusal(outcome, context)
    return { correct: outcome.kind === 'accepted', expired: false, notes: shown === '' ? [] : [shown] }
  } catch (error) {
    // What ends the dialogue is the engine's business; anything else is a failed attempt.
    if (failure !== undefined) throw failure
    context.log.error(`PAM: ${messageOf(error)}`)
    return wrong
  }
}

/** Whether PAM lets the account in that a key proved. */
export async function pamAccount(context: PasswordContext): Promise<PasswordVerdict> {
  const notes: string[] = []
  const outcome = await runPam(
    { ...pamRequest(context), purpose: 'account', mayChangePassword: false },
    async ({ style, text }) => {
      if (style === 'info' || style === 'error') notes.push(`${text}\n`)
      return undefined
    },
  )
  logRefusal(outcome, context)
  if (outcome.kind === 'refused') return { ...wrong, notes }
  return { correct: true, expired: outcome.passwordExpired, notes }
}
