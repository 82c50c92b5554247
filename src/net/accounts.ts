import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'

/** A user of this machine, as passwd(5) describes it. */
export interface Account {
  readonly name: string
  readonly uid: number
  /** The primary group. */
  readonly gid: number
  readonly home: string
  /** The login shell; `/bin/sh` where the entry names none. */
  readonly shell: string
}

/** The user of this process. */
export function ownAccount(): Account {
  const { username, uid, gid, homedir, shell } = userInfo()
  return { name: username, uid, gid, home: homedir, shell: shell || '/bin/sh' }
}

/** Names that are looked up: anything else is no user, and reaches no other program. */
const plausibleName = /^[A-Za-z0-9_.][A-Za-z0-9_.@+\\-]{0,255}\$?$/

/** How long other sources of names (LDAP and such) may take, in milliseconds. */
const lookupTimeout = 10_000

/** The account of this name, from /etc/passwd or whatever else the system knows users from. */
export function findAccount(name: string): Account | undefined {
  if (!plausibleName.test(name)) return undefined
  const entry = passwdEntry(readTable('/etc/passwd'), name) ?? passwdEntry(systemEntry('passwd', name), name)
  return entry && accountOf(entry)
}

function accountOf([name = '', , uid = '', gid = '', , home = '', shell = '']: readonly string[]): Account | undefined {
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined
  return { name, uid: Number(uid), gid: Number(gid), home: home || '/', shell: shell || '/bin/sh' }
}

function passwdEntry(text: string, name: string): readonly string[] | undefined {
  const line = text.split('\n').find(candidate => candidate.startsWith(`${name}:`))
  return line?.split(':')
}

function readTable(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function systemEntry(table: 'passwd', name: string): string {
  return ask('getent', [table, name])
}

function ask(program: string, args: readonly string[]): string {
  try {
    return execFileSync(program, [...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: lookupTimeout,
      maxBuffer: 1 << 20,
    })
  } catch {
    return ''
  }
}

/** Numbers of all groups that a user is in, the primary one first, as id(1) knows them. */
export function groupIdsOf({ name, gid }: Account): readonly number[] {
  if (!plausibleName.test(name)) return [gid]
  const ids = ask('id', ['-G', '--', name])
    .trim()
    .split(/\s+/)
    .filter(word => /^\d+$/.test(word))
    .map(Number)
  return [...new Set([gid, ...ids])]
}

/**
 * Runs `action` with the effective user and groups of `account`, so that the system itself refuses what the user may not
 * touch. Only root changes anything; another user's process runs it as it is. Synchronous on purpose: nothing else of
 * this process may run meanwhile, so `action` must not be async.
 * @throws what `action` throws, and when the ids cannot be set
 */
export function runAs<T>(account: Account, action: () => T): T {
  const { geteuid, getegid, getgroups, seteuid, setegid, setgroups } = process
  if (!geteuid || !getegid || !getgroups || !seteuid || !setegid || !setgroups) return action()
  if (geteuid() !== 0 || account.uid === 0) return action()
  const group = getegid()
  const groups = getgroups()
  setgroups([...cachedGroups(account)])
  try {
    setegid(account.gid)
    seteuid(account.uid)
    return action()
  } finally {
    // A process that kept the user's ids by half would be worse than none.
    seteuid(0)
    setegid(group)
    setgroups(groups)
  }
}

let lastGroups: { readonly account: Account; readonly ids: readonly number[] } | undefined

/** One connection asks again and again about the same user. */
function cachedGroups(account: Account): readonly number[] {
  if (lastGroups?.account !== account) lastGroups = { account, ids: groupIdsOf(account) }
  return lastGroups.ids
}

/** One of /etc/passwd and /etc/group: names and numbers of users or groups. */
export interface AccountTable {
  readonly names: ReadonlyMap<number, string>
  readonly ids: ReadonlyMap<string, number>
  /** Home directories; of users only. */
  readonly homes: ReadonlyMap<string, string>
}

interface Cached {
  readonly modified: number
  readonly table: AccountTable
}

const cache = new Map<string, Cached>()
const nothing: AccountTable = { names: new Map(), ids: new Map(), homes: new Map() }

/** The table of a file such as /etc/passwd, read again when the file has changed; empty when it cannot be read. */
export async function accountTable(path: string): Promise<AccountTable> {
  try {
    const { mtimeMs } = await stat(path)
    const known = cache.get(path)
    if (known?.modified === mtimeMs) return known.table
    const table = parseAccounts(await readFile(path, 'utf8'))
    cache.set(path, { modified: mtimeMs, table })
    return table
  } catch {
    return nothing
  }
}

/** Lines of `name:password:id:…`; the first line of a name or a number counts. */
export function parseAccounts(text: string): AccountTable {
  const names = new Map<number, string>()
  const ids = new Map<string, number>()
  const homes = new Map<string, string>()
  for (const line of text.split('\n')) {
    const fields = line.split(':')
    const [name = '', , number = ''] = fields
    if (name === '' || name.startsWith('#') || !/^\d+$/.test(number)) continue
    const id = Number(number)
    if (!names.has(id)) names.set(id, name)
    if (!ids.has(name)) ids.set(name, id)
    if (fields.length >= 6 && !homes.has(name)) homes.set(name, fields[5]!)
  }
  return { names, ids, homes }
}
