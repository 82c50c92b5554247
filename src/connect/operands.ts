import { CommandError } from '../command/errors.ts'

/** One source or target of a copy. */
export type Operand = LocalOperand | RemoteOperand

export interface LocalOperand {
  readonly kind: 'local'
  readonly path: string
}

export interface RemoteOperand {
  readonly kind: 'remote'
  readonly user: string | undefined
  readonly host: string
  readonly port: number | undefined
  /** As typed; empty is the home directory. */
  readonly path: string
}

/**
 * `path`, `[user@]host:[path]` or `scp://[user@]host[:port][/path]` (scp(1)). A colon after a slash belongs to a file name.
 * @throws CommandError
 */
export function parseOperand(text: string): Operand {
  if (text.startsWith('scp://')) return parseUri(text)
  const colon = findColon(text)
  if (colon < 0) return { kind: 'local', path: text }
  const place = text.slice(0, colon)
  const at = place.lastIndexOf('@')
  const user = at < 0 ? undefined : place.slice(0, at)
  const host = place.slice(at + 1).replace(/^\[(.*)\]$/, '$1')
  if (user === '' || host === '') throw new CommandError(`${text}: invalid target`, 1)
  return {
    kind: 'remote',
    user: checkedUser(user),
    host: checkedHost(host),
    port: undefined,
    path: text.slice(colon + 1),
  }
}

/** Where the path begins, at a colon outside of brackets and before any slash; -1 for a local path. */
function findColon(text: string): number {
  if (text.startsWith(':')) return -1
  let bracketed = text.startsWith('[')
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith('@[', at)) bracketed = true
    if (bracketed && text.startsWith(']:', at)) return at + 1
    if (text[at] === ':' && !bracketed) return at
    if (text[at] === '/') return -1
  }
  return -1
}

function parseUri(text: string): RemoteOperand {
  const match = /^scp:\/\/(?:([^@/]+)@)?(\[[^\]/]+\]|[^:/@[\]]+)(?::(\d{1,5}))?(?:\/(.*))?$/s.exec(text)
  const port = match?.[3] === undefined ? undefined : Number(match[3])
  if (!match || port === 0 || (port ?? 0) > 65535) throw new CommandError(`${text}: invalid uri`, 1)
  // RFC 3986 §2.1; the user may be followed by parameters after `;`, which are not for us.
  const user = match[1] === undefined ? undefined : decoded(match[1].split(';', 1)[0]!, text)
  const host = match[2]!.replace(/^\[(.*)\]$/, '$1')
  return { kind: 'remote', user: checkedUser(user), host: checkedHost(host), port, path: decoded(match[4] ?? '', text) }
}

function decoded(part: string, uri: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new CommandError(`${uri}: invalid uri`, 1)
  }
}

/** A user name that no shell and no command line could take for something else. @throws CommandError */
function checkedUser(user: string | undefined): string | undefined {
  if (user !== undefined && (user.startsWith('-') || /[\s'"`\\$;&|<>(){}\0]/.test(user))) {
    throw new CommandError(`${user}: invalid user name`, 1)
  }
  return user
}

function checkedHost(host: string): string {
  if (host.startsWith('-') || /[\s'"`\\$;&|<>(){}\0]/.test(host)) {
    throw new CommandError('hostname contains invalid characters', 255)
  }
  return host
}
