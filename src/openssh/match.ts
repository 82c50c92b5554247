import { problemAt } from './keyword.ts'
import type { ConfigLine } from './lexer.ts'
import { matchCidrList, matchHostname, matchPattern, matchPatternList } from './pattern.ts'

/** The words after `Host` against the host: any positive pattern, and no negated one. */
export function matchHostLine(line: ConfigLine, host: string): boolean {
  let matched = false
  for (const word of line.words ?? []) {
    if (word === '') throw problemAt(line, `keyword ${line.keyword} empty argument`)
    const negated = word.startsWith('!')
    if (!matchPattern(host, negated ? word.slice(1) : word)) continue
    if (negated) return false
    matched = true
  }
  return matched
}

/** What the criteria of a client's Match line are compared with. Functions are asked only when needed. */
export interface MatchSubject {
  readonly host: string
  readonly originalHost: string
  readonly user: string
  readonly localUser: string
  readonly tag: string
  readonly command: string
  readonly sessionType: 'shell' | 'exec' | 'subsystem' | 'none'
  readonly version: string
  readonly pass: 'first' | 'final'
  localAddresses(): readonly string[]
  /** Runs a command after its tokens are replaced, and says whether it ended with 0. */
  exec(command: string): boolean
}

export interface MatchOutcome {
  readonly matched: boolean
  /** `final` was asked for: the configuration is to be read once more. */
  readonly wantsFinalPass: boolean
}

const withEquals = ['host', 'originalhost', 'user', 'localuser', 'localnetwork', 'version', 'tagged', 'command', 'exec']
const mayBeEmpty = ['tagged', 'command']

/** The state of an optional text: an empty one is matched by an empty argument only. */
const matchOptionalText = (text: string, pattern: string): boolean =>
  text === '' ? pattern === '' : matchPatternList(text, pattern) === 'match'

/**
 * Evaluates a Match line of ssh_config(5): all criteria must hold.
 * @throws ConfigError for a criterion that is unknown, lacks its argument or is malformed.
 */
export function matchClientLine(line: ConfigLine, subject: MatchSubject): MatchOutcome {
  const bad = (text: string): never => {
    throw problemAt(line, `${text}\n${line.file} line ${line.line}: Bad Match condition`)
  }
  if (!line.words) throw problemAt(line, 'invalid quotes')
  const words = [...line.words]
  let matched = true
  let wantsFinalPass = false
  let attributes = 0
  while (words.length > 0) {
    const written = words.shift()!
    const negated = written.startsWith('!')
    const criterion = negated ? written.slice(1) : written
    const lower = criterion.toLowerCase()
    if (lower === 'all') {
      if (attributes > 1 || (words[0] ?? '') !== '') bad(`'${written}' cannot be combined with other Match attributes`)
      return { matched: matched && !negated, wantsFinalPass }
    }
    attributes++
    const decide = (holds: boolean): void => {
      if (holds === negated) matched = false
    }
    if (lower === 'canonical' || lower === 'final') {
      if (lower === 'final' && !negated) wantsFinalPass = true
      decide(subject.pass === 'final')
      continue
    }
    const equals = criterion.indexOf('=')
    const joined = equals > 0 && withEquals.includes(lower.slice(0, equals))
    const name = joined ? lower.slice(0, equals) : lower
    const argument = joined ? criterion.slice(equals + 1) : words.shift()
    if (argument === undefined) return bad(`missing argument for Match '${written}'`)
    if ((argument === '' && !mayBeEmpty.includes(name)) || argument.startsWith('#'))
      bad(`Missing Match criteria for ${name}`)
    switch (name) {
      case 'host':
        decide(matchHostname(subject.host, argument) === 'match')
        break
      case 'originalhost':
        decide(matchHostname(subject.originalHost, argument) === 'match')
        break
      case 'user':
        decide(matchPatternList(subject.user, argument) === 'match')
        break
      case 'localuser':
        decide(matchPatternList(subject.localUser, argument) === 'match')
        break
      case 'localnetwork':
        if (matchCidrList(undefined, argument) === 'invalid') bad(`Invalid network list "${argument}"`)
        decide(subject.localAddresses().some(address => matchCidrList(address, argument) === 'match'))
        break
      case 'version':
        decide(matchPatternList(subject.version, argument) === 'match')
        break
      case 'tagged':
        decide(matchOptionalText(subject.tag, argument))
        break
      case 'command':
        decide(matchOptionalText(subject.command, argument))
        break
      case 'sessiontype':
        decide(matchPatternList(subject.sessionType, argument) === 'match')
        break
      case 'exec':
        // A command does not run for a line that cannot match any more.
        if (matched) decide(subject.exec(argument))
        break
      default:
        bad(`Unsupported Match attribute ${criterion}`)
    }
  }
  if (attributes === 0) bad('One or more attributes required for Match')
  return { matched, wantsFinalPass }
}
