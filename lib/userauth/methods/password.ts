import { sanitize } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import { PasswordChangeRequest, UserauthFailure, UserauthSuccess } from '../messages.ts'
import { type AuthMethod, type ClientContext, type Outcome, sendRequest, toOutcome } from './method.ts'

const defaultPrompts = 3
/** Longer passwords fail at once: hashing them would cost us more than the client. */
const passwordLimit = 1024

/** RFC 4252 §8. */
export const password: AuthMethod = {
  name: 'password',
  client(context) {
    const { credentials } = context
    let attempt = 0
    return async () => {
      if (attempt >= (credentials.passwordPrompts ?? defaultPrompts)) return undefined
      const secret = await credentials.password?.(++attempt)
      if (secret === undefined) return undefined
      sendRequest(context, 'password', writer => writer.boolean(false).text(secret))
      return finishPassword(context)
    }
  },
  async server({ exchange, options: { authority } }, { user, data }) {
    const reader = new Reader(data)
    const change = reader.boolean()
    const secret = reader.text()
    const newSecret = change ? reader.text() : undefined
    reader.finish()
    if ([secret, newSecret ?? ''].some(text => text.length > passwordLimit || text.includes('\0')))
      return { verdict: { accepted: false } }
    if (newSecret !== undefined) {
      return { verdict: (await authority.changePassword?.(user, secret, newSecret)) ?? { accepted: false } }
    }
    const verdict = (await authority.password?.(user, secret)) ?? { accepted: false as const }
    if (!('changeRequired' in verdict)) return { verdict }
    exchange.send(PasswordChangeRequest, { prompt: verdict.changeRequired, language: '' })
    return 'answered'
  },
  offered: ({ authority }) => authority.password !== undefined,
}

/** The answer to a password, or to the new one that the server asks for. */
async function finishPassword(context: ClientContext): Promise<Outcome | undefined> {
  const received = await context.exchange.receiveOneOf(UserauthSuccess, UserauthFailure, PasswordChangeRequest)
  if (received.name !== 'USERAUTH_PASSWD_CHANGEREQ') return toOutcome(received)
  const change = await context.credentials.newPassword?.(sanitize(received.value.prompt))
  if (!change) return undefined
  sendRequest(context, 'password', writer => writer.boolean(true).text(change.old).text(change.new))
  return finishPassword(context)
}
