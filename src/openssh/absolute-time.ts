/** Times as OpenSSH writes them in certificates, lists of keys and options. */

/**
 * `YYYYMMDD` or `YYYYMMDDHHMM[SS]`, then perhaps `Z` or `UTC`; local time otherwise. In seconds since 1970; undefined
 * when malformed or earlier. A day that the month does not have is one of the next month, as for mktime(3).
 */
export function parseAbsoluteTime(text: string): number | undefined {
  const digits = text.replace(/(.)z$/i, '$1').replace(/(.)utc$/i, '$1')
  const fields = /^(.{4})(.{2})(.{2})(?:(.{2})(.{2})(.{2})?)?$/.exec(digits)?.slice(1)
  if (!fields?.every(field => field === undefined || /^ *\d+$/.test(field))) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = fields.map(field => Number(field ?? 0))
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 61) return undefined
  const date = new Date(0)
  if (digits.length === text.length) {
    date.setFullYear(year, month - 1, day)
    date.setHours(hour, minute, second, 0)
  } else {
    date.setUTCFullYear(year, month - 1, day)
    date.setUTCHours(hour, minute, second, 0)
  }
  const seconds = date.getTime() / 1000
  return seconds < 0 ? undefined : seconds
}

/** The last second that every program can show: 2^63 - 1 is beyond what dates have here. */
const lastSecond = 8_640_000_000_000n

/** `YYYY-MM-DDTHH:MM:SS` in local time, from seconds since 1970. */
export function formatAbsoluteTime(seconds: bigint): string {
  const date = new Date(Number(seconds > lastSecond ? lastSecond : seconds) * 1000)
  const two = (value: number): string => String(value).padStart(2, '0')
  const day = `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}
