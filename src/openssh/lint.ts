import { opensshAlgorithmNames } from './algorithm-names.ts'
import { ConfigError } from './errors.ts'
import type { KeywordTable } from './keyword.ts'
import { type ConfigBlock, type ConfigLine, parseSshConfig } from './lexer.ts'
import { OptionStore } from './options.ts'
import { formerSshKeywords, sshKeywords } from './ssh-config.ts'
import { formerSshdKeywords, sshdKeywords } from './sshd-config.ts'

/** Something in a configuration file that is wrong, or probably not what was meant. */
export interface LintFinding {
  readonly file: string
  readonly line: number
  readonly severity: 'error' | 'warning' | 'hint'
  readonly rule: 'unknown' | 'malformed' | 'shadowed' | 'deprecated' | 'weak' | 'contradictory'
  readonly message: string
  /** What to do about it. */
  readonly fix: string
}

type Severity = LintFinding['severity']

/** Whether a block applies to every host. */
function isUniversal({ header }: ConfigBlock): boolean {
  if (!header) return true
  const words = header.words ?? []
  if (header.keyword === 'host') return words.includes('*') && !words.some(word => word.startsWith('!'))
  return words.length === 1 && words[0]!.toLowerCase() === 'all'
}

/** A value that weakens a connection, by keyword in lower case. */
interface Weakness {
  readonly values: RegExp
  readonly severity: Severity
  readonly message: string
  readonly fix: string
}

const weakAlgorithms =
  /(^|[,+^])(3des-cbc|aes\d+-cbc|[^,]*-md5[^,]*|[^,]*-sha1[^,]*|ssh-rsa|ssh-dss|diffie-hellman-group1-[^,]*)(,|$)/i
const weakList: Weakness = {
  values: weakAlgorithms,
  severity: 'warning',
  message: 'allows algorithms that are broken or near it (CBC, MD5, SHA-1)',
  fix: 'take them out of the list, or limit the line to the one host that needs them',
}
const algorithmLists = {
  ciphers: weakList,
  macs: weakList,
  kexalgorithms: weakList,
  hostkeyalgorithms: weakList,
  pubkeyacceptedalgorithms: weakList,
  casignaturealgorithms: weakList,
}

const weakClient: Readonly<Record<string, Weakness>> = {
  ...algorithmLists,
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

const weakServer: Readonly<Record<string, Weakness>> = {
  ...algorithmLists,
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
}

interface Dialect {
  readonly table: KeywordTable
  readonly weak: Readonly<Record<string, Weakness>>
  former(keyword: string): 'ignored' | 'deprecated' | 'unsupported' | undefined
  /** Whether a value of a block that always applies makes the same keyword of later blocks useless. */
  readonly firstBlockWins: boolean
}

const structural = ['include', 'host', 'match']

/** Words of a list that tell something when they stand anywhere: an algorithm list in one word, else every word. */
const valueText = (line: ConfigLine): string => (line.words ?? []).join(' ')

function lint(text: string, file: string, dialect: Dialect): LintFinding[] {
  const findings: LintFinding[] = []
  const report = (
    line: ConfigLine,
    severity: Severity,
    rule: LintFinding['rule'],
    message: string,
    fix: string,
  ): void => {
    findings.push({ file, line: line.line, severity, rule, message, fix })
  }
  const scratch = new OptionStore(dialect.table)
  const settled = new Map<string, ConfigLine>()
  const settings = { algorithms: opensshAlgorithmNames, env: {} }
  const blocks = parseSshConfig(text, file)
  const ignored = blocks.flatMap(block => block.lines).filter(line => line.keyword === 'ignoreunknown')
  for (const block of blocks) {
    const here = new Map<string, ConfigLine>()
    for (const line of block.lines) {
      if (structural.includes(line.keyword)) continue
      const property = scratch.propertyOf(line.keyword)
      if (property === undefined) {
        const fate = dialect.former(line.keyword)
        if (fate) report(line, 'warning', 'deprecated', `${line.written} has no effect any more`, 'remove the line')
        else if (ignored.length === 0) {
          report(
            line,
            'error',
            'unknown',
            `there is no keyword ${line.written}`,
            suggestion(line.keyword, dialect.table),
          )
        }
        continue
      }
      const row = dialect.table[property]!
      if (row.name.toLowerCase() !== line.keyword) {
        report(line, 'hint', 'deprecated', `${line.written} is an old name`, `write ${row.name}`)
      }
      try {
        scratch.apply(property, line, false, settings)
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error
        report(line, 'error', 'malformed', error.message, `see ${row.name} in the manual page`)
        continue
      }
      const weakness = dialect.weak[row.name.toLowerCase()]
      if (weakness?.values.test(valueText(line)) && !line.rest.startsWith('-')) {
        report(line, weakness.severity, 'weak', `${row.name} ${weakness.message}`, weakness.fix)
      }
      if (row.merge) continue
      const earlier = here.get(property) ?? settled.get(property)
      if (earlier) {
        const message = `line ${earlier.line} sets ${row.name} already, and the first value wins`
        report(line, 'warning', 'shadowed', message, 'remove the line, or move it before the other')
      } else here.set(property, line)
    }
    if (isUniversal(block) && (dialect.firstBlockWins || block.header)) {
      for (const [property, line] of here) if (!settled.has(property)) settled.set(property, line)
    }
    findings.push(...contradictions(block, scratch))
  }
  return findings.sort((a, b) => a.line - b.line)
}

/** Pairs of keywords of which the second does nothing beside the first in one block. */
function contradictions(block: ConfigBlock, store: OptionStore): LintFinding[] {
  const first = new Map<string, ConfigLine>()
  for (const line of block.lines) {
    const property = store.propertyOf(line.keyword)
    if (property !== undefined && !first.has(property)) first.set(property, line)
  }
  const says = (property: string, pattern: RegExp): boolean => pattern.test(first.get(property)?.rest ?? '')
  const found: LintFinding[] = []
  const report = (property: string, message: string, fix: string): void => {
    const line = first.get(property)!
    found.push({ file: line.file, line: line.line, severity: 'warning', rule: 'contradictory', message, fix })
  }
  if (
    first.has('proxyJump') &&
    first.has('proxyCommand') &&
    !says('proxyJump', /^none/i) &&
    !says('proxyCommand', /^none/i)
  ) {
    report('proxyCommand', 'ProxyJump and ProxyCommand exclude each other; the first one wins', 'keep one of them')
  }
  if (says('controlPersist', /^(yes|true|\d)/) && says('controlPath', /^none/i)) {
    report('controlPersist', 'ControlPersist has no effect without a ControlPath', 'set ControlPath')
  }
  if (first.has('localCommand') && says('permitLocalCommand', /^(no|false)/i)) {
    report('localCommand', 'LocalCommand does not run while PermitLocalCommand is no', 'set PermitLocalCommand yes')
  }
  if (says('disableForwarding', /^yes/i)) {
    for (const property of ['allowTcpForwarding', 'allowAgentForwarding', 'x11Forwarding', 'permitTunnel']) {
      if (says(property, /^(yes|all|local|remote)/i)) {
        report(property, 'DisableForwarding overrides every other forwarding option', 'remove one of the two lines')
      }
    }
  }
  return found
}

/** The keyword that differs least, if one is near. */
function suggestion(keyword: string, table: KeywordTable): string {
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

/** What is wrong or doubtful in the text of an ssh_config; included files are for another call. */
export function lintSshConfig(text: string, file: string): LintFinding[] {
  return lint(text, file, {
    table: sshKeywords,
    weak: weakClient,
    former: keyword => (Object.hasOwn(formerSshKeywords, keyword) ? formerSshKeywords[keyword] : undefined),
    firstBlockWins: true,
  })
}

/** What is wrong or doubtful in the text of an sshd_config. There, a Match block comes before the global values. */
export function lintSshdConfig(text: string, file: string): LintFinding[] {
  return lint(text, file, {
    table: sshdKeywords,
    weak: weakServer,
    former: keyword => (Object.hasOwn(formerSshdKeywords, keyword) ? formerSshdKeywords[keyword]?.fate : undefined),
    firstBlockWins: false,
  })
}
