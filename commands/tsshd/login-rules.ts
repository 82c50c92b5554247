import { type Stats, statSync } from 'node:fs'
import type { Account } from '../../src/net/accounts.ts'
import { groupsOfUser } from '../../src/openssh/load.ts'
import { matchPattern, matchUser } from '../../src/openssh/pattern.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'

/** The client as the rules see it. */
export interface ClientPlace {
  readonly address: string
  /** The client's name where UseDNS looks it up, its address otherwise. */
  readonly host: string
}

/** What the rules ask the machine. */
export interface Machine {
  stat(path: string): Stats | undefined
  groupsOf(user: string): readonly string[]
  /** shadow(5) says that nobody may use this account. */
  isLocked(user: string): boolean
}

export const thisMachine = (isLocked: Machine['isLocked']): Machine => ({
  stat: path => statSync(path, { throwIfNoEntry: false }),
  groupsOf: groupsOfUser,
  isLocked,
})

/** Why an account may not log in at all, as sshd logs it; undefined when it may try. */
export function refusal(
  account: Account,
  { address, host }: ClientPlace,
  options: SshdOptions,
  machine: Machine,
): string | undefined {
  const { name } = account
  if (!options.usePAM && machine.isLocked(name)) return `User ${name} not allowed because account is locked`
  const shell = options.chrootDirectory === undefined ? shellProblem(account.shell, machine) : undefined
  if (shell) return `User ${name} not allowed because shell ${account.shell} ${shell}`
  const because = (reason: string): string => `User ${name} from ${host} not allowed because ${reason}`
  // A pattern that cannot be judged refuses, whichever list it is in.
  const verdicts = (patterns: readonly string[]) => patterns.map(pattern => matchUser(name, host, address, pattern))
  const denied = verdicts(options.denyUsers)
  if (denied.some(verdict => verdict !== 'none')) return because('listed in DenyUsers')
  const allowed = verdicts(options.allowUsers)
  if (allowed.length > 0 && (!allowed.includes('match') || allowed.includes('invalid')))
    return because('not listed in AllowUsers')
  return groupRefusal(name, options, machine, because)
}

function groupRefusal(
  name: string,
  { denyGroups, allowGroups }: SshdOptions,
  machine: Machine,
  because: (reason: string) => string,
): string | undefined {
  if (denyGroups.length === 0 && allowGroups.length === 0) return undefined
  const groups = machine.groupsOf(name)
  if (groups.length === 0) return because('not in any group')
  const isIn = (patterns: readonly string[]): boolean =>
    groups.some(group => patterns.some(pattern => matchPattern(group, pattern)))
  if (isIn(denyGroups)) return because('a group is listed in DenyGroups')
  if (allowGroups.length > 0 && !isIn(allowGroups)) return because("none of user's groups are listed in AllowGroups")
  return undefined
}

function shellProblem(shell: string, machine: Machine): string | undefined {
  const status = machine.stat(shell)
  if (!status) return 'does not exist'
  return status.isFile() && (status.mode & 0o111) !== 0 ? undefined : 'is not executable'
}

/** Whether root may log in by this method (PermitRootLogin). `forced`: the key or certificate forces a command. */
export function rootMayLogin(permit: SshdOptions['permitRootLogin'], method: string, forced: boolean): boolean {
  switch (permit) {
    case 'yes':
      return true
    case 'prohibit-password':
      return ['publickey', 'publickey-hostbound-v00@openssh.com', 'hostbased', 'gssapi-with-mic'].includes(method)
    case 'forced-commands-only':
      return forced
    case 'no':
      return false
  }
}
