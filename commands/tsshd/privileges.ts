import { statSync } from 'node:fs'
import type { Account } from '../../src/net/accounts.ts'

/** The process could not become its user, or could become root again: it must end. */
export class PrivilegeError extends Error {
  override readonly name = 'PrivilegeError'
}

export const isRoot = (): boolean => process.geteuid?.() === 0

/**
 * With io_uring, Node leaves files to a thread of the kernel that keeps root's rights after we gave ours up
 * (CVE-2024-22017). @returns why the server must not start
 */
export function unsafeEnvironment(): string | undefined {
  return isRoot() && process.env['UV_USE_IO_URING'] === '1'
    ? 'UV_USE_IO_URING=1 would keep root privileges after a login; unset it.'
    : undefined
}

/**
 * Makes this process the account's for ever: all its groups, its group, its user, in this order.
 * @throws PrivilegeError when anything is left of root
 */
export function becomeUser({ name, uid, gid }: Account): void {
  const { initgroups, setgid, setuid } = process as typeof process & {
    /** Absent from the type declarations. */
    initgroups?: (user: string, group: number) => void
  }
  if (!initgroups || !setgid || !setuid) throw new PrivilegeError('this system cannot change users')
  try {
    initgroups(name, gid)
    setgid(gid)
    setuid(uid)
  } catch (error) {
    throw new PrivilegeError(`cannot become ${name}`, { cause: error })
  }
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()]
  if (ids.join() !== [uid, uid, gid, gid].join()) throw new PrivilegeError(`did not become ${name}`)
  if (uid !== 0 && (regained(() => process.setuid?.(0)) || regained(() => process.seteuid?.(0))))
    throw new PrivilegeError('root privileges could be regained')
  // A group that the user is in may be taken again; root's may not.
  if (uid !== 0 && gid !== 0 && !process.getgroups?.().includes(0) && regained(() => process.setegid?.(0)))
    throw new PrivilegeError("root's group could be regained")
}

function regained(action: () => void): boolean {
  try {
    action()
    return true
  } catch {
    return false
  }
}

/** @returns why a directory must not become a root directory (sshd_config(5), ChrootDirectory), in sshd's words */
export function chrootProblem(path: string): string | undefined {
  if (!path.startsWith('/')) return `chroot path does not begin at root`
  const parts = path.split('/').filter(part => part !== '')
  for (let depth = 0; depth <= parts.length; depth++) {
    const component = `/${parts.slice(0, depth).join('/')}`
    const kind = depth < parts.length ? 'component ' : ''
    const status = statSync(component, { throwIfNoEntry: false })
    if (!status) return `stat("${component}"): No such file or directory`
    if (status.uid !== 0 || (status.mode & 0o022) !== 0)
      return `bad ownership or modes for chroot directory ${kind}"${component}"`
    if (!status.isDirectory()) return `chroot path ${kind}"${component}" is not a directory`
  }
  return undefined
}
