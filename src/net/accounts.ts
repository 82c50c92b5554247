import { readFile, stat } from 'node:fs/promises'

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
