import { sanitize, UsageError } from '../../errors.ts'
import { Reader } from '../../wire/reader.ts'
import {
  InfoRequest,
  InfoResponse,
  promptLimit,
  UserauthFailure,
  UserauthRequest,
  type UserauthRequestFields,
  UserauthSuccess,
} from '../messages.ts'
import { type AuthMethod, sendRequest, toOutcome } from './method.ts'

const defaultPrompts = 3
/** Rounds of questions in one attempt. */
const roundLimit = 64

/** RFC 4256: the server asks, as often as it likes. */
export const keyboardInteractive: AuthMethod = {
  name: 'keyboard-interactive',
  client(context) {
    const { exchange, credentials } = context
    let attempt = 0
    let asked = false
    return async () => {
      if (!credentials.keyboardInteractive || attempt >= (credentials.passwordPrompts ?? defaultPrompts))
        return undefined
      // A server that refused without a question has none.
      if (attempt > 0 && !asked) return undefined
      attempt++
      sendRequest(context, 'keyboard-interactive', writer =>
        writer.text('').text(credentials.keyboardInteractiveSubmethods ?? ''),
      )
      for (;;) {
        const received = await exchange.receiveOneOf(UserauthSuccess, UserauthFailure, InfoRequest)
        if (received.name !== 'USERAUTH_INFO_REQUEST') return toOutcome(received)
        asked = true
        const { name, instruction, prompts } = received.value
        const clean = prompts.map(prompt => ({ text: sanitize(prompt.text), echo: prompt.echo }))
        const answers =
          clean.length === 0 && !name && !instruction
            ? []
            : await credentials.keyboardInteractive(sanitize(name), sanitize(instruction), clean)
        if (!answers) return undefined
        exchange.send(InfoResponse, { responses: answers })
      }
    }
  },
  async server({ exchange, options: { authority } }, { user, data }) {
    const reader = new Reader(data)
    reader.text()
    const submethods = reader.text()
    reader.finish()
    let rounds = 0
    try {
      const verdict = await authority.keyboardInteractive?.(
        user,
        {
          async ask(name, instruction, prompts) {
            if (prompts.length > promptLimit) throw new UsageError(`more than ${promptLimit} questions at once`)
            if (++rounds > roundLimit) throw new WrongAnswer()
            exchange.send(InfoRequest, {
              name,
              instruction,
              language: '',
              prompts: prompts.map(prompt => ({ ...prompt })),
            })
            const received = await exchange.receiveOneOf(InfoResponse, UserauthRequest)
            if (received.name === 'USERAUTH_REQUEST') throw new Abandoned(received.value)
            // The wrong number of answers fails the attempt (RFC 4256 §3.4).
            if (received.value.responses.length !== prompts.length) throw new WrongAnswer()
            return received.value.responses
          },
        },
        submethods,
      )
      return { verdict: verdict ?? { accepted: false } }
    } catch (error) {
      if (error instanceof Abandoned) return { abandonedFor: error.request }
      if (error instanceof WrongAnswer) return { verdict: { accepted: false } }
      throw error
    }
  },
  offered: ({ authority }) => authority.keyboardInteractive !== undefined,
}

/** Leaves an authority's dialogue that the client left. */
class Abandoned extends Error {
  readonly request: UserauthRequestFields

  constructor(request: UserauthRequestFields) {
    super('the client began another attempt')
    this.request = request
  }
}

/** Ends a dialogue that cannot succeed any more. */
class WrongAnswer extends Error {}
