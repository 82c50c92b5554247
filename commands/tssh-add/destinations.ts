import { userInfo } from 'node:os'
import { join } from 'node:path'
import { type DestinationConstraint, type DestinationHop, originHop } from '../../lib/agent/destinations.ts'
import type { Log } from '../../lib/log.ts'
import { CommandError } from '../../src/command/errors.ts'
import { readTextFile } from '../../src/openssh/files.ts'
import { lookUpHost } from '../../src/openssh/known-hosts.ts'

/** Status of what OpenSSH calls fatal. */
const fatalStatus = 255
/** The names of known_hosts are looked up as they stand: `[host]:port` for another port. */
const plainPort = 22

const usualFiles = (): string[] => [
  join(userInfo().homedir, '.ssh', 'known_hosts'),
  join(userInfo().homedir, '.ssh', 'known_hosts2'),
  '/etc/ssh/ssh_known_hosts',
  '/etc/ssh/ssh_known_hosts2',
]

/** Reads `[user@]host` and `host>[user@]host`, and finds the hosts' keys in known_hosts. @throws CommandError */
export function readDestination(text: string, files: readonly string[], log: Log): DestinationConstraint {
  const paths = files.length > 0 ? files.map(expandHome) : usualFiles()
  const hosts = { paths, log }
  const arrow = text.indexOf('>')
  if (arrow < 0) return { from: originHop, to: readHop(text, hosts) }
  const constraint = { from: readHop(text.slice(0, arrow), hosts), to: readHop(text.slice(arrow + 1), hosts) }
  if (constraint.from.user !== '') {
    const shown = text.slice(0, arrow)
    throw new CommandError(`Invalid key constraint ${shown}: cannot specify user on 'from' host`, fatalStatus)
  }
  return constraint
}

const expandHome = (path: string): string => (path.startsWith('~/') ? join(userInfo().homedir, path.slice(2)) : path)

function readHop(text: string, { paths, log }: { paths: readonly string[]; log: Log }): DestinationHop {
  const at = text.lastIndexOf('@')
  const user = at < 0 ? '' : text.slice(0, at)
  const host = text.slice(at + 1).replace(/^\[(.*)\]$/, '$1')
  if (host === '') {
    if (at >= 0) return { user, host: '', keys: [] }
    const problem = 'does not specify user or host'
    throw new CommandError(`Invalid key destination constraint "${text}": ${problem}`, fatalStatus)
  }
  const keys = paths.flatMap(path => {
    log.debug2?.(`looking up host keys for "${host}" in ${path}`)
    return [...lookUpHost(readTextFile(path) ?? '', host, plainPort)]
      .filter(({ marker }) => marker !== 'revoked')
      .map(({ key, marker }) => ({ key, isAuthority: marker === 'cert-authority' }))
  })
  if (keys.length === 0) throw new CommandError(`No host keys found for destination "${host}"`, fatalStatus)
  return { user, host, keys }
}
