import { silentLog } from '../../lib/log.ts'
import { bytesOf, type LoginContext } from './authorized-keys.ts'
import { type KeyOptions, parseKeyOptions } from './key-options.ts'

/**
 * The options of the first line that names one of a certificate's principals (sshd_config(5), AuthorizedPrincipalsFile).
 * Whether they apply to this client is for the caller to say. Text is one character per byte.
 */
export function matchAuthorizedPrincipal(
  text: string,
  principals: readonly string[],
  { source = 'authorized principals', log = silentLog, tell }: LoginContext,
): KeyOptions | undefined {
  const held = principals.map(bytesOf)
  for (const [index, line] of text.split('\n').entries()) {
    // A comment may begin anywhere, even inside quotes.
    const content = line
      .split('\0', 1)[0]!
      .split('#', 1)[0]!
      .replace(/^[ \t]+|[ \t]+$/g, '')
    if (content === '') continue
    // The last blank begins the name; a tab does so only where there is no space.
    const blank = content.lastIndexOf(content.includes(' ') ? ' ' : '\t')
    const name = content.slice(blank + 1).replace(/^[ \t]+/, '')
    const options = parseKeyOptions(name === content ? '' : content)
    if ('problem' in options) {
      const text = `${source}:${index + 1}: bad principals options: ${options.problem}`
      log.debug1?.(text)
      tell?.(text)
    } else if (held.includes(name)) return options
  }
  return undefined
}
