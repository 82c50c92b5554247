import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { startPam } from '../../src/native/pam.ts'
import { changeRoot } from '../../src/native/process.ts'
import type { Account } from '../../src/net/accounts.ts'
import { homeOfUser } from '../../src/openssh/load.ts'
import type { SshdOptions } from '../../src/openssh/sshd-config.ts'
import { expandTilde, expandTokens } from '../../src/openssh/tokens.ts'
import { becomeUser, chrootProblem, PrivilegeError } from './privileges.ts'

export interface PamSession {
  readonly environment: ReadonlyMap<string, string>
  /** What modules say to the user, such as the message of the day. */
  readonly notes: readonly string[]
}

/** Opens the PAM session, whose limits then hold for this process. @throws PrivilegeError when PAM refuses */
export function openPamSession(account: Account, remoteHost: string, options: SshdOptions, log: Log): PamSession {
  const notes: string[] = []
  const transaction = startPam({
    service: options.pamServiceName,
    user: account.name,
    remoteHost,
    conversation({ style, text }) {
      if (style === 'info' || style === 'error') notes.push(`${text}\n`)
      return undefined
    },
  })
  const opened = transaction.openSession()
  if (!opened.ok) {
    log.error(`PAM: pam_open_session(): ${opened.reason}`)
    throw new PrivilegeError('the PAM session cannot be opened')
  }
  // The transaction stays: ending it would undo what its modules set up.
  return { environment: transaction.environment(), notes }
}

/** The root directory of ChrootDirectory for this user; undefined for none. */
export function rootDirectoryOf({ name, uid, home }: Account, { chrootDirectory }: SshdOptions): string | undefined {
  if (chrootDirectory === undefined) return undefined
  const path = expandTokens(chrootDirectory, { h: home, u: name, U: String(uid) })
  return expandTilde(path, { home, homeOf: homeOfUser })
}

/**
 * Turns this process into the account's for ever, inside `rootDirectory` if there is one.
 * @throws PrivilegeError when it cannot, and then the process must not go on
 */
export function enterAccount(account: Account, rootDirectory: string | undefined, log: Log): void {
  if (rootDirectory !== undefined) {
    const problem = chrootProblem(rootDirectory)
    if (problem) {
      log.error(problem)
      throw new PrivilegeError(problem)
    }
    try {
      changeRoot(rootDirectory)
      process.chdir('/')
    } catch (error) {
      throw new PrivilegeError(messageOf(error), { cause: error })
    }
    log.info?.(`Changed root directory to "${rootDirectory}"`)
  }
  becomeUser(account)
}
