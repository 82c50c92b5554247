import { readFileSync } from 'node:fs'
import type { Log } from '../../lib/log.ts'
import type { Peer } from '../../src/api/server.ts'
import type { Account } from '../../src/net/accounts.ts'
import { matchPatternList } from '../../src/openssh/pattern.ts'

/** What an environment is made of. */
export interface EnvironmentSources {
  readonly account: Account
  readonly peer: Peer
  /** What the client sent and AcceptEnv let in. */
  readonly requested: ReadonlyMap<string, string>
  /** Of the key's or certificate's options. */
  readonly keyEnvironment: ReadonlyMap<string, string>
  /** PermitUserEnvironment: no, yes, or patterns of names. */
  readonly permitUserEnvironment: boolean | string
  /** Lines of SetEnv. */
  readonly setEnv: readonly string[]
  readonly pamEnvironment: ReadonlyMap<string, string>
  /** Whatever this session alone has: TERM, SSH_ORIGINAL_COMMAND, SSH_AUTH_SOCK, … */
  readonly session: Readonly<Record<string, string | undefined>>
  readonly log: Log
}

const rootPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const userPath = '/usr/local/bin:/usr/bin:/bin:/usr/games'
/** Lines of ~/.ssh/environment that are read, and their length. */
const fileLines = 1000
const fileBytes = 1024 * 1024

/** Variables of PAM modules that do not reach a session, as they change how programs load. */
const fromPamForbidden = /^(LD_|SSH_AUTH_INFO_0$|SSH_CONNECTION$)/

/** The environment of a session's program (sshd(8), LOGIN PROCESS): what stands later wins. */
export function buildEnvironment(sources: EnvironmentSources): Record<string, string> {
  const { account, peer } = sources
  const environment: Record<string, string> = Object.create(null)
  const set = (pairs: Iterable<readonly [string, string | undefined]>): void => {
    for (const [name, value] of pairs) if (value !== undefined) environment[name] = value
  }
  set(sources.requested)
  set([
    ['USER', account.name],
    ['LOGNAME', account.name],
    ['HOME', account.home],
    ['PATH', account.uid === 0 ? rootPath : userPath],
    ['MAIL', `/var/mail/${account.name}`],
    ['SHELL', account.shell],
    ['TZ', process.env['TZ']],
  ])
  const { permitUserEnvironment: permit } = sources
  if (permit !== false) {
    const allowed = ([name]: readonly [string, string]): boolean =>
      typeof permit !== 'string' || matchPatternList(name, permit) === 'match'
    set([...sources.keyEnvironment].filter(allowed))
    set(readEnvironmentFile(`${account.home}/.ssh/environment`, sources.log).filter(allowed))
  }
  set([...sources.pamEnvironment].filter(([name]) => !fromPamForbidden.test(name)))
  set(sources.setEnv.map(assignment))
  set([
    ['SSH_CLIENT', `${peer.address} ${peer.port} ${peer.localPort}`],
    ['SSH_CONNECTION', `${peer.address} ${peer.port} ${peer.localAddress} ${peer.localPort}`],
  ])
  set(Object.entries(sources.session))
  return { ...environment }
}

function assignment(text: string): readonly [string, string] {
  const equals = text.indexOf('=')
  return [text.slice(0, equals), text.slice(equals + 1)]
}

/** Lines `NAME=value`; empty ones and comments are passed over. */
function readEnvironmentFile(path: string, log: Log): (readonly [string, string])[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return []
  }
  if (text.length > fileBytes) return []
  return text
    .split('\n')
    .slice(0, fileLines)
    .flatMap((line, index) => {
      const bare = line.replace(/^[ \t]+/, '')
      if (bare === '' || bare.startsWith('#')) return []
      if (bare.indexOf('=') > 0 && !bare.includes('\0')) return [assignment(bare)]
      log.error(`Bad line ${index + 1} in ${path}`)
      return []
    })
}
