import { problemAt } from './keyword.ts'
import type { ConfigLine } from './lexer.ts'
import { matchAddressList, matchHostname, matchPatternList } from './pattern.ts'
import { parsePort } from './values.ts'

/** A connection as Match blocks of sshd_config see it. What is unknown matches nothing. */
export interface ServerConnection {
  readonly user?: string | undefined
  /** The user does not exist. */
  readonly invalidUser?: boolean
  /** The client's host name, or its address when names are not looked up. */
  readonly host?: string | undefined
  readonly address?: string | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly routingDomain?: string | undefined
}

/** What the machine must answer for Match. */
export interface MatchMachine {
  /** What `Match version` compares. */
  readonly version: string
  /** Names of the groups that a user is in; empty when there is no such user. */
  groupsOf(user: string): readonly string[]
}

const withEquals = ['user', 'group', 'host', 'address', 'localaddress', 'localport', 'rdomain', 'version']

/**
 * Evaluates a Match line of sshd_config(5). Without a connection only the line is checked, and nothing but `all` and
 * `version` can hold.
 * @throws ConfigError for a criterion that is unknown or malformed.
 */
export function matchServerLine(
  line: ConfigLine,
  connection: ServerConnection | undefined,
  machine: MatchMachine,
): boolean {
  const bad = (text: string): never => {
    throw problemAt(line, `${text}\n${line.file} line ${line.line}: Bad Match condition`)
  }
  if (!line.words) throw problemAt(line, 'invalid quotes')
  const words = [...line.words]
  let matched = true
  let attributes = 0
  while (words.length > 0) {
    const written = words.shift()!
    const lower = written.toLowerCase()
    attributes++
    if (lower === 'all') {
      if (attributes > 1 || (words[0] ?? '') !== '') bad("'all' cannot be combined with other Match attributes")
      return true
    }
    if (lower === 'invalid-user') {
      matched &&= connection?.invalidUser ?? false
      continue
    }
    const equals = written.indexOf('=')
    const joined = equals > 0 && withEquals.includes(lower.slice(0, equals))
    const name = joined ? lower.slice(0, equals) : lower
    const argument = joined ? written.slice(equals + 1) : words.shift()
    if (!argument) return bad(`Missing Match criteria for ${name}`)
    const decide = (holds: boolean): void => {
      matched &&= holds
    }
    const matchAddress = (address: string | undefined, what: string): boolean => {
      const outcome = matchAddressList(address, argument)
      if (outcome === 'invalid') bad(`Invalid Match ${what} argument '${argument}' at line ${line.line}`)
      return outcome === 'match'
    }
    switch (name) {
      case 'user':
        decide(connection?.user !== undefined && matchPatternList(connection.user, argument) === 'match')
        break
      case 'group':
        decide(connection?.user !== undefined && inGroups(machine.groupsOf(connection.user), argument))
        break
      case 'host':
        decide(connection?.host !== undefined && matchHostname(connection.host, argument) === 'match')
        break
      case 'address':
        decide(matchAddress(connection?.address, 'address'))
        break
      case 'localaddress':
        decide(matchAddress(connection?.localAddress, 'localaddress'))
        break
      case 'localport': {
        const port = parsePort(argument)
        if (port === undefined) bad(`Invalid LocalPort '${argument}' on Match line`)
        decide(connection?.localPort === port)
        break
      }
      case 'rdomain':
        decide(
          connection?.routingDomain !== undefined && matchPatternList(connection.routingDomain, argument) === 'match',
        )
        break
      case 'version':
        decide(matchPatternList(machine.version, argument) === 'match')
        break
      default:
        bad(`Unsupported Match attribute ${written}`)
    }
  }
  if (attributes === 0) bad('One or more attributes required for Match')
  return matched
}

/** A negated pattern refuses as soon as one group has it. */
function inGroups(groups: readonly string[], list: string): boolean {
  const outcomes = groups.map(group => matchPatternList(group, list))
  return !outcomes.includes('negated') && outcomes.includes('match')
}

/**
 * The argument of `sshd -C`: `user=…,host=…,addr=…,laddr=…,lport=…,rdomain=…,invalid-user`. Undefined, with the odd
 * part, when it is malformed.
 */
export function parseConnectionSpec(spec: string): ServerConnection | { readonly invalid: string } {
  const connection: { -readonly [K in keyof ServerConnection]: ServerConnection[K] } = {}
  for (const part of spec.split(',')) {
    if (part === '') break
    const [, name = '', value = ''] = /^([a-z]+)=(.*)$/s.exec(part) ?? []
    if (part === 'invalid-user') connection.invalidUser = true
    else if (name === 'addr') connection.address = value
    else if (name === 'host') connection.host = value
    else if (name === 'user') connection.user = value
    else if (name === 'laddr') connection.localAddress = value
    else if (name === 'rdomain') connection.routingDomain = value
    else if (name === 'lport' && parsePort(value) !== undefined) connection.localPort = parsePort(value)
    else return { invalid: part }
  }
  return connection
}
