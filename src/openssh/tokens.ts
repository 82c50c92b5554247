import { ConfigError } from './errors.ts'

/** What `%x` stands for, by its letter. */
export type Tokens = Readonly<Record<string, string>>

export type Environment = Readonly<Record<string, string | undefined>>

/** Longest text that an expansion may give. */
export const maxExpandedLength = 1 << 20

/**
 * Replaces `%x` by its token (with `tokens`; `%%` is a percent sign) and `${NAME}` by the environment (with `env`), as
 * ssh_config(5) TOKENS and ENVIRONMENT VARIABLES say. What was put in is not looked at again.
 * @throws ConfigError, without a file, for an unknown token, an unclosed or unset variable.
 */
export function expandTokens(text: string, tokens: Tokens | undefined, env?: Environment): string {
  let out = ''
  let at = 0
  while (at < text.length) {
    const c = text[at]!
    if (env && c === '$' && text[at + 1] === '{') {
      const close = text.indexOf('}', at + 2)
      if (close < 0) throw problem(`environment variable '${text.slice(at + 2)}' missing closing '}'`)
      const name = text.slice(at + 2, close)
      if (name === '') throw problem('zero-length environment variable')
      const value = Object.hasOwn(env, name) ? env[name] : undefined
      if (value === undefined) throw problem(`env var \${${name}} has no value`)
      out += value
      at = close + 1
    } else if (tokens && c === '%') {
      const letter = text[at + 1]
      if (letter === undefined) throw problem('invalid format')
      if (letter === '%') out += '%'
      else if (Object.hasOwn(tokens, letter)) out += tokens[letter]!
      else throw problem(`unknown key %${letter}`)
      at += 2
    } else {
      out += c
      at++
    }
    if (out.length > maxExpandedLength) throw problem('expanded text is too long')
  }
  return out
}

const problem = (text: string): ConfigError => new ConfigError('', 0, text)

/** Where home directories are: the own user's, and other users' by name. */
export interface Homes {
  readonly home: string
  homeOf?(user: string): string | undefined
}

/** Replaces a leading `~` or `~user` by that home directory. @throws ConfigError, without a file, for an unknown user. */
export function expandTilde(path: string, homes: Homes): string {
  if (!path.startsWith('~')) return path
  const slash = path.indexOf('/')
  const user = path.slice(1, slash < 0 ? undefined : slash)
  const home = user === '' ? homes.home : homes.homeOf?.(user)
  if (home === undefined) throw problem(`No such user ${user}`)
  const rest = slash < 0 ? '' : path.slice(slash).replace(/^\/+/, '')
  return `${home}${home.endsWith('/') ? '' : '/'}${rest}`
}
