import { type Ask, type Environment, interactiveAsk } from '../../src/identity/ask.ts'

/** What has to step aside while a question is asked. */
export interface TerminalUser {
  pause(): Promise<void>
  resume(): void
}

/** Questions for the user, also while a session has the terminal: one at a time. */
export class Prompts {
  readonly ask: Ask
  #last: Promise<unknown> = Promise.resolve()
  /** The session that reads the terminal, if one does. */
  session: TerminalUser | undefined

  constructor(env: Environment) {
    const ask = interactiveAsk(env)
    this.ask = (question, options) => this.alone(() => ask(question, options))
  }

  /** Does something with the terminal while nobody else uses it. */
  alone<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#last.then(async () => {
      await this.session?.pause()
      try {
        return await action()
      } finally {
        // The key that ended the answer woke up the session's reader too: until that is over, it would wait for another.
        await new Promise(resolve => setImmediate(resolve))
        this.session?.resume()
      }
    })
    this.#last = done.catch(() => {})
    return done
  }
}
