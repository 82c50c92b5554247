import type { Attributes } from '../../lib/sftp/attributes.ts'
import { modeText, timeText } from '../../lib/sftp/longname.ts'
import { encodePath } from '../../lib/wire/path.ts'
import { visible } from '../../src/terminal/names.ts'

/** A file of a listing. */
export interface ListedFile {
  /** As it is shown. */
  readonly name: string
  readonly attributes: Attributes | undefined
  /** The server's own line. */
  readonly longname?: string | undefined
}

/** Names of users and groups by number. */
export interface Names {
  readonly users: ReadonlyMap<number, string>
  readonly groups: ReadonlyMap<number, string>
}

/** A size in four or five characters, as fmt_scaled(3): `999B`, `1.5K`, `12.0M`. */
export function scaledSize(bytes: number): string {
  const units = 'BKMGTPE'
  let unit = 0
  let whole = BigInt(Math.trunc(bytes))
  let rest = 0n
  while (whole >= 1024n && unit < units.length - 1) {
    rest = whole % 1024n
    whole /= 1024n
    unit++
  }
  let tenths = (10n * rest + 512n) / 1024n
  if (tenths >= 10n) {
    whole++
    tenths = 0n
  }
  if (whole === 0n) return '0B'
  if (unit === 0 || whole >= 100n) return `${tenths >= 5n ? whole + 1n : whole}${units[unit]}`
  return `${whole}.${tenths}${units[unit]}`
}

/** A line as `ls -l` shows it. */
export function longLine(file: ListedFile, flags: ReadonlySet<string>, names: Names | undefined): string {
  const attributes = file.attributes ?? {}
  const named = flags.has('n') ? undefined : names
  const { uid = 0, gid = 0, owner, group } = attributes
  const user = named?.users.get(uid) || owner || String(uid)
  const groupName = named?.groups.get(gid) || group || String(gid)
  const size = flags.has('h') ? scaledSize(attributes.size ?? 0) : String(attributes.size ?? 0)
  const time = timeText(attributes.mtime ?? 0)
  return `${modeText(attributes)}    ? ${user.padEnd(8)} ${groupName.padEnd(8)} ${size.padStart(8)} ${time} ${visible(file.name)}`
}

/** Orders files as the flags ask: by name, `t` newest first, `S` largest first, `f` not at all; `r` the other way. */
export function sortFiles<T extends ListedFile>(files: readonly T[], flags: ReadonlySet<string>): T[] {
  if (flags.has('f')) return [...files]
  const sign = flags.has('r') ? -1 : 1
  const key = flags.has('t') ? 'mtime' : flags.has('S') ? 'size' : undefined
  const order = (a: T, b: T): number =>
    key === undefined
      ? Buffer.compare(encodePath(a.name), encodePath(b.name))
      : (b.attributes?.[key] ?? 0) - (a.attributes?.[key] ?? 0)
  return [...files].sort((a, b) => sign * order(a, b))
}

/** Names in columns. `widest`: bytes of the longest, from which the columns are made. */
export function inColumns(names: readonly string[], widest: number, width: number): string {
  const columns = Math.max(1, Math.floor(width / (widest + 2)))
  const space = Math.min(Math.floor(width / columns), width)
  let text = ''
  for (const [index, name] of names.entries()) {
    text += visible(name) + ' '.repeat(Math.max(0, space - encodePath(name).length))
    if ((index + 1) % columns === 0) text += '\n'
  }
  return names.length % columns === 0 ? text : `${text}\n`
}
