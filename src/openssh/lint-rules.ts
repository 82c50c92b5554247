import type { KeywordTable } from './keyword.ts'
import type { ConfigLine } from './lexer.ts'

/** What the checks of configuration files know beyond the tables of keywords. */

export type Severity = 'error' | 'warning' | 'hint'

/** A value that weakens a connection. */
export interface Weakness {
  readonly values: RegExp
  /** Only where the line applies to everybody. */
  readonly universal?: true
  readonly severity: Severity
  readonly message: string
  readonly fix: string
}

/** By keyword in lower case. */
export type Weaknesses = Readonly<Record<string, Weakness>>

const weakAlgorithms =
  /(^|[,+^])(none|3des-cbc|[^,]*-cbc(@[^,]*)?|arcfour[^,]*|[^,]*-md5[^,]*|[^,]*-sha1[^,]*|ssh-rsa(-cert[^,]*)?|ssh-dss[^,]*|diffie-hellman-group1-[^,]*)(,|$)/i
const weakList: Weakness = {
  values: weakAlgorithms,
  severity: 'warning',
  message: 'allows algorithms that are broken or near it (CBC, RC4, MD5, SHA-1)',
  fix: 'take them out of the list, or limit the line to the one host that needs them',
}
const smallKeys: Weakness = {
  values: /^(1?\d{1,3}|20[0-3]\d|204[0-7])$/,
  severity: 'warning',
  message: 'allows RSA keys that can be broken',
  fix: 'set it to 2048 or more',
}
const forBoth: Weaknesses = {
  ciphers: weakList,
  macs: weakList,
  kexalgorithms: weakList,
  hostkeyalgorithms: weakList,
  pubkeyacceptedalgorithms: weakList,
  casignaturealgorithms: weakList,
  requiredrsasize: smallKeys,
}

export const weakClient: Weaknesses = {
  ...forBoth,
  stricthostkeychecking: {
    values: /^(no|off|false)$/i,
    severity: 'warning',
    message: 'accepts any host key, also a changed one: nobody notices an attacker in the middle',
    fix: 'use "accept-new" or "ask"',
  },
  userknownhostsfile: {
    values: /^\/dev\/null$/,
    severity: 'warning',
    message: 'forgets every host key, so a change is never noticed',
    fix: 'keep a file, and remove single keys with ssh-keygen -R',
  },
  forwardagent: {
    values: /^(yes|true)$/i,
    universal: true,
    severity: 'warning',
    message: 'lets whoever is root on any host log in with the keys of the agent meanwhile',
    fix: 'limit the line to the hosts that need it, or use ProxyJump',
  },
  forwardx11trusted: {
    values: /^(yes|true)$/i,
    severity: 'hint',
    message: 'lets the remote host read the keyboard and the screen',
    fix: 'leave it "no" except for hosts that are trusted fully',
  },
  nohostauthenticationforlocalhost: {
    values: /^(yes|true)$/i,
    severity: 'hint',
    message: 'does not check the keys of localhost, which may be a forwarded port of another host',
    fix: 'give forwarded hosts a HostKeyAlias instead',
  },
}

export const weakServer: Weaknesses = {
  ...forBoth,
  permitrootlogin: {
    values: /^yes$/i,
    severity: 'warning',
    message: 'lets root log in with a password',
    fix: 'use "prohibit-password" or "no"',
  },
  permitemptypasswords: {
    values: /^yes$/i,
    severity: 'error',
    message: 'lets accounts without a password in',
    fix: 'set it to "no"',
  },
  strictmodes: {
    values: /^no$/i,
    severity: 'warning',
    message: 'takes authorized_keys files that others may write',
    fix: 'set it to "yes" and mend the permissions',
  },
  permituserenvironment: {
    values: /^yes$/i,
    severity: 'warning',
    message: 'lets users set variables such as LD_PRELOAD and so leave a ForceCommand',
    fix: 'name the variables in a pattern list, or use AcceptEnv',
  },
  ignorerhosts: {
    values: /^no$/i,
    severity: 'warning',
    message: 'believes ~/.rhosts',
    fix: 'set it to "yes"',
  },
  logingracetime: {
    values: /^0[smhdw]?$/i,
    severity: 'warning',
    message: 'lets clients that never log in hold their connections for ever',
    fix: 'give it a time such as "2m"',
  },
}

/** A line of a block that does nothing beside another, or undoes it. */
export interface Contradiction {
  readonly line: ConfigLine
  readonly message: string
  readonly fix: string
}

/** The first line of each option in a block, by property. */
type FirstLines = ReadonlyMap<string, ConfigLine>

export function clientContradictions(first: FirstLines): Contradiction[] {
  const says = (property: string, pattern: RegExp): boolean => pattern.test(first.get(property)?.rest ?? '')
  const found: Contradiction[] = []
  const report = (property: string, message: string, fix: string): void => {
    found.push({ line: first.get(property)!, message, fix })
  }
  if (
    first.has('proxyJump') &&
    first.has('proxyCommand') &&
    !says('proxyJump', /^none/i) &&
    !says('proxyCommand', /^none/i)
  )
    report('proxyCommand', 'ProxyJump and ProxyCommand exclude each other; the first one wins', 'keep one of them')
  if (says('controlPersist', /^(yes|true|\d)/) && says('controlPath', /^none/i))
    report('controlPersist', 'ControlPersist has no effect without a ControlPath', 'set ControlPath')
  if (first.has('localCommand') && says('permitLocalCommand', /^(no|false)/i))
    report('localCommand', 'LocalCommand does not run while PermitLocalCommand is no', 'set PermitLocalCommand yes')
  return found
}

const otherForwarding = ['allowTcpForwarding', 'allowAgentForwarding', 'x11Forwarding', 'permitTunnel']

export function serverContradictions(first: FirstLines): Contradiction[] {
  const says = (property: string, pattern: RegExp): boolean => pattern.test(first.get(property)?.rest ?? '')
  const words = (property: string): readonly string[] => first.get(property)?.words ?? []
  const found: Contradiction[] = []
  const report = (property: string, message: string, fix: string): void => {
    found.push({ line: first.get(property)!, message, fix })
  }
  if (says('disableForwarding', /^yes/i)) {
    for (const property of otherForwarding.filter(name => says(name, /^(yes|all|local|remote)/i)))
      report(property, 'DisableForwarding overrides every other forwarding option', 'remove one of the two lines')
  }
  if (
    says('passwordAuthentication', /^no/i) &&
    says('usePAM', /^yes/i) &&
    !says('kbdInteractiveAuthentication', /^no/i)
  )
    report(
      'passwordAuthentication',
      'passwords are still asked for, by PAM through KbdInteractiveAuthentication',
      'set KbdInteractiveAuthentication no as well',
    )
  if (says('permitRootLogin', /^no/i) && words('allowUsers').includes('root'))
    report('allowUsers', 'AllowUsers names root, and PermitRootLogin is no', 'remove one of the two')
  const both = words('allowUsers').filter(word => words('denyUsers').includes(word))
  if (both.length > 0)
    report('allowUsers', `DenyUsers comes first, so ${both.join(', ')} may not log in`, 'remove it from one of the two')
  return found
}

/** What to write instead of an unknown keyword: the one that differs least, if one is near. */
export function suggestion(keyword: string, table: KeywordTable): string {
  const names = Object.values(table).flatMap(row => [row.name, ...row.aliases])
  const ranked = names
    .map(name => ({ name, distance: editDistance(keyword, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  return best && best.distance <= 2 ? `did you mean ${best.name}?` : 'remove the line, or name it in IgnoreUnknown'
}

const maxCompared = 64

function editDistance(a: string, b: string): number {
  if (a.length > maxCompared) return maxCompared
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}
