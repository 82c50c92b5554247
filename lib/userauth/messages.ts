import { ProtocolError } from '../errors.ts'
import { message } from '../wire/message.ts'
import { boolean, type Field, nameList, rest, secret, string, struct, text } from '../wire/struct.ts'

/** RFC 4252 and RFC 4256. Numbers 60 to 79 mean different things in each method. */

export interface UserauthRequestFields {
  user: string
  service: string
  method: string
  data: Buffer
}

export const UserauthRequest = message<UserauthRequestFields, 'USERAUTH_REQUEST'>(50, 'USERAUTH_REQUEST', 'userauth', {
  user: text,
  service: text,
  method: text,
  // Passwords and signatures are in here.
  data: secret(rest),
})

export const UserauthFailure = message<{ methods: string[]; partialSuccess: boolean }, 'USERAUTH_FAILURE'>(
  51,
  'USERAUTH_FAILURE',
  'userauth',
  { methods: nameList, partialSuccess: boolean },
)

export const UserauthSuccess = message<Record<never, never>, 'USERAUTH_SUCCESS'>(52, 'USERAUTH_SUCCESS', 'userauth', {})

export const UserauthBanner = message<{ text: string; language: string }, 'USERAUTH_BANNER'>(
  53,
  'USERAUTH_BANNER',
  'userauth',
  { text, language: text },
)

export const PublicKeyOk = message<{ algorithm: string; blob: Buffer }, 'USERAUTH_PK_OK'>(
  60,
  'USERAUTH_PK_OK',
  'userauth',
  {
    algorithm: text,
    blob: string,
  },
)

export const PasswordChangeRequest = message<{ prompt: string; language: string }, 'USERAUTH_PASSWD_CHANGEREQ'>(
  60,
  'USERAUTH_PASSWD_CHANGEREQ',
  'userauth',
  { prompt: text, language: text },
)

/** Prompts or responses that one message may hold. */
export const promptLimit = 64

/** A uint32 count, then so many values. */
function counted<T>(field: Field<T>): Field<T[]> {
  return {
    read(reader) {
      const count = reader.uint32()
      // Each value takes at least its length field, so a count cannot exceed the message.
      if (count > promptLimit || count > reader.remaining)
        throw new ProtocolError('malformed-message', `${count} prompts in one message`)
      return Array.from({ length: count }, () => field.read(reader))
    },
    write(writer, values) {
      writer.uint32(values.length)
      for (const value of values) field.write(writer, value)
    },
    describe: values => `[${values.map(value => field.describe(value)).join('; ')}]`,
    random: dice => Array.from({ length: dice.next(4) }, () => field.random(dice)),
  }
}

export interface InfoRequestFields {
  name: string
  instruction: string
  language: string
  prompts: { text: string; echo: boolean }[]
}

export const InfoRequest = message<InfoRequestFields, 'USERAUTH_INFO_REQUEST'>(
  60,
  'USERAUTH_INFO_REQUEST',
  'userauth',
  {
    name: text,
    instruction: text,
    language: text,
    prompts: counted(struct({ text, echo: boolean })),
  },
)

export const InfoResponse = message<{ responses: string[] }, 'USERAUTH_INFO_RESPONSE'>(
  61,
  'USERAUTH_INFO_RESPONSE',
  'userauth',
  { responses: secret(counted(text)) },
)
