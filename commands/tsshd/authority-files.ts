import { readdirSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import type { Log } from '../../lib/log.ts'
import { matchName } from '../../lib/sftp/glob.ts'
import { type Account, runAs } from '../../src/net/accounts.ts'
import { checkStrictModes, readRegularFile } from '../../src/openssh/files.ts'
import { expandTokens } from '../../src/openssh/tokens.ts'

/** Largest file of keys or principals that is read, in bytes. */
const fileLimit = 16 * 1024 * 1024
/** Files that one pattern may name. */
const matchLimit = 1024

/** A file that says who may log in. */
export interface AuthorityFile {
  readonly path: string
  /** One character per byte. */
  readonly text: string
}

interface Reading {
  readonly account: Account
  readonly strictModes: boolean
  readonly log: Log
  /** Takes what the user is told after the login. */
  readonly tell?: ((text: string) => void) | undefined
  /** What the file is, for the log: `authorized keys`. */
  readonly kind: string
}

/** A pattern such as `.ssh/authorized_keys` or `/etc/keys/%u` for one account. */
export function authorityPath(pattern: string, account: Account): string {
  const expanded = expandTokens(pattern, { h: account.home, u: account.name, U: String(account.uid) })
  return expanded.startsWith('/') ? expanded : `${account.home}/${expanded}`
}

/**
 * The files of a pattern such as `.ssh/authorized_keys` or `/etc/keys/%u`, read one after another with the ids of the
 * account, so that a file means nothing that the user could not read.
 */
export function* readAuthorityFiles(pattern: string, reading: Reading): Generator<AuthorityFile> {
  const { account } = reading
  for (const path of runAs(account, () => glob(authorityPath(pattern, account)))) {
    reading.log.debug1?.(`trying ${reading.kind} file ${path}`)
    const text = runAs(account, () => readFile(path, reading))
    if (text !== undefined) yield { path, text }
  }
}

function readFile(path: string, { account, strictModes, log, tell, kind }: Reading): string | undefined {
  try {
    // Before the modes are judged: a pipe must not be waited for, and the log says what it is.
    const contents = readRegularFile(path, fileLimit)
    const problem = strictModes ? checkStrictModes(path, account.home, account.uid) : undefined
    if (!problem) return contents.toString('latin1')
    log.info?.(problem)
    tell?.(`Ignored ${kind}: ${problem.replace(/^Authentication refused: /, '')}`)
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    const say = missing ? log.debug1 : log.info
    say?.(`Could not open user '${account.name}' ${kind} '${path}': ${messageOf(error)}`)
  }
  return undefined
}

/** The existing paths that a pattern means, sorted; a path without wildcards means itself. */
function glob(pattern: string): string[] {
  if (!/[*?[]/.test(pattern)) return [pattern]
  let found = ['']
  for (const part of pattern.split('/').slice(1)) {
    if (!/[*?[\\]/.test(part)) {
      found = found.map(folder => `${folder}/${part}`)
      continue
    }
    found = found.flatMap(folder =>
      entriesOf(folder)
        .filter(name => matchName(part, name))
        .sort()
        .map(name => `${folder}/${name}`),
    )
    if (found.length > matchLimit) return []
  }
  return found
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder === '' ? '/' : folder)
  } catch {
    return []
  }
}
