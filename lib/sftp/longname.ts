import { type Attributes, modeOf } from './attributes.ts'

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
const kinds: ReadonlyMap<number, string> = new Map([
  [0o010000, 'p'],
  [0o020000, 'c'],
  [0o040000, 'd'],
  [0o060000, 'b'],
  [0o120000, 'l'],
  [0o140000, 's'],
])

/** Type and permissions as ls(1) prints them: `drwxr-xr-x`. */
export function modeText(attributes: Attributes): string {
  const mode = modeOf(attributes)
  const set = (shift: number, special: number, letter: string): string => {
    const bits = (mode >> shift) & 7
    const execute = bits & 1 ? 'x' : '-'
    const last = mode & special ? (bits & 1 ? letter : letter.toUpperCase()) : execute
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${last}`
  }
  return `${kinds.get(mode & 0o170000) ?? '-'}${set(6, 0o4000, 's')}${set(3, 0o2000, 's')}${set(0, 0o1000, 't')}`
}

/** A time as ls(1) prints it: the hour in the last half year, else the year. Local time. */
export function timeText(seconds: number, now = Date.now() / 1000): string {
  const date = new Date(seconds * 1000)
  if (Number.isNaN(date.getTime())) return ''
  const day = `${months[date.getMonth()]} ${String(date.getDate()).padStart(2)}`
  const halfYear = (365 * 24 * 3600) / 2
  if (seconds > now || now - seconds >= halfYear) return `${day}  ${date.getFullYear()}`
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** A line of a listing as `ls -l` prints it, which version 3 sends with every name. */
export function longName(name: string, attributes: Attributes, now?: number): string {
  const owner = attributes.owner ?? String(attributes.uid ?? '?')
  const group = attributes.group ?? String(attributes.gid ?? '?')
  return [
    modeText(attributes),
    String(attributes.linkCount ?? '?').padStart(4),
    owner.padEnd(8),
    group.padEnd(8),
    String(attributes.size ?? 0).padStart(8),
    attributes.mtime === undefined ? '' : timeText(attributes.mtime, now),
    name,
  ].join(' ')
}
