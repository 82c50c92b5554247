import { type AuthMethod, awaitOutcome, sendRequest } from './method.ts'

/** RFC 4252 §5.2: proves nothing, and learns which methods there are. */
export const none: AuthMethod = {
  name: 'none',
  client(context) {
    return async () => {
      sendRequest(context, 'none')
      return awaitOutcome(context)
    }
  },
  async server({ options }, { user }) {
    return { verdict: (await options.authority.none?.(user)) ?? { accepted: false } }
  },
  // It is never named in the list of methods.
  offered: () => false,
}
